"""The way to Kafka heals by itself, whatever its producer failed of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from kafka.errors import ClusterAuthorizationFailedError, KafkaConnectionError, MessageSizeTooLargeError
from kafka.protocol.broker_version_data import BrokerVersionData

from schemas.errors import Reject, Retry
from schemas.settings import load
from schemas.topics import CAMPAIGNS, HITS
from stream.produce import loop_producer
from stream.produce.loop_producer import LoopProducer
from stream.produce.topic_leaders import TopicLeaders
from stream.publisher import Answer, Publisher
from tests.ingest.room import records
from tests.support.broker import Broker, create_topics

pytestmark = pytest.mark.every_broker


@pytest.mark.parametrize("error", [MessageSizeTooLargeError, ClusterAuthorizationFailedError, KafkaConnectionError])
async def test_a_producer_that_has_failed_for_good_is_replaced(
    broker: Broker, tmp_path: Path, error: type[Exception]
) -> None:
    settings = load(kafka=broker.bootstrap, topic_prefix=f"p{uuid4().hex[:8]}-", partitions=2, data_dir=tmp_path)
    create_topics(settings)
    publisher = Publisher(settings, [CAMPAIGNS])
    publisher.start()
    try:
        await _published(publisher, "before")
        failed = publisher._producer
        assert isinstance(failed, KafkaProducer)
        failed._transaction_manager.transition_to_fatal_error(error())
        await _published(publisher, "after")
        assert publisher._producer is not failed
        await asyncio.to_thread(failed._sender.join, 20)
        assert not failed._sender.is_alive()
    finally:
        await publisher.stop(1.0)


async def _published(publisher: Publisher, key: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await publisher.publish(CAMPAIGNS, key, b"{}", 5.0)
            except (Retry, Reject):  # the failed one says its error of all that it is given
                await asyncio.sleep(0.05)


async def test_a_busy_topic_outlives_every_failure_of_either_producer(broker: Broker, tmp_path: Path) -> None:
    settings = load(kafka=broker.bootstrap, topic_prefix=f"p{uuid4().hex[:8]}-", partitions=2, data_dir=tmp_path)
    create_topics(settings)
    publisher = Publisher(settings, [CAMPAIGNS, HITS], busy=HITS)
    publisher.start()
    try:
        await _published(publisher, "first")
        assert await _sent(publisher, b"one") is None
        # The other topics' producer fails, which only their next record tells.
        failed = publisher._producer
        assert isinstance(failed, KafkaProducer)
        failed._transaction_manager.transition_to_fatal_error(ClusterAuthorizationFailedError())
        assert await _sent(publisher, b"two") is None
        await _published(publisher, "second")
        assert publisher._producer is not failed
        assert await _sent(publisher, b"three") is None
        # The busy topic's own fails: a sequence number that the broker does not expect.
        by_loop = publisher._loop_producer
        assert isinstance(by_loop, LoopProducer)
        by_loop._queues[0].sequence += 7
        assert isinstance(await _sent(publisher, b"four"), Retry)
        await _published(publisher, "third")
        assert publisher._loop_producer not in (by_loop, None)
        assert await _sent(publisher, b"four") is None
    finally:
        await publisher.stop(1.0)
    assert [record.value for record in records(settings, HITS)] == [b"one", b"two", b"three", b"four"]


async def test_what_can_not_be_delivered_is_given_back_and_both_producers_are_replaced(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metadata that nobody fetches any more, after a leader moved: no resend would ever find it."""
    settings = load(kafka=broker.bootstrap, topic_prefix=f"p{uuid4().hex[:8]}-", partitions=2, data_dir=tmp_path)
    create_topics(settings)
    publisher = Publisher(settings, [CAMPAIGNS, HITS], busy=HITS)
    publisher.start()
    try:
        await _published(publisher, "first")
        assert await _sent(publisher, b"one") is None
        spent = publisher._loop_producer
        assert isinstance(spent, LoopProducer)
        with monkeypatch.context() as patched:
            patched.setattr(loop_producer, "_DELIVERY_SECONDS", 0.2)
            patched.setattr(TopicLeaders, "of", lambda *_: None)
            said = await _sent(publisher, b"two")
        assert isinstance(said, Retry)
        assert "not delivered" in str(said)
        await _published(publisher, "second")
        assert publisher._loop_producer not in (spent, None)
        assert await _sent(publisher, b"two") is None
    finally:
        await publisher.stop(1.0)
    assert [record.value for record in records(settings, HITS)] == [b"one", b"two"]


@pytest.mark.parametrize("versions", [(0, 5), (9, 13)])
async def test_a_broker_that_takes_no_such_produce_is_refused_with_the_reason(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, versions: tuple[int, int]
) -> None:
    settings = load(kafka=broker.bootstrap, topic_prefix=f"p{uuid4().hex[:8]}-", partitions=2, data_dir=tmp_path)
    create_topics(settings)
    made = Publisher._make

    def older(publisher: Publisher) -> KafkaProducer:
        producer = made(publisher)
        manager = producer._sender._client._manager
        manager.broker_version_data = BrokerVersionData(
            (2, 0), {**manager.broker_version_data.api_versions, 0: versions}
        )
        return producer

    monkeypatch.setattr(Publisher, "_make", older)
    publisher = Publisher(settings, [HITS], busy=HITS)
    publisher.start()
    try:
        async with asyncio.timeout(20):
            while "Produce" not in (publisher.problem or ""):
                await asyncio.sleep(0.02)
        low, high = versions
        assert publisher.problem is not None
        assert f"speaks as 2.0) takes Produce {low} to {high}, hits are written by Produce 7" in publisher.problem
        assert not publisher.unreachable
    finally:
        await publisher.stop(1.0)


async def _sent(publisher: Publisher, value: bytes) -> Answer:
    """The answer to a record of the busy topic."""
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    publisher.send(HITS, 0, None, value, answer.set_result)
    return await asyncio.wait_for(answer, 20)
