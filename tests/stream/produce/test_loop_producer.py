"""Each record is written once and in order, whatever becomes of connections, brokers and answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaConnectionError, KafkaError

from schemas.settings import Settings, load
from schemas.topics import HITS
from stream.produce.broker_links import Address
from stream.produce.loop_producer import LoopProducer, ProducerSpent
from tests.ingest.hits.test_too_large import limit
from tests.ingest.room import records
from tests.support.broker import Broker, Tansu, create_topics
from tests.support.waiting import until

pytestmark = pytest.mark.every_broker


class Relay:
    """A port in front of the broker that can swallow its answers, cut its connections, or be closed."""

    def __init__(self, broker: Address) -> None:
        self._broker = broker
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.swallowing = False
        self.swallowed = 0

    async def open(self) -> Address:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return host, port

    async def close(self) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Lose every connection of now."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection(*self._broker)
        self._writers += [writer, to_broker]
        for one in (self._pass(reader, to_broker, False), self._pass(from_broker, writer, True)):
            task = asyncio.create_task(one)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if answers and self.swallowing:
                    self.swallowed += len(data)
                else:
                    writer.write(data)
        writer.transport.abort()


class OneLeader:
    """Says that all leaders are in one place, and can be told another, or none."""

    def __init__(self, address: Address | None) -> None:
        self.address = address
        self.looked = 0

    def of(self, partition: int) -> Address | None:
        return self.address

    def look_again(self) -> None:
        self.looked += 1


class Bench:
    """A producer of hits behind a relay, and what its topic holds."""

    def __init__(self, settings: Settings, producer: LoopProducer, leader: OneLeader, relay: Relay) -> None:
        self.settings = settings
        self.producer = producer
        self.leader = leader
        self.relay = relay
        self.answers: list[tuple[bytes, KafkaError | None]] = []

    def send(self, partition: int, value: bytes) -> None:
        self.producer.send(partition, value, lambda error: self.answers.append((value, error)))

    async def answered(self, count: int) -> None:
        async def all_answered() -> bool:
            return len(self.answers) >= count

        await until(all_answered, what=f"{count} answers")

    def written(self) -> list[tuple[int, bytes]]:
        return [(record.partition, record.value) for record in records(self.settings, HITS)]


@pytest.fixture
async def bench(broker: Broker, tmp_path: Path) -> AsyncIterator[Bench]:
    settings = load(kafka=broker.bootstrap, topic_prefix=f"p{uuid4().hex[:8]}-", partitions=3, data_dir=tmp_path)
    create_topics(settings)
    producer_id, epoch = await asyncio.to_thread(an_id, settings)
    host, port = broker.bootstrap.rsplit(":", 1)
    relay = Relay((host, int(port)))
    leader = OneLeader(await relay.open())
    producer = LoopProducer(settings.topic(HITS), leader, producer_id, epoch)
    try:
        yield Bench(settings, producer, leader, relay)
    finally:
        producer.close(KafkaConnectionError("the test is over"))
        await relay.close()


def an_id(settings: Settings) -> tuple[int, int]:
    """A producer's id and epoch, of the broker."""
    producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, enable_idempotence=True, acks="all")
    try:
        producer.send(settings.topic(HITS), b"the first", partition=2).get(20)
        known = producer._transaction_manager.producer_id_and_epoch
        return known.producer_id, known.epoch
    finally:
        producer.close()


async def test_records_are_written_once_in_order_on_their_partition(bench: Bench) -> None:
    for number in range(40):
        bench.send(number % 2, b"%d" % number)
    await bench.answered(40)
    assert {error for _, error in bench.answers} == {None}
    for partition in (0, 1):
        found = [value for at, value in bench.written() if at == partition]
        assert found == [b"%d" % number for number in range(partition, 40, 2)]


Trouble = Callable[[Bench], Awaitable[None]]


async def cut_before_the_answer(bench: Bench) -> None:
    bench.relay.swallowing = True
    bench.send(0, b"in trouble")
    await until(lambda: bench.relay.swallowed > 0, what="an answer on its way")
    bench.relay.swallowing = False
    bench.relay.cut()


async def cut_and_sent_at_once(bench: Bench) -> None:
    bench.relay.cut()
    bench.send(0, b"in trouble")


async def nobody_listens(bench: Bench) -> None:
    there, bench.leader.address = bench.leader.address, ("127.0.0.1", 1)
    bench.relay.cut()
    bench.send(0, b"in trouble")

    async def looked() -> bool:
        return bench.leader.looked > 1

    await until(looked, what="asking where the leader is")
    bench.leader.address = there


async def no_leader(bench: Bench) -> None:
    there, bench.leader.address = bench.leader.address, None
    bench.send(0, b"in trouble")

    async def looked() -> bool:
        return bench.leader.looked > 0

    await until(looked, what="asking where the leader is")
    bench.leader.address = there


@pytest.mark.parametrize("trouble", [cut_before_the_answer, cut_and_sent_at_once, nobody_listens, no_leader])
async def test_a_record_in_trouble_is_written_once(bench: Bench, trouble: Trouble) -> None:
    bench.send(0, b"before")
    await bench.answered(1)
    await trouble(bench)
    bench.send(0, b"after")
    await bench.answered(3)
    assert bench.answers == [(b"before", None), (b"in trouble", None), (b"after", None)]
    assert [value for at, value in bench.written() if at == 0] == [b"before", b"in trouble", b"after"]


async def test_what_is_left_at_the_end_is_answered_with_the_error(bench: Bench) -> None:
    bench.leader.address = None
    bench.send(0, b"one")
    bench.send(0, b"two")
    closed = KafkaConnectionError("closed")
    bench.producer.close(closed)
    assert bench.answers == [(b"one", closed), (b"two", closed)]


async def test_who_leaves_waits_for_what_is_in_flight_and_not_for_a_broker_that_is_away(bench: Bench) -> None:
    bench.send(0, b"in flight")
    await bench.producer.drain(60.0)
    assert bench.answers == [(b"in flight", None)]
    bench.leader.address = None
    bench.send(0, b"in vain")
    await bench.producer.drain(0.05)
    assert bench.answers == [(b"in flight", None)]


async def test_an_id_that_the_broker_does_not_take_is_an_error(bench: Bench) -> None:
    """Its sequence numbers are wrong: as after a broker that came back with nothing, no resend can mend it."""
    bench.send(2, b"out of order")
    bench.producer._queues[2].sequence = 7
    await bench.answered(1)
    (_, error), *_ = bench.answers
    assert error is not None
    assert not error.retriable


async def test_what_is_written_and_then_too_large_leaves_its_number_to_no_other_record(
    bench: Bench, broker: Broker
) -> None:
    """Kafka looks at the size first: it refuses what it has, and would take another record of that number for it."""
    if isinstance(broker, Tansu):
        pytest.skip("the embedded broker has no limits")
    bench.relay.swallowing = True
    large = b"x" * 20_000
    bench.send(0, large)
    await until(lambda: bench.relay.swallowed > 0, what="an answer on its way")
    await asyncio.to_thread(limit, bench.settings, HITS, 10_000)
    bench.relay.swallowing = False
    bench.relay.cut()
    await bench.answered(1)
    bench.send(0, b"small")
    await bench.answered(2)
    assert bench.answers[1] == (b"small", None)
    assert isinstance(bench.answers[0][1], ProducerSpent)
    assert [value for at, value in bench.written() if at == 0] == [large, b"small"]
