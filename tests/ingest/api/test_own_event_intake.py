"""`POST /v1/events`: what a system that is not ours tells of its deliveries, and what is on the topics afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.events import AnyEvent, Bounced, Complained, Deferred, Delivered, Delivery, EmailEvent, Sent
from schemas.settings import Settings
from schemas.tokens import delivery_id, event_id
from schemas.topics import DELIVERIES, EVENTS, delivery_partition
from tests.ingest.room import Room, records, running
from tests.support.broker import Broker, create_topics
from tests.support.waiting import wait_until

DELIVERY = str(delivery_id("spring", 1, "lead-1"))


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=123_000)


def told(kind: str = "delivered", **changes: Any) -> dict[str, Any]:
    fields = {
        "kind": kind,
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": "lead-1",
        "at": now().isoformat(),
        "sender": "Garden Shop <news@example.net>",
        "to": "Ada@Example.com",
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


@pytest.fixture
async def spring(room: Room) -> Room:
    assert (await room.client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"})).status_code == 201
    return room


async def tell(room: Room, *events: Mapping[str, Any], **headers: str) -> dict[str, Any]:
    answer = await room.client.post("/v1/events", json={"events": list(events)}, headers=headers)
    found: dict[str, Any] = answer.json()
    assert answer.status_code == (202 if found["accepted"] else 422)
    return found


async def reasons(room: Room, *events: Mapping[str, Any]) -> list[str]:
    return [one["reason"] for one in (await tell(room, *events))["rejected"]]


def events(settings: Settings) -> list[EmailEvent]:
    found = records(settings, EVENTS)
    for record in found:
        assert record.partition == delivery_partition(record.key.decode(), settings.partitions_of(EVENTS))
    return [msgspec.json.decode(line, type=AnyEvent) for one in found for line in one.value.splitlines()]  # type: ignore[misc]


async def test_the_address_itself_is_kept_only_for_webhooks_that_may_ask_for_it(settings: Settings) -> None:
    for keeps, recipient in ((False, ""), (True, "Ada@example.com")):
        async with running(settings.model_copy(update={"webhooks_to": keeps})) as room:
            await room.client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"})
            before = len(events(room.settings))
            assert (await tell(room, told()))["accepted"] == 1
            sent, _ = events(room.settings)[before:]
            assert isinstance(sent, Sent)
            assert sent.recipient == recipient


async def test_delivered_is_what_the_sender_would_have_said(spring: Room) -> None:
    at = now()
    assert await tell(spring, told(at=at.isoformat(), message_id="<1@example.net>")) == {"accepted": 1, "rejected": []}
    sent, delivered = events(spring.settings)
    assert isinstance(sent, Sent)
    assert isinstance(delivered, Delivered)
    assert (sent.id, delivered.id) == tuple(str(event_id(DELIVERY, kind)) for kind in ("sent", "delivered"))
    assert (sent.at, delivered.at, sent.delivery_id, sent.variant) == (at, at, DELIVERY, "A")
    assert (sent.sender, sent.recipient_domain) == ("news@example.net", "example.com")
    assert (sent.message_id, sent.attempt) == ("1@example.net", 1)
    assert sent.address == spring.settings.keyring.address_ids("ada@example.com")[0]
    [record] = records(spring.settings, DELIVERIES)
    delivery = msgspec.json.decode(record.value, type=Delivery)
    assert delivery == Delivery(delivery_id=DELIVERY, request_id=delivered.request_id, at=at)


async def test_an_address_is_never_kept_whole(spring: Room) -> None:
    await tell(spring, told(), told("bounce", status="5.1.1"), told("complaint"))
    for topic in (EVENTS, DELIVERIES):
        for record in records(spring.settings, topic):
            assert b"ada@" not in record.value.lower()


async def test_telling_it_again_writes_the_same_ids(spring: Room) -> None:
    some = [told(), told("bounce", status="5.1.1"), told("deferred", status="4.2.1"), told("complaint")]
    await tell(spring, *some)
    first = events(spring.settings)
    await tell(spring, *some)
    again = events(spring.settings)
    assert len(again) == 2 * len(first)
    assert {event.id: event for event in again} == {event.id: event for event in first}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": "5.1.1"}, ("hard", "5.1.1")),
        ({"diagnostic": "550 5.1.1 no such user"}, ("hard", "5.1.1")),
        ({"status": "550", "diagnostic": "no such user here"}, ("hard", "550")),
        ({"diagnostic": "552 5.2.2 mailbox full"}, ("soft", "5.2.2")),
        ({"diagnostic": "550 5.7.1 listed at a blocklist"}, ("block", "5.7.1")),
        ({"status": "5.1.1", "bounce_class": "soft"}, ("soft", "5.1.1")),
        ({}, ("unknown", "")),
    ],
)
async def test_the_class_of_a_bounce_is_told_by_the_one_categoriser(
    spring: Room, fields: dict[str, str], expected: tuple[str, str]
) -> None:
    await tell(spring, told("bounce", **fields))
    sent, bounce = events(spring.settings)
    assert isinstance(sent, Sent)
    assert isinstance(bounce, Bounced)
    assert (bounce.bounce_class, bounce.status) == expected
    assert (bounce.id, bounce.via) == (str(event_id(DELIVERY, "bounce")), "session")
    assert records(spring.settings, DELIVERIES) == []


async def test_a_report_does_not_say_when_the_email_was_sent(spring: Room) -> None:
    await tell(spring, told("bounce", via="report", status="5.1.1", to=None))
    [bounce] = events(spring.settings)
    assert isinstance(bounce, Bounced)
    assert (bounce.bounce_class, bounce.via) == ("hard", "report")


async def test_each_attempt_that_was_put_off_is_an_event(spring: Room) -> None:
    first, second = (told("deferred", attempt=n, diagnostic="450 4.2.1 too quickly") for n in (1, 2))
    await tell(spring, first, second)
    found = events(spring.settings)
    assert [(event.attempt, event.status) for event in found if isinstance(event, Deferred)] == [
        (1, "4.2.1"),
        (2, "4.2.1"),
    ]
    assert found[0].id == str(event_id(DELIVERY, "deferred\x1f1"))


async def test_a_complaint(spring: Room) -> None:
    await tell(spring, told("complaint", to=None))
    [complaint] = events(spring.settings)
    assert isinstance(complaint, Complained)
    assert (complaint.category, complaint.matched_by) == ("abuse", "platform")


async def test_each_event_is_taken_or_rejected_by_itself(spring: Room) -> None:
    answer = await tell(
        spring,
        told(),
        told(campaign="autumn"),
        told(to=None),
        told(to="nowhere"),
        told(sender="nobody"),
        told("opened"),
        told(at="2026-11-23T09:00:00"),
        told(lead="a\x01b"),
        told(surprise=1),
        told(diagnostic="x" * 2001),
    )
    assert answer["accepted"] == 1
    assert [one["index"] for one in answer["rejected"]] == list(range(1, 10))
    assert [one["reason"] for one in answer["rejected"]] == [
        "campaign-unknown",
        "address-missing",
        "address-invalid",
        "address-invalid",
        "malformed",
        "malformed",
        "control-character",
        "malformed",
        "malformed",
    ]
    assert await spring.counted("sendlens_told_total", kind="delivered", result="accepted") == 1
    assert await spring.counted("sendlens_told_total", kind="delivered", result="campaign-unknown") == 1
    assert await spring.counted("sendlens_told_total", kind="unknown", result="malformed") == 4
    assert len(records(spring.settings, EVENTS)) == 1


async def test_what_has_not_happened_yet_or_too_long_ago_is_rejected(spring: Room) -> None:
    near = timedelta(minutes=4), timedelta(days=-29)
    far = timedelta(minutes=6), timedelta(days=-31)
    assert await reasons(spring, *(told(at=(now() + by).isoformat()) for by in near)) == []
    assert await reasons(spring, *(told(at=(now() + by).isoformat()) for by in far)) == ["at-future", "at-too-old"]


async def test_a_time_is_taken_in_any_offset(spring: Room) -> None:
    at = now()
    eastward = at.astimezone(timezone(timedelta(hours=9)))
    await tell(spring, told(at=eastward.isoformat()))
    assert events(spring.settings)[0].at == at


@pytest.mark.parametrize("number", [0, 1001])
async def test_a_batch_has_one_to_a_thousand_events(spring: Room, number: int) -> None:
    answer = await spring.client.post("/v1/events", json={"events": [told()] * number})
    assert (answer.status_code, answer.json()["reason"]) == (400, "batch-size")


async def test_the_same_key_is_answered_without_doing_it_again(spring: Room) -> None:
    some = told()
    for _ in range(2):
        await tell(spring, some, **{"Idempotency-Key": "k1"})
    assert len(records(spring.settings, EVENTS)) == 1


def stopped(pid: int) -> bool:
    """Whether every thread of a process has come to its stop, which takes each a moment."""
    states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()]
    return set(states) == {"T"}


async def test_while_kafka_does_not_answer_nothing_is_promised(
    settings_for: Callable[..., Settings], own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.api.batches._SECONDS", 1.0)
    own = settings_for(own_broker.bootstrap)
    create_topics(own)
    async with running(own) as room:
        await room.until_ready()
        assert (await room.client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"})).status_code == 201
        own_broker.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: stopped(own_broker.process.pid), 10, "the broker to stand still")
        try:
            answer = await room.client.post("/v1/events", json={"events": [told()]})
        finally:
            own_broker.process.send_signal(signal.SIGCONT)
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        await tell(room, told())


async def test_it_takes_a_key_with_the_scope_sends(settings: Settings) -> None:
    async with running(settings.model_copy(update={"api_key": "the-api-key-of-this-test"})) as room:
        assert (await room.client.post("/v1/events", json={"events": [told()]})).status_code == 401
