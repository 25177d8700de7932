"""A state topic in memory, on a real broker."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest
from kafka import KafkaProducer

from schemas.events import Campaign, Delivery
from schemas.settings import Settings
from schemas.topics import ATTEMPTS, CAMPAIGNS, Topic
from stream.records import OutRecord
from stream.state import StateTopic
from stream.wakeup.patience import Patience
from stream.wakeup.wake_ups import wake_ups
from stream.write_all import write_all
from tests.support.broker import Broker, create_topics, drop_topics, start_broker
from tests.support.waiting import until

pytestmark = pytest.mark.every_broker

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PATIENCE = 15.0


@pytest.fixture
def settings(broker: Broker) -> Iterator[Settings]:
    settings = settings_on(broker)
    create_topics(settings)
    yield settings
    drop_topics(settings)


def settings_on(broker: Broker) -> Settings:
    fields = {"kafka": broker.bootstrap, "topic_prefix": f"s{uuid4().hex[:8]}-", "partitions": 3}
    return Settings(_env_file=None, **fields)  # type: ignore[call-arg, arg-type]


@pytest.fixture
def follow(settings: Settings) -> Iterator[Callable[..., StateTopic[Campaign]]]:
    """Start views of `campaigns`; they are stopped afterwards."""
    started: list[StateTopic[Campaign]] = []

    def start(of: Settings = settings) -> StateTopic[Campaign]:
        view = StateTopic(of, CAMPAIGNS, Campaign, lambda campaign: campaign.id)
        view.start()
        started.append(view)
        return view

    yield start
    for view in started:
        view.stop()


def write(settings: Settings, topic: Topic, *values: bytes, partition: int = 0, at: float | None = None) -> None:
    """Write the values as one batch, as a busy producer does."""
    producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, linger_ms=50, acks="all")
    stamp = None if at is None else int(at * 1000)
    name = settings.topic(topic)
    sent = [producer.send(name, value, b"a-key", partition=partition, timestamp_ms=stamp) for value in values]
    for one in sent:
        one.get(timeout=PATIENCE)
    producer.close()


def campaign(id: str, name: str = "a campaign") -> bytes:
    return msgspec.json.encode(Campaign(id=id, name=name, created_at=NOW))


async def test_the_newest_record_of_a_key_wins(settings: Settings, follow: Callable[..., StateTopic[Campaign]]) -> None:
    write(settings, CAMPAIGNS, campaign("a", "first"), campaign("b"), campaign("a", "second"))
    view = follow()
    assert await view.wait_until_current(time.time(), PATIENCE)

    assert view.ready
    assert len(view) == 2
    newest = view.get("a")
    assert newest is not None
    assert newest.name == "second"
    assert view.get("c") is None


async def test_current_means_that_everything_written_before_can_be_read(
    settings: Settings, follow: Callable[..., StateTopic[Campaign]]
) -> None:
    """Also when the last batch on the topic has many records: more than one poll gives."""
    view = follow()
    for round_ in range(5):
        ids = [f"{round_}-{n}" for n in range(700)]
        write(settings, CAMPAIGNS, *(campaign(id) for id in ids))
        assert await view.wait_until_current(time.time(), PATIENCE)
        assert [id for id in ids if view.get(id) is None] == []


async def test_who_waits_for_a_view_waits_for_the_broker_and_not_for_its_next_look(
    follow: Callable[..., StateTopic[Campaign]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.state._POLL_MS", 60_000)
    view = follow()
    for name in ("first", "second"):
        write(settings, CAMPAIGNS, campaign("a", name))
        assert await view.wait_until_current(time.time(), PATIENCE)
        newest = view.get("a")
        assert newest is not None
        assert newest.name == name


async def test_a_view_is_not_ready_before_its_topic_exists(
    broker: Broker, follow: Callable[..., StateTopic[Campaign]]
) -> None:
    settings = settings_on(broker)
    view = follow(settings)
    assert not await view.wait_until_current(time.time(), 0.5)
    assert not view.ready

    create_topics(settings)
    assert await view.wait_until_current(time.time(), PATIENCE)
    assert view.ready


async def test_a_record_without_a_value_takes_back_what_stood_under_its_key(
    settings: Settings, follow: Callable[..., StateTopic[Campaign]]
) -> None:
    def bury(key: bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, acks="all")
        producer.send(settings.topic(CAMPAIGNS), None, key, partition=0).get(timeout=PATIENCE)
        producer.close()

    write(settings, CAMPAIGNS, campaign("a"), campaign("b"))
    bury(b"a")
    bury(b"never-there")
    view = follow()
    assert await view.wait_until_current(time.time(), PATIENCE)
    assert [one.id for one in view] == ["b"]
    bury(b"b")
    assert await view.wait_until_current(time.time(), PATIENCE)
    assert (len(view), view.rejected) == (0, 0)
    write(settings, CAMPAIGNS, campaign("b"))
    assert await view.wait_until_current(time.time(), PATIENCE)
    assert view.get("b") is not None


async def test_what_cannot_be_read_is_counted_and_stepped_over(
    settings: Settings, follow: Callable[..., StateTopic[Campaign]]
) -> None:
    deep = b'{"id": "a", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    write(settings, CAMPAIGNS, b"\xff", b"{}", b"", b'{"id": "\xff"}', deep, campaign("a"), b'{"id": 7}')
    view = follow()
    assert await view.wait_until_current(time.time(), PATIENCE)
    assert (len(view), view.rejected) == (1, 6)
    assert view.get("a") is not None


async def test_a_record_just_written_can_be_shown_at_once(follow: Callable[..., StateTopic[Campaign]]) -> None:
    view = follow()
    view.put(Campaign(id="mine", name="n", created_at=NOW))
    assert view.get("mine") is not None
    assert [one.id for one in view] == ["mine"]


async def test_only_the_recent_past_is_kept_where_that_is_all_a_topic_is(settings: Settings) -> None:
    now = time.time()  # as the writer says: deliveries have the broker's time on Apache Kafka

    def delivery(id: str) -> bytes:
        return msgspec.json.encode(Delivery(delivery_id=id, request_id=str(uuid4()), at=NOW))

    old, new = str(uuid4()), str(uuid4())
    write(settings, ATTEMPTS, delivery(old), at=now - 3600)
    write(settings, ATTEMPTS, delivery(new), at=now)
    view = StateTopic(settings, ATTEMPTS, Delivery, lambda one: one.delivery_id, forget_after=600)
    view.start()
    try:
        assert await view.wait_until_current(time.time(), PATIENCE)
        assert view.get(new) is not None
        assert view.get(old) is None
    finally:
        view.stop()


async def test_a_stopped_view_waits_for_nothing_and_still_knows(
    settings: Settings, follow: Callable[..., StateTopic[Campaign]]
) -> None:
    write(settings, CAMPAIGNS, campaign("a"))
    view = follow()
    assert await view.wait_until_current(time.time(), PATIENCE)
    await asyncio.to_thread(view.stop)
    started = time.monotonic()
    assert not await view.wait_until_current(time.time() + 60, PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2
    assert view.get("a") is not None


async def test_a_view_without_its_broker_keeps_what_it_read_and_is_not_current(own_broker: Broker) -> None:
    settings = settings_on(own_broker)
    create_topics(settings)
    write(settings, CAMPAIGNS, campaign("a"))
    view = StateTopic(settings, CAMPAIGNS, Campaign, lambda campaign: campaign.id)
    view.start()
    try:
        assert await view.wait_until_current(time.time(), PATIENCE)
        own_broker.kill()
        assert not await view.wait_until_current(time.time() + 1, 1.5)
        assert view.get("a") is not None
    finally:
        view.stop()


async def test_a_view_becomes_current_again_when_its_broker_is_back_with_what_it_held(kafka: Broker) -> None:
    settings = settings_on(kafka)
    create_topics(settings)
    write(settings, CAMPAIGNS, campaign("a"))
    view = StateTopic(settings, CAMPAIGNS, Campaign, lambda campaign: campaign.id)
    view.start()
    try:
        assert await view.wait_until_current(time.time(), PATIENCE)
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)
        await asyncio.to_thread(write, settings, CAMPAIGNS, campaign("b"))
        assert await view.wait_until_current(time.time(), PATIENCE)
        assert sorted(campaign.id for campaign in view) == ["a", "b"]
    finally:
        view.stop()


async def test_a_view_that_reads_its_topic_again_never_goes_back_to_an_older_state(
    follow: Callable[..., StateTopic[Campaign]],
) -> None:
    """A pause that is undone for as long as it takes to read the topic lets emails out."""
    broker = start_broker()
    try:
        settings = settings_on(broker)
        create_topics(settings)
        many = [campaign(f"other-{n}") for n in range(5000)]
        write(settings, CAMPAIGNS, campaign("a", "active"), *many, campaign("a", "paused"))
        view = follow(settings)
        assert await view.wait_until_current(time.time(), PATIENCE)
        broker.process.send_signal(signal.SIGSTOP)
        assert not await view.wait_until_current(time.time() + 1, 4.0)  # it has given the connection up
        broker.process.send_signal(signal.SIGCONT)
        write(settings, CAMPAIGNS, campaign("b"))
        seen = set()
        async with asyncio.timeout(PATIENCE):
            while view.get("b") is None:
                seen.add(getattr(view.get("a"), "name", None))
                await asyncio.sleep(0)
        seen.add(getattr(view.get("a"), "name", None))
        assert seen == {"paused"}
        assert len(view) == 5002
    finally:
        broker.process.send_signal(signal.SIGCONT)
        broker.kill()


async def test_a_view_that_nobody_writes_to_asks_seldom_and_is_woken_by_who_writes(
    settings: Settings, follow: Callable[..., StateTopic[Campaign]]
) -> None:
    write_all(settings, [OutRecord(CAMPAIGNS, 0, b"a", campaign("a"))])
    view = follow()
    assert await view.wait_until_current(time.time(), PATIENCE)
    for number in range(3):
        view._patience = Patience(0.2, 3600.0)
        view._patience._since -= 24 * 3600.0  # since yesterday
        await until(lambda: view._asks_at > time.time() + 60, PATIENCE)
        assert view.silent_for == 0, "it is not late with what it was not asked for"
        assert await view.wait_until_current(time.time(), PATIENCE), "who wants to know does not wait"
        view._patience._since -= 24 * 3600.0
        wake_ups(settings)._woken.clear()  # the last was yesterday too
        await until(lambda: view._asks_at > time.time() + 60, PATIENCE)
        write_all(settings, [OutRecord(CAMPAIGNS, 0, b"b", campaign("b", f"name {number}"))])
        await until(lambda: (found := view.get("b")) is not None and found.name == f"name {number}", PATIENCE)  # noqa: B023
