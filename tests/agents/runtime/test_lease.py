"""A worker that Kafka has not heard of for a session writes nothing: its partitions may be another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError
from kafka import KafkaProducer

from agents.pipeline import GUARD
from agents.runtime.lag_monitor import lag
from agents.runtime.lease import Lease
from agents.runtime.metrics import RETRIES
from agents.runtime.wiring import StageApp
from schemas.errors import Retry
from schemas.settings import load
from schemas.topics import EVENTS, PAUSES
from stream.records import Handler, HandleResult, OutRecord, Record
from tests.ingest.room import records
from tests.support.broker import Broker, create_topics
from tests.support.waiting import until

SESSION = 6.0


def test_a_lease_lasts_from_the_asking_and_not_from_the_answer() -> None:
    now = 100.0
    lease = Lease(10.0, lambda: now)
    with pytest.raises(Retry, match="may be another's"):
        lease.check()
    lease.renew()
    now = 108.0
    lease.check()
    lease.renew(asked_at=99.0)  # an answer that came late takes nothing away
    lease.check()
    now = 109.5
    with pytest.raises(Retry, match="may be another's"):
        lease.check()
    lease.renew(asked_at=109.0)
    lease.check()


class Decides(Handler):
    """Answers each record with a pause of its own name, once it is let go."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.holds = asyncio.Event()
        self.go = asyncio.Event()

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        self.holds.set()
        await self.go.wait()
        return HandleResult(out=[OutRecord(PAUSES, 0, b"spring", self.name.encode())])


async def test_what_a_worker_decided_before_it_stood_still_is_not_written_after_another_has_its_work(
    tmp_path: Path, standing_kafka: Broker
) -> None:
    options = standing_kafka.surroundings | {"session_seconds": SESSION, "partitions": 1, "data_dir": tmp_path}
    settings = load(**options, kafka=standing_kafka.bootstrap, topic_prefix=f"lease{uuid4().hex[:8]}-")
    await asyncio.to_thread(create_topics, settings)
    still, other = Decides("still"), Decides("other")
    first, second = StageApp(GUARD, still, settings), StageApp(GUARD, other, settings)
    producer = KafkaProducer(bootstrap_servers=settings.kafka_servers)
    awake = threading.Event()

    async def drained() -> bool:
        return await asyncio.to_thread(lag, settings, (GUARD,)) == {"guard": 0}

    try:
        await first.start()
        await asyncio.to_thread(producer.send(settings.topic(EVENTS), b"{}\n", partition=0).get, 30)
        await until(still.holds.is_set, what="the first to hold the record")
        _stand_still(first, awake)
        other.go.set()
        await second.start()
        await until(drained, what="the other's decision")
        tried = RETRIES.labels("guard")._value.get()
        still.go.set()  # it wakes, and goes on where it was before it hears of anything
        await until(lambda: RETRIES.labels("guard")._value.get() > tried, what="its try to write")
        awake.set()
        await until(lambda: len(first.owned) + len(second.owned) == 1, what="one owner")
    finally:
        awake.set()
        await asyncio.gather(first.stop(), second.stop())
        producer.close()
    assert [record.value for record in records(settings, PAUSES)] == [b"other"]


def _stand_still(app: StageApp, awake: threading.Event) -> None:
    """Let no heartbeat out until it is awake."""
    coordinator = app._app.consumer._thread._consumer._coordinator
    beat = coordinator._do_heartbeat

    async def later() -> bool:
        while not awake.is_set():
            await asyncio.sleep(0.05)
        return bool(await beat())

    coordinator._do_heartbeat = later


async def test_what_lay_in_a_producer_while_the_lease_ran_out_is_not_written(broker: Broker) -> None:
    settings = load(kafka=broker.bootstrap, topic_prefix=f"held{uuid4().hex[:8]}-", partitions=1)
    create_topics(settings)
    topic, now = settings.topic(PAUSES), 100.0
    lease = Lease(10.0, lambda: now)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, linger_ms=50)
    await producer.start()
    lease.hold_back(producer._sender)
    try:
        lease.renew()
        await producer.send_and_wait(topic, b"while it holds", partition=0)
        waits = await producer.send(topic, b"as it runs out", partition=0)
        now = 110.0  # the worker stands still here, and wakes
        with pytest.raises(KafkaTimeoutError, match="held back"):
            await waits
        lease.renew()
        await producer.send_and_wait(topic, b"once it holds again", partition=0)
    finally:
        await producer.stop()
    written = await asyncio.to_thread(records, settings, PAUSES)
    assert [record.value for record in written] == [b"while it holds", b"once it holds again"]
