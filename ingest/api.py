"""`/v1`: what a campaign platform calls. Here to have emails sent; `campaigns.py` and `senders.py` have the rest.

Answered when Kafka has every record. Whether an email was sent before is decided downstream, by its delivery id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import msgspec
import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from ingest import openapi
from ingest.auth import caller_of
from ingest.campaigns import Key, Known, campaign_routes, finder
from ingest.idempotency import Idempotency, derived
from ingest.metrics import Metrics
from ingest.problems import MEDIA_TYPE, Problem, described
from ingest.publisher import Publisher
from ingest.requests import (
    MAX_BODY_BYTES,
    MAX_SENDS,
    SendRequest,
    SendsRequest,
    check_send,
    decode,
)
from ingest.senders import sender_routes
from schemas.errors import Reject
from schemas.events import Campaign, Pause, Send
from schemas.settings import Settings
from schemas.state import StateTopic
from schemas.tokens import delivery_id
from schemas.topics import SENDS

log = structlog.get_logger()

# How long Kafka may take over a whole batch, in seconds.
_BATCH_SECONDS = 30.0
_SHARE = 20  # sends handled before hits get the loop again: about a millisecond
# What the topic takes, less room for the key and Kafka's envelope.
_RECORD_BYTES = (SENDS.max_record_bytes or 1_000_000) - 1024

_SMALLER = "make html and images smaller, or put the images on a web server and link to them"

_SENDS = {"type": "array", "minItems": 1, "maxItems": MAX_SENDS, "items": openapi.schema(SendRequest)}
# A send's lead and its record.
_Record = tuple[str, bytes]

_decode_sends = msgspec.json.Decoder(SendsRequest).decode
_decode_send = msgspec.json.Decoder(SendRequest).decode


class Accepted(msgspec.Struct):
    """A send that will be an email: its place in the request, and the id that every event about it carries."""

    index: int
    delivery_id: str


class Rejected(msgspec.Struct):
    """A send that won't, and why: `reason` is one word, `detail` says where."""

    index: int
    reason: str
    detail: str


class SendsAnswer(msgspec.Struct):
    """What became of each send of the batch."""

    accepted: int
    deliveries: list[Accepted]
    rejected: list[Rejected]


def api_routes(
    settings: Settings,
    publisher: Publisher,
    campaigns: StateTopic[Campaign],
    pauses: StateTopic[Pause],
    metrics: Metrics,
    *others: APIRouter,
) -> APIRouter:
    """The router of `/v1`, with `others` in it."""
    router = APIRouter(
        prefix="/v1",
        tags=["platform"],
        responses={
            **described(401, "The API key is missing or wrong."),
            **described(403, "The API key is not for this."),
            **described(413, "The body is too large."),
            **described(503, "Kafka did not take it; the same request may be sent again."),
        },
    )

    idempotency = Idempotency()
    known = finder(campaigns)
    router.include_router(campaign_routes(settings, publisher, campaigns, pauses, idempotency))
    router.include_router(sender_routes(settings))
    for other in others:
        router.include_router(other)

    @router.post(
        "/sends",
        dependencies=[Depends(caller_of(settings, "sends"))],
        summary="Have emails sent",
        status_code=202,
        max_body_size=MAX_BODY_BYTES,
        openapi_extra=openapi.body(SendsRequest, sends=_SENDS),
        responses={
            202: {
                "description": "At least one was accepted; see `rejected` for the others.",
                **openapi.content(SendsAnswer),
            },
            **described(400, "The body is no batch of 1 to 1,000 sends, or `Idempotency-Key` is no such key."),
            **described(409, "The same request is being worked on."),
            422: {
                "description": "None was accepted; see `rejected`. Or `Idempotency-Key` came with another body before.",
                "content": openapi.content(SendsAnswer)["content"] | {MEDIA_TYPE: {}},
            },
        },
    )
    async def send(request: Request, idempotency_key: Key = None) -> Response:
        """Up to 1,000 emails in one request. Each is accepted or rejected by itself.

        Campaign, step and lead make an email: asking for the same three again, in this request or another, never
        mails twice. Links, pixel, unsubscribe footer and headers are added before it leaves; `amp` and `images` leave
        as they are.
        """
        body = await request.body()
        return await idempotency.once(request, body, lambda: taken(body, partial(derived, request)))

    async def taken(body: bytes, request_id: Callable[[str], str]) -> Response:
        try:
            batch = decode(_decode_sends, body).sends
        except Reject as error:
            raise Problem(400, str(error), reason=error.reason) from None
        if not 1 <= len(batch) <= MAX_SENDS:
            raise Problem(400, f"A batch has 1 to {MAX_SENDS} sends; this one has {len(batch)}.", reason="batch-size")
        sends, accepted, rejected = await _sort(batch, known, request_id)
        for one in rejected:
            metrics.sends_rejected.labels(one.reason).inc()
        metrics.sends.labels("rejected").inc(len(rejected))
        await _publish_all(publisher, sends)
        metrics.sends.labels("accepted").inc(len(accepted))
        log.info("sends taken", accepted=len(accepted), rejected=len(rejected))
        return openapi.answer(202 if accepted else 422, SendsAnswer(len(accepted), accepted, rejected))

    return router


async def _sort(
    batch: list[msgspec.Raw],
    known: Known,
    request_id: Callable[[str], str],
) -> tuple[list[_Record], list[Accepted], list[Rejected]]:
    """Check every send of the batch; the loop is shared with hits all the while."""
    sends: list[_Record] = []
    accepted: list[Accepted] = []
    rejected: list[Rejected] = []
    campaigns: dict[str, bool] = {}
    first_with: dict[str, int] = {}
    now = _now()
    for index, raw in enumerate(batch):
        if index % _SHARE == _SHARE - 1:
            await asyncio.sleep(0)
        try:
            asked = decode(_decode_send, raw)
            check_send(asked)
            if asked.campaign not in campaigns:
                campaigns[asked.campaign] = await known(asked.campaign) is not None
            if not campaigns[asked.campaign]:
                raise Reject("campaign-unknown", "declare it with POST /v1/campaigns first")
            delivery = str(delivery_id(asked.campaign, asked.step, asked.lead))
            if delivery in first_with:
                raise Reject("duplicate", f"same campaign, step and lead as index {first_with[delivery]}")
            fields = {name: getattr(asked, name) for name in SendRequest.__struct_fields__}
            send = Send(request_id=request_id(delivery), delivery_id=delivery, requested_at=now, **fields)
            value = msgspec.json.encode(send)
            if len(value) > _RECORD_BYTES:
                raise Reject("too-large", f"all fields together: at most {_RECORD_BYTES} bytes of JSON; {_SMALLER}")
        except Reject as error:
            rejected.append(Rejected(index, error.reason, error.detail))
            continue
        first_with[delivery] = index
        accepted.append(Accepted(index, delivery))
        sends.append((asked.lead, value))
    return sends, accepted, rejected


async def _publish_all(publisher: Publisher, sends: list[_Record]) -> None:
    """Publish every send, or raise Retry: those that arrived by then are recognised when they are asked for again."""
    answers = []
    for index, (lead, value) in enumerate(sends):
        if index % _SHARE == _SHARE - 1:
            await asyncio.sleep(0)
        answers.append(asyncio.ensure_future(publisher.publish(SENDS, lead, value, _BATCH_SECONDS)))
    await asyncio.gather(*answers)


def _now() -> datetime:
    return datetime.now(UTC)
