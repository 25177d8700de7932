"""No record is passed over, however Faust loses it: it comes again, and is not committed past meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from agents.runtime.contiguous_consumer import ContiguousConsumer

HITS = TP("hits", 0)
_BATCH = 5


class PlayedConsumer(Consumer):
    """Faust's consumer, conductor, stream and rebalancing on one partition; the broker is played.

    `there` are the offsets that have records, `held` is what is committed, `handled` what the stage did. A commit past
    a record that was not handled fails.
    """

    def __init__(self, held: int | None, there: Sequence[int]) -> None:
        app = faust.App("played", broker="kafka://127.0.0.1:1", web_enabled=False, topic_disable_leader=True)
        app.conf.stream_buffer_maxsize = 10
        app.conf.stream_recovery_delay = 0.0
        app.conf.stream_wait_empty = False  # as in wiring.py
        app.finalize()
        app.consumer = self
        super().__init__(
            app.transport,
            app.topics.on_message,
            on_partitions_revoked=app._on_partitions_revoked,
            on_partitions_assigned=app._on_partitions_assigned,
        )
        app.topics.acks_enabled_for = lambda topic: True  # type: ignore[method-assign]
        app._fetcher = SimpleNamespace(maybe_start=_nothing)  # type: ignore[attr-defined]
        self.topic = app.topic("hits", key_serializer="raw", value_serializer="raw")
        app.topics.add(self.topic)
        app.topics._subscription_done = None  # type: ignore[attr-defined]  # nobody subscribes
        self.held, self.there = held, there
        self.position, self.takes = held or there[0], True
        self.skips: dict[int, int] = {}  # before which fetch how many are fetched by nobody
        self.fetches = self.assigned = 0
        self.paused_at = -1  # the fetch whose records nobody wants when they come
        self.handled: list[int] = []
        self.kept: list[Any] = []  # events that the stage has not finished
        self.sought, self.commit_asked = asyncio.Event(), asyncio.Event()  # what the broker was asked
        self.seek_answered, self.commit_answered = asyncio.Event(), asyncio.Event()
        self.seek_answered.set()
        self.commit_answered.set()
        self.idle, self.ours = False, {HITS}
        self.now = 0.0

    def in_flight(self) -> Mapping[TP, int]:
        return {HITS: self.kept[0].message.offset} if self.kept else {}

    def assignment(self) -> set[TP]:
        return self.ours

    def highwater(self, tp: TP) -> int:
        return self.there[-1] + 1

    async def seek_to_committed(self) -> Mapping[TP, int]:
        if self.held:  # as aiokafka
            self.position = self.held
        held = self.held
        self.sought.set()
        await self.seek_answered.wait()
        return {HITS: held}  # type: ignore[dict-item]  # None where nothing was committed, as aiokafka has it

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return {HITS: self.there[0]}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.position = partitions[HITS]

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        before = self.held or 0
        self.commit_asked.set()
        await self.commit_answered.wait()
        if self.takes:
            self.held = offsets[HITS]
            passed = set(self.there) & set(range(before, self.held))
            assert passed <= set(self.handled), "committed past what was not handled"
        return self.takes

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109
        self.position += self.skips.pop(self.fetches, 0)
        self.fetches += 1
        left = [offset for offset in self.there if offset >= self.position][:_BATCH]
        self.idle = not left
        await asyncio.sleep(0)
        if not left:
            return {}
        if self.fetches == self.paused_at:
            active_partitions.discard(HITS)
            asyncio.get_running_loop().call_soon(active_partitions.add, HITS)
        self.position = left[-1] + 1
        return {HITS: [SimpleNamespace(offset=offset) for offset in left]}

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        generation = self.app.consumer_generation_id
        return ConsumerMessage(
            *(tp.topic, tp.partition, record.offset, 0.0, 0, [], None, b"", None), tp=tp, generation_id=generation
        )

    async def sleep(self, n: Any) -> None:
        await asyncio.sleep(0)

    async def rebalance(self) -> None:
        """Lose the partition and be assigned it again; not yet resumed."""
        await self.on_partitions_revoked({HITS})
        self.assigned += 1
        self.app.consumer_generation_id = self.assigned
        await self.on_partitions_assigned({HITS}, self.assigned)

    async def resume(self) -> None:
        """The end of a rebalance, as Faust has it."""
        recovery: Any = self.app.tables.recovery  # type: ignore[attr-defined]
        recovery.signal_recovery_start.clear()
        await recovery._resume_streams(self.assigned)

    async def work(self, most: int) -> None:
        """Finish so many records of the stream."""
        for _ in range(most):
            event = await self.topic.queue.get()
            self.handled.append(event.message.offset)
            event.message.refcount = 1
            event.ack()

    async def settle(self) -> None:
        """Work until nothing comes any more, committing every second."""
        quiet = 0
        for _ in range(1_000):
            if quiet == 30:
                return
            for _ in range(30):
                await asyncio.sleep(0)
            waiting = self.topic.queue.qsize()
            await self.work(waiting)
            self.topic.queue.maybe_endorse_pressure_drop()  # as an agent that waits for more
            await self.commit()
            self.now += 1.0
            if isinstance(self, ContiguousConsumer):
                self._look(self.now)
            quiet = 0 if waiting or not self.idle else quiet + 1
        raise AssertionError("never done")


async def _nothing(*_: Any, **__: Any) -> None: ...


class Contiguous(ContiguousConsumer, PlayedConsumer):
    """What wiring makes of it."""

    in_flight = PlayedConsumer.in_flight


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


Loss = Callable[[PlayedConsumer], Awaitable[None]]


async def queue_emptied_in_the_middle(consumer: PlayedConsumer) -> None:
    await consumer.work(2)
    await until(lambda: consumer.topic.queue.qsize() >= 3)
    consumer.app.flow_control.clear()


async def queue_emptied_at_the_end(consumer: PlayedConsumer) -> None:
    await consumer.work(16)
    await until(lambda: consumer.idle)
    assert consumer.topic.queue.qsize() == 4
    consumer.app.flow_control.clear()


async def fetched_and_not_handed_on(consumer: PlayedConsumer) -> None:
    consumer.skips = {consumer.fetches + 1: 3}


async def one_fetched_and_not_handed_on(consumer: PlayedConsumer) -> None:
    consumer.skips = {consumer.fetches: 1}


async def paused_while_it_is_handed_on(consumer: PlayedConsumer) -> None:
    consumer.paused_at = consumer.fetches + 1


async def two_rebalances_in_succession(consumer: PlayedConsumer) -> None:
    """The end of the first lets records flow in the second, which seeks and then empties the streams."""
    await consumer.work(3)
    await consumer.commit()
    await consumer.rebalance()
    consumer.seek_answered.clear()
    consumer.sought.clear()
    first = asyncio.create_task(consumer.resume())
    for _ in range(10):
        await asyncio.sleep(0)
    await consumer.on_partitions_revoked({HITS})
    consumer.seek_answered.set()
    await first
    consumer.seek_answered.clear()
    await consumer.on_partitions_assigned({HITS}, consumer.assigned)
    second = asyncio.create_task(consumer.resume())
    for _ in range(100):
        await asyncio.sleep(0)
    consumer.seek_answered.set()
    await second


LOSSES: tuple[Loss, ...] = (
    queue_emptied_in_the_middle,
    queue_emptied_at_the_end,
    fetched_and_not_handed_on,
    one_fetched_and_not_handed_on,
    paused_while_it_is_handed_on,
    two_rebalances_in_succession,
)


async def lose(made: type[PlayedConsumer], held: int | None, there: Sequence[int], loss: Loss) -> PlayedConsumer:
    """A consumer that the loss has befallen, and that has read all."""
    consumer = made(held, there)
    await consumer.rebalance()
    await consumer.resume()
    stopped = asyncio.Event()
    draining = asyncio.create_task(consumer._drain_messages(SimpleNamespace(_stopped=stopped)))  # type: ignore[arg-type]
    try:
        await loss(consumer)
        await consumer.settle()
    finally:
        stopped.set()
        draining.cancel()
    return consumer


@pytest.mark.parametrize("held", [None, 0, 10])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_what_was_lost_comes_again_before_it_is_committed_past(loss: Loss, held: int | None) -> None:
    there = range(held or 0, (held or 0) + 20)
    consumer = asyncio.run(lose(Contiguous, held, there, loss))
    assert set(consumer.handled) == set(there)
    assert consumer.held == there[-1] + 1


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_faust_alone_loses_it(loss: Loss) -> None:
    async def read() -> None:
        consumer = await lose(PlayedConsumer, 10, range(10, 30), loss)
        assert (set(consumer.handled), consumer.held) == (set(range(10, 30)), 30), "never read, or committed past"

    with pytest.raises(AssertionError, match="committed past"):
        asyncio.run(read())


async def started(held: int | None, there: Sequence[int]) -> Contiguous:
    """A consumer whose partition was assigned and sought, and that has fetched once."""
    consumer = Contiguous(held, there)
    await consumer.rebalance()
    await consumer.resume()
    await again(consumer)
    return consumer


async def again(consumer: Contiguous) -> list[int]:
    """What the next fetch hands on."""
    fetched = await consumer._getmany(consumer._get_active_partitions(), 0.0)
    return [record.offset for record in fetched.get(HITS, ())]


def finish(consumer: Contiguous, *offsets: int) -> None:
    """Acknowledge records that were read at these offsets."""
    for offset in offsets:
        consumer.handled.append(offset)
        consumer.ack(ConsumerMessage("hits", 0, offset, 0.0, 0, [], None, None, None, tp=HITS))


@pytest.mark.parametrize("held", [10, None], ids=["after a commit", "of a partition never committed"])
@pytest.mark.parametrize("answered", ["before the seek", "after the seek"])
def test_what_comes_again_after_a_refused_commit_is_committed(held: int | None, answered: str) -> None:
    first = held or 0

    async def refused_during_a_rebalance() -> int | None:
        consumer = await started(held, range(first, first + 5))
        finish(consumer, first, first + 1, first + 2)
        consumer.takes = False
        consumer.commit_answered.clear()
        commit = asyncio.create_task(consumer.commit())
        await consumer.commit_asked.wait()
        await consumer.rebalance()
        if answered == "before the seek":
            consumer.commit_answered.set()
            await commit
        await consumer.resume()
        await again(consumer)
        consumer.commit_answered.set()
        await commit
        consumer.takes = True
        finish(consumer, first, first + 1, first + 2)
        await consumer.commit()
        return consumer.held

    assert asyncio.run(refused_during_a_rebalance()) == first + 3


def test_a_commit_that_was_taken_is_not_waited_for_though_the_partition_was_sought_meanwhile() -> None:
    """What it covers comes again, and its acknowledgements are taken for old ones."""

    async def taken_after_a_seek() -> int | None:
        consumer = await started(10, range(10, 15))
        finish(consumer, 10, 11, 12)
        consumer.commit_answered.clear()
        commit = asyncio.create_task(consumer.commit())
        await consumer.commit_asked.wait()
        await consumer.resume()
        assert await again(consumer) == [10, 11, 12, 13, 14]
        consumer.commit_answered.set()
        await commit
        finish(consumer, 10, 11, 12, 13)
        await consumer.commit()
        return consumer.held

    assert asyncio.run(taken_after_a_seek()) == 14


def test_a_refused_commit_is_tried_again_without_a_rebalance() -> None:
    async def refused_once() -> int | None:
        consumer = await started(10, range(10, 15))
        finish(consumer, 10, 11)
        consumer.takes = False
        await consumer.commit()
        consumer.takes = True
        await consumer.commit()
        return consumer.held

    assert asyncio.run(refused_once()) == 12


GAPS = [10, 11, 14, 15, 20, 21, 22, 30, 40, 41]


def test_a_gap_that_is_there_again_is_one_of_compaction() -> None:
    async def nothing(_: PlayedConsumer) -> None: ...

    consumer = asyncio.run(lose(Contiguous, 10, GAPS, nothing))
    assert (consumer.handled, consumer.held) == (GAPS, 42)


def test_a_gap_within_a_fetch_is_kafkas_own_and_one_between_two_is_asked_for_once() -> None:
    there = [*GAPS[:5], *(one + 10 for one in GAPS[5:])]

    async def read() -> list[list[int]]:
        consumer = await started(10, there)
        return [await again(consumer) for _ in range(2)]

    assert asyncio.run(read()) == [[], there[5:]]


def test_records_that_have_expired_are_not_waited_for() -> None:
    async def nothing(_: PlayedConsumer) -> None: ...

    consumer = asyncio.run(lose(Contiguous, 10, range(17, 25), nothing))
    assert (consumer.handled, consumer.held) == (list(range(17, 25)), 25)


def looks_of(consumer: Contiguous, seconds: int) -> int:
    """How often partitions are read again within so many seconds."""
    before, times = consumer.now, 0
    for second in range(seconds):
        consumer._look(before + second)
        times += len(consumer._seek_back)
        consumer._seek_back.clear()
    consumer.now += seconds
    return times


def test_slow_work_is_not_read_again() -> None:
    """A record with the stage, in the stream before it, or not handed on yet is in flight, for however long."""

    async def wait(place: str) -> int:
        consumer = await started(10, range(10, 15))
        if place == "not handed on":
            return looks_of(consumer, 1_000)
        read: Any = consumer._handing_on[HITS]
        for record in read:
            await consumer.app.topics.on_message(consumer._to_message(HITS, record))
            consumer._read_offset[HITS] = record.offset
        await again(consumer)
        if place == "with the stage":
            consumer.kept = [await consumer.topic.queue.get() for _ in read]
        return looks_of(consumer, 1_000)

    for place in ("not handed on", "in the stream", "with the stage"):
        assert asyncio.run(wait(place)) == 0, place


def test_what_never_comes_is_asked_for_with_growing_patience() -> None:
    async def wait() -> list[int]:
        consumer = await started(10, range(10, 15))
        consumer._read_offset[HITS] = 14
        return [looks_of(consumer, seconds) for seconds in (4, 2, 60, 600)]

    at_first, soon, in_a_minute, later = asyncio.run(wait())
    assert (at_first, soon) == (0, 1)
    assert in_a_minute <= 4
    assert later <= 10


def test_what_is_read_again_is_not_handled_again_where_it_was_acknowledged() -> None:
    async def read() -> tuple[list[int], int | None]:
        consumer = await started(10, range(10, 15))
        consumer._read_offset[HITS] = 14
        finish(consumer, 10, 12, 14)
        await consumer.commit()
        while not consumer._seek_back:
            consumer.now += 1.0
            consumer._look(consumer.now)
        came = await again(consumer)
        finish(consumer, *came)
        await consumer.commit()
        return came, consumer.held

    assert asyncio.run(read()) == ([11, 13], 15)


def test_nothing_flows_between_the_loss_of_a_partition_and_its_assignment() -> None:
    """Where nothing was assigned, Faust stops nothing; and the end of an earlier rebalance starts it again."""

    async def flows() -> list[bool]:
        consumer = await started(10, range(10, 15))
        consumer.ours = set()
        await consumer.on_partitions_revoked(set())
        seen = [consumer.flow_active]
        consumer.resume_flow()
        seen.append(consumer.flow_active)
        consumer.ours = {HITS}
        await consumer.on_partitions_assigned({HITS}, consumer.assigned)
        await consumer.resume()
        return [*seen, consumer.flow_active]

    assert asyncio.run(flows()) == [False, False, True]


def test_what_was_handed_on_before_streams_were_emptied_is_handed_on_again() -> None:
    async def read() -> list[list[int]]:
        consumer = await started(10, range(10, 20))
        await consumer.perform_seek()
        seen = [await again(consumer)]
        consumer.app.flow_control.resume()
        consumer.resume_flow()
        return [*seen, await again(consumer), await again(consumer)]

    assert asyncio.run(read()) == [[10, 11, 12, 13, 14], [10, 11, 12, 13, 14], [15, 16, 17, 18, 19]]


def test_partitions_are_sought_again_while_something_else_is_assigned() -> None:
    async def read() -> tuple[list[int], list[int]]:
        consumer = await started(10, range(10, 15))
        right, consumer.seek_to_committed = consumer.seek_to_committed, _raises  # type: ignore[method-assign]
        await consumer.resume()
        nothing = await again(consumer)
        consumer.seek_to_committed = right  # type: ignore[method-assign]
        return nothing, await again(consumer)

    assert asyncio.run(read()) == ([], [10, 11, 12, 13, 14])


async def flow_after_a_seek_that_takes_too_long(made: type[PlayedConsumer]) -> bool:
    """Whether records flow after a rebalance in which the broker says for too long nothing of what is committed."""
    consumer = made(10, range(10, 15))
    consumer.app.conf.broker_request_timeout = 0.01
    recovery: Any = consumer.app.tables.recovery  # type: ignore[attr-defined]
    recovering = asyncio.create_task(recovery._restart_recovery.fun(recovery))
    try:
        consumer.seek_answered.clear()
        await consumer.rebalance()
        while not recovering.done() and not consumer.flow_active:
            await asyncio.sleep(0)
        consumer.seek_answered.set()
        await consumer.rebalance()
        while not recovering.done() and not consumer.flow_active:
            await asyncio.sleep(0)
        return consumer.flow_active
    finally:
        recovering.cancel()


def test_a_seek_that_takes_too_long_does_not_stop_the_flow_for_ever() -> None:
    """Faust takes the end of its patience for the end of the service, and resumes nothing in any later rebalance."""
    assert asyncio.run(flow_after_a_seek_that_takes_too_long(Contiguous))
    assert not asyncio.run(flow_after_a_seek_that_takes_too_long(PlayedConsumer))


async def _raises() -> Mapping[TP, int]:
    raise IllegalStateError("Partition is not assigned")


def test_what_was_acknowledged_twice_takes_no_memory() -> None:
    async def index() -> set[int]:
        consumer = await started(10, range(10, 15))
        finish(consumer, 10, 11, 12, 13, 14)
        consumer._advance(HITS, consumer._progress[HITS])
        finish(consumer, 10, 11, 12, 13, 14)
        await consumer.commit()
        return consumer._acked_index[HITS]

    assert asyncio.run(index()) == set()
