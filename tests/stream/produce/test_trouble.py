"""What a broker on paper can do to a producer at will: no record is lost or taken for another, and no partition stands
still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest
from kafka.cluster import ClusterMetadata
from kafka.errors import DuplicateSequenceNumberError, KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from kafka.structs import TopicPartition

from stream.produce import loop_producer
from stream.produce.broker_links import Address
from stream.produce.loop_producer import LoopProducer, ProducerSpent
from stream.produce.topic_leaders import TopicLeaders
from tests.stream.produce.paper_broker import DUPLICATE, ELSEWHERE, PaperBroker, paper_broker
from tests.support.waiting import idle, until


class Leaders:
    """All partitions are led from one place, unless a test says otherwise by `say`."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.say: Callable[[int], Address | None] = lambda _: self.address
        self.looked = 0

    def of(self, partition: int) -> Address | None:
        return self.say(partition)

    def look_again(self) -> None:
        self.looked += 1


class Bench:
    """A producer of the topic `t`, its broker, and what it answered."""

    def __init__(self, broker: PaperBroker, leaders: Leaders) -> None:
        self.broker = broker
        self.leaders = leaders
        self.producer = LoopProducer("t", leaders, 7, 0)
        self.answers: dict[bytes, KafkaError | None] = {}

    def send(self, partition: int, value: bytes, then: Callable[[], object] = lambda: None) -> None:
        def delivered(error: KafkaError | None) -> None:
            assert value not in self.answers, "answered twice"
            self.answers[value] = error
            then()

        self.producer.send(partition, value, delivered)

    async def answer(self, value: bytes) -> KafkaError | None:
        await until(lambda: value in self.answers, what=f"an answer to {value[:20]!r}")
        return self.answers[value]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with paper_broker() as (broker, address):
        bench = Bench(broker, Leaders(address))
        try:
            yield bench
        finally:
            bench.producer.close(KafkaConnectionError("the test is over"))


def once(broker: PaperBroker, does: Callable[[int, int, bytes], int | None]) -> None:
    """Have the broker do this to one batch, and as ever after it."""

    def first(partition: int, sequence: int, value: bytes) -> int | None:
        broker.does = None
        return does(partition, sequence, value)

    broker.does = first


async def test_a_record_that_is_too_large_now_and_may_be_there_of_before_leaves_no_number_to_another(
    bench: Bench,
) -> None:
    """Under its number the broker would take the next record for it, say yes, and write nothing."""
    broker = bench.broker

    def written_and_then_lowered(partition: int, sequence: int, value: bytes) -> None:
        broker.takes(partition, sequence, value)
        broker.largest = 10

    once(broker, written_and_then_lowered)
    bench.send(0, b"larger than ten")
    assert isinstance(await bench.answer(b"larger than ten"), ProducerSpent)
    bench.send(0, b"small")
    assert await bench.answer(b"small") is None
    assert broker.log[0] == [b"larger than ten", b"small"]


async def test_a_record_that_is_too_large_at_once_leaves_its_number_to_the_next(bench: Bench) -> None:
    bench.broker.largest = 10
    bench.send(0, b"larger than ten")
    bench.send(0, b"small")
    assert isinstance(await bench.answer(b"larger than ten"), MessageSizeTooLargeError)
    assert await bench.answer(b"small") is None
    assert bench.broker.log[0] == [b"small"]


async def test_a_duplicate_is_there_only_if_it_was_sent_before(bench: Bench) -> None:
    once(bench.broker, lambda *_: DUPLICATE)
    bench.send(0, b"the first try")
    assert isinstance(await bench.answer(b"the first try"), DuplicateSequenceNumberError)

    def no_answer(partition: int, sequence: int, value: bytes) -> None:
        once(bench.broker, lambda *_: DUPLICATE)

    once(bench.broker, no_answer)
    bench.send(1, b"the second")
    assert await bench.answer(b"the second") is None


async def test_a_partition_of_which_asking_fails_is_tried_again_and_holds_no_other_up(bench: Bench) -> None:
    asked = 0

    def say(partition: int) -> Address:
        nonlocal asked
        if partition == 1:
            asked += 1
            if asked < 3:
                raise KeyError("metadata are being replaced")
        return bench.leaders.address

    bench.leaders.say = say
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    for partition in (0, 1, 2):
        bench.send(partition, b"%d" % partition)
    assert [await bench.answer(b"%d" % partition) for partition in (0, 2, 1)] == [None, None, None]
    assert asked == 3


async def test_who_fails_at_an_answer_keeps_no_other_partition_from_its_own(bench: Bench) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    error = ZeroDivisionError()

    def fail() -> None:
        raise error

    bench.send(0, b"warms the connection")
    await bench.answer(b"warms the connection")
    for partition in (0, 1, 2):
        bench.send(partition, b"%d" % partition, then=fail)
        bench.send(partition, b"%d again" % partition)
    for partition in (0, 1, 2):
        assert await bench.answer(b"%d again" % partition) is None
    assert reported == [error] * 3


def always_elsewhere(bench: Bench) -> None:
    bench.broker.does = lambda *_: ELSEWHERE


def never_answered(bench: Bench) -> None:
    bench.broker.does = lambda *_: None


def nobody_listens(bench: Bench) -> None:
    bench.leaders.address = ("127.0.0.1", 1)


def no_leader(bench: Bench) -> None:
    bench.leaders.say = lambda _: None


Trouble = Callable[[Bench], None]
every_trouble = pytest.mark.parametrize("trouble", [always_elsewhere, never_answered, nobody_listens, no_leader])


@every_trouble
async def test_a_record_that_can_not_be_delivered_is_given_up_after_a_while(
    bench: Bench, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_producer, "_DELIVERY_SECONDS", 0.25)
    trouble(bench)
    bench.send(0, b"in vain")
    error = await bench.answer(b"in vain")
    assert isinstance(error, ProducerSpent)
    assert not error.retriable


@every_trouble
async def test_a_leader_that_is_of_no_use_is_tried_ever_more_seldom(bench: Bench, trouble: Trouble) -> None:
    """0, 0.1, 0.3, 0.7 and 1.5 s, by a fifth more or less; of one partition as of several."""
    trouble(bench)
    for partition in range(4):
        bench.send(partition, b"%d" % partition)
    await asyncio.sleep(2)
    assert 3 <= bench.leaders.looked <= 7
    assert len(bench.broker.requests) <= 7
    assert bench.broker.connections <= 7


async def test_partitions_that_come_one_after_the_other_dial_a_dead_leader_no_oftener_than_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    dialled, connect = 0, loop.create_connection

    async def counted(*given: object) -> object:
        nonlocal dialled
        dialled += 1
        return await connect(*given)  # type: ignore[call-overload]

    monkeypatch.setattr(loop, "create_connection", counted)
    nobody_listens(bench)
    for partition in range(20):
        bench.send(partition, b"%d" % partition)
        await asyncio.sleep(0.1)
    assert 3 <= dialled <= 7


async def test_a_leader_that_was_away_for_long_is_asked_within_a_second_of_its_return(bench: Bench) -> None:
    no_leader(bench)
    bench.send(0, b"waits")
    await until(lambda: bench.leaders.looked > 4, what="looking again and again")
    bench.leaders.say = lambda _: bench.leaders.address
    loop = asyncio.get_running_loop()
    back = loop.time()
    assert await bench.answer(b"waits") is None
    assert loop.time() - back < 2


@pytest.mark.parametrize("turns", range(12))
async def test_what_is_closed_while_it_connects_leaves_no_connection(bench: Bench, turns: int) -> None:
    bench.send(0, b"one")
    for _ in range(turns):
        await asyncio.sleep(0)
    bench.producer.close(KafkaConnectionError("closed"))
    await idle()
    await asyncio.sleep(0.05)
    await until(lambda: not bench.broker.open, what="connections closed")


async def test_leaders_are_read_of_metadata_that_are_replaced_at_that_moment() -> None:
    class Replaced:
        """Each look finds other metadata: every second ones know nothing of the topic."""

        looks = 0
        leader_for_partition = ClusterMetadata.leader_for_partition

        @property
        def _partitions(self) -> dict[str, dict[int, SimpleNamespace]]:
            self.looks += 1
            return {"t": {0: SimpleNamespace(leader_id=1)}} if self.looks % 2 else {}

        def broker_metadata(self, node: int) -> SimpleNamespace:
            return SimpleNamespace(host="example.com", port=9000 + node)

    metadata = Replaced()
    with pytest.raises(KeyError):
        metadata.leader_for_partition(TopicPartition("t", 0))
    metadata.looks = 0
    leaders = TopicLeaders(SimpleNamespace(_metadata=metadata), "t")  # type: ignore[arg-type]
    assert [leaders.of(0) for _ in range(4)] == [("example.com", 9001), None] * 2
