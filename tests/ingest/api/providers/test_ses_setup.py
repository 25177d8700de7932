"""What SNS and SES post while they are set up and taken down: each gets an answer that says what it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from fastapi import FastAPI

from clickhouse.query_client import QueryClient
from ingest.api.http.problems import answer_with_problems
from ingest.api.providers.intake import ProviderIntake
from ingest.api.providers.routes import provider_routes
from ingest.api.providers.sns.messages import SnsMessage
from ingest.metrics import IngestMetrics
from schemas.settings import Settings
from stream.publisher import Publisher
from tests.ingest.api.providers.amazon import CERTIFICATE, CONFIRMATION, TOPIC, Amazon, a_message, of_subscription
from tests.ingest.room import metric_of

NOTICES = [
    "Successfully validated SNS topic for Amazon SES event publishing.",
    json.dumps(
        {
            "notificationType": "AmazonSnsSubscriptionSucceeded",
            "message": f"You have successfully subscribed your Amazon SNS topic '{TOPIC}' to receive 'Bounce' notifications.",
        },
        separators=(",", ":"),
    )
    + "\n",
]


class Ses:
    """The route of SES, with nothing behind it: what is posted here makes no event."""

    def __init__(self, client: httpx.AsyncClient, amazon: Amazon, metrics: IngestMetrics) -> None:
        self.amazon = amazon
        self._client = client
        self._metrics = metrics

    async def post(self, message: SnsMessage | bytes, **headers: str) -> httpx.Response:
        body = message if isinstance(message, bytes) else msgspec.json.encode(message)
        return await self._client.post("/v1/providers/ses", content=body, headers=headers)

    def counted(self, result: str) -> float:
        text = self._metrics.text().decode()
        return metric_of(text, "sendlens_provider_reports_total", provider="ses", result=result)


@pytest.fixture
async def ses(settings: Settings) -> AsyncIterator[Ses]:
    asked = settings.model_copy(update={"ses_topics": TOPIC})
    amazon, metrics, app = Amazon(), IngestMetrics(), FastAPI()
    nothing: Any = None
    reader: QueryClient = nothing
    publisher: Publisher = nothing
    intake = ProviderIntake(asked.keyring, publisher, reader, metrics)
    app.include_router(provider_routes(asked, intake, metrics, amazon.fetch), prefix="/v1")
    answer_with_problems(app)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield Ses(client, amazon, metrics)


@pytest.mark.parametrize("text", NOTICES)
async def test_the_notice_that_a_topic_is_set_up_is_no_report(ses: Ses, text: str) -> None:
    answer = await ses.post(a_message(message=text))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "ignored": 1, "repeated": False})
    assert ses.counted("ignored") == 1
    other = await ses.post(a_message(message=f"Hello. {text}"))
    assert (other.status_code, other.json()["reason"]) == (422, "malformed")


async def test_raw_message_delivery_is_refused_and_says_to_switch_it_off(ses: Ses) -> None:
    for body in (b'{"eventType":"Send"}', NOTICES[0].encode()):
        answer = await ses.post(body, **{"x-amz-sns-rawdelivery": "true", "x-amz-sns-message-type": "Notification"})
        assert (answer.status_code, answer.json()["reason"]) == (422, "raw-delivery")
        assert "switch raw message delivery off" in answer.json()["detail"]
    assert ses.counted("raw-delivery") == 2
    assert ses.amazon.asked == []


async def test_the_end_of_a_subscription_is_verified_and_logged_and_not_taken_back(ses: Ses) -> None:
    with structlog.testing.capture_logs() as logged:
        answer = await ses.post(of_subscription("UnsubscribeConfirmation"))
    assert (answer.status_code, answer.json()["ignored"]) == (200, 1)
    assert ses.amazon.asked == [CERTIFICATE]
    (entry,) = [entry for entry in logged if entry.get("topic") == TOPIC]
    assert "subscribe again" in entry["event"]
    forged = await ses.post(msgspec.structs.replace(of_subscription("UnsubscribeConfirmation"), message_id="m-2"))
    assert (forged.status_code, forged.json()["reason"]) == (403, "signature")


async def test_a_subscription_confirms_itself(ses: Ses) -> None:
    answer = await ses.post(of_subscription("SubscriptionConfirmation"))
    assert answer.status_code == 200
    assert ses.amazon.asked == [CERTIFICATE, CONFIRMATION]


async def test_what_could_not_be_verified_yet_is_counted_and_may_come_again(ses: Ses) -> None:
    del ses.amazon.has[CERTIFICATE]
    answer = await ses.post(a_message(message=NOTICES[0]))
    assert (answer.status_code, ses.counted("retry")) == (503, 1)
