"""To whom an email went: said by its sent event, then by ClickHouse, and by nobody once the person is erased."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from agents.webhooks.endpoint_admin import _calls
from agents.webhooks.recipient_lookup import RecipientLookup
from clickhouse.ask import StageQueries, json_lines
from clickhouse.erasing import PSEUDONYM, Erasure
from clickhouse.store import connect, insert_lines
from decisions.effects.webhook_messages import WebhookMessage, report
from schemas.errors import Retry
from schemas.events import Replied, Sent, lines
from schemas.settings import Settings
from schemas.state.endpoints import new_endpoint
from schemas.state.webhook_calls import Call
from schemas.tokens import delivery_id
from tests.support.migrated import migrated_database

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with migrated_database(tmp_path_factory.mktemp("recipients")) as settings:
        yield settings


def of(lead: str) -> dict[str, Any]:
    email = {"delivery_id": str(delivery_id("spring", 1, lead)), "campaign": "spring", "step": 1, "variant": "A"}
    return email | {"id": str(uuid.uuid4()), "at": NOW, "lead": lead, "sender": "news@example.com", "message_id": "m"}


def a_sent(lead: str, recipient: str) -> Sent:
    return Sent(**of(lead), recipient_domain="example.net", recipient=recipient)


def a_reply(lead: str) -> WebhookMessage:
    return report(lines([Replied(**of(lead), matched_by="verp")]))


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def test_what_was_just_read_needs_no_database_and_is_forgotten_after_a_minute(database: Settings) -> None:
    clock = Clock()
    away = database.model_copy(update={"clickhouse_url": "http://127.0.0.1:9"})
    lookup = RecipientLookup(StageQueries(away), clock)
    lookup.remember([report(lines([a_sent("lead-1", "ada@example.net")]))])
    reply = a_reply("lead-1")
    assert await lookup.of([reply]) == {reply.delivery: "ada@example.net"}
    clock.now += 61
    lookup.remember([])
    with pytest.raises(Retry):
        await lookup.of([reply])


async def test_what_is_stored_is_asked_for_until_the_person_is_erased(database: Settings) -> None:
    reply = a_reply("lead-2")
    with connect(database) as client:
        # The same event was written twice, once by a worker that kept no addresses yet.
        for recipient in ("bob@example.net", ""):
            insert_lines(client, "events", lines([a_sent("lead-2", recipient)]))
        lookup = RecipientLookup(StageQueries(database), Clock())
        assert await lookup.of([reply]) == {reply.delivery: "bob@example.net"}
        erasing = Erasure(client)
        erasing.erase({"lead-2": f"{PSEUDONYM}0"}, erasing.emails(["lead-2"]))
        assert await lookup.of([reply]) == {reply.delivery: ""}
        assert client.query("SELECT count() FROM events WHERE recipient != ''").result_rows == [(0,)]
    lookup.close()


async def test_an_email_that_is_not_stored_is_waited_for_and_then_told_without(database: Settings) -> None:
    clock = Clock()
    lookup = RecipientLookup(StageQueries(database), clock)
    reply = a_reply("lead-3")
    with pytest.raises(Retry, match="does not have 1 emails yet"):
        await lookup.of([reply])
    clock.now += 11
    assert await lookup.of([reply]) == {reply.delivery: ""}
    lookup.close()


def test_what_is_redelivered_has_the_address_too_for_who_asks_for_it(database: Settings) -> None:
    settings = database.model_copy(update={"webhooks_to": True, "webhooks_private": True})
    with connect(database) as client:
        reply = Replied(**of("lead-4"), matched_by="verp", text="Yes")
        insert_lines(client, "events", lines([a_sent("lead-4", "eve@example.net"), reply]))
        stored = [
            line
            for line in json_lines(
                client, "events_to_redeliver", start=NOW, end=NOW + timedelta(seconds=1), kinds=["reply"]
            )
            if b"lead-4" in line
        ]
        for with_to, expected in ((True, "eve@example.net"), (False, None)):
            endpoint = new_endpoint(settings, "https://crm.example.com/in", ["reply"], NOW, with_to=with_to)
            (record,) = _calls(settings, client, endpoint, stored, NOW)
            body = msgspec.json.decode(msgspec.json.decode(record.value, type=Call).body)
            assert body["data"].get("to") == expected
            assert (body["type"], body["data"]["lead"], body["data"]["text"]) == ("reply", "lead-4", "Yes")
