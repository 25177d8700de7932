"""The waiting line: in order, nothing acknowledged before it is done, nothing lost, poison set aside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agents.pipeline import BatchPolicy
from agents.runtime.in_flight import InFlightQueue
from schemas.errors import Misconfigured, Reject, Retry
from schemas.topics import EVENTS, HITS
from stream.records import Handler, HandleResult, OutRecord, PoisonRecord, Record
from tests.support.waiting import idle, until

PROMPT = BatchPolicy(batch=4, max_in_flight=100)


def record(offset: int, *, partition: int = 0, value: bytes = b"fine", at: float = 0.0) -> Record:
    return Record(HITS, partition, offset, b"", value, at)


class Echo(Handler):
    """Gives each record back on `events`; b"poison" is rejected, b"odd" breaks it; may be told to say Retry first."""

    def __init__(self, retries: int = 0, pause: asyncio.Event | None = None) -> None:
        self.retries = retries
        self.pause = pause
        self.groups: list[list[int]] = []

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        self.groups.append([one.offset for one in records])
        if self.pause is not None:
            await self.pause.wait()
        if self.retries:
            self.retries -= 1
            raise Retry("the database is away")
        for one in records:
            if one.value == b"poison":
                raise Reject("unreadable", "not JSON")
            if b"@" in one.value:
                raise Reject("address-invalid", f"{one.value.decode()!r} can't stand there")
            if one.value == b"odd":
                raise ZeroDivisionError("a fault of ours")
        return HandleResult(
            out=[OutRecord(EVENTS, one.partition, b"", one.value + str(one.offset).encode()) for one in records]
        )


class World:
    """A line with all that surrounds it, and what it did in order."""

    def __init__(self, policy: BatchPolicy, handler: Echo, **options: float) -> None:
        self.done: list[tuple[str, int]] = []
        self.written: list[bytes] = []
        self.dead: list[PoisonRecord] = []
        self.refuse_writes = 0
        self.now = 1000.0
        self.line = InFlightQueue("test", policy, handler, self.write, clock=lambda: self.now, **options)

    async def write(self, out: Sequence[OutRecord], dead: Sequence[PoisonRecord]) -> None:
        if self.refuse_writes:
            self.refuse_writes -= 1
            raise Retry("the broker is away")
        self.written += [one.value for one in out]
        self.dead += dead

    async def feed(self, *records: Record) -> None:
        for one in records:
            await self.line.feed(one, lambda one=one: self.done.append((f"p{one.partition}", one.offset)))  # type: ignore[misc]

    async def until(self, count: int) -> None:
        await until(lambda: len(self.done) >= count, 20)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    task = asyncio.create_task(world.line.run())
    try:
        yield world
    finally:
        world.line.stop()
        async with asyncio.timeout(20):
            await task


async def test_records_are_acknowledged_in_order_after_they_were_written() -> None:
    async with running(World(PROMPT, Echo())) as world:
        await world.feed(*(record(n) for n in range(10)))
        await world.until(10)
        assert world.done == [("p0", n) for n in range(10)]
        assert world.written == [b"fine%d" % n for n in range(10)]


async def test_nothing_is_acknowledged_while_the_handler_says_retry() -> None:
    handler = Echo(retries=1)
    async with running(World(PROMPT, handler)) as world:
        await world.feed(record(0), record(1))
        await world.until(2)
        assert handler.groups[0] == handler.groups[1], "the same records were tried again"
        assert world.written == [b"fine0", b"fine1"]


async def test_what_the_broker_did_not_take_is_written_again_but_not_handled_again() -> None:
    handler = Echo()
    world = World(PROMPT, handler)
    world.refuse_writes = 1
    async with running(world):
        await world.feed(record(0))
        await world.until(1)
    assert handler.groups == [[0]], "an email must not be sent twice because Kafka was away"
    assert world.written == [b"fine0"]


@pytest.mark.parametrize(("value", "reason"), [(b"poison", "unreadable"), (b"odd", "error")])
async def test_one_poison_record_is_set_aside_and_the_rest_goes_on(value: bytes, reason: str) -> None:
    async with running(World(PROMPT, Echo())) as world:
        await world.feed(record(0), record(1, value=value), record(2))
        await world.until(3)
        assert [(one.record.offset, one.reason) for one in world.dead] == [(1, reason)]
        assert world.dead[0].record.value == value
        assert world.written == [b"fine0", b"fine2"]


@pytest.mark.parametrize("value", [b"ada@example.com", b"odd"])
async def test_no_log_line_repeats_what_a_record_holds(value: bytes) -> None:
    """Whom an email is to, say: why it was set aside stands with it, for `sendlens dead show`."""
    with capture_logs() as logged:
        async with running(World(PROMPT, Echo())) as world:
            await world.feed(*(record(n, value=value if n == 1 else b"fine") for n in range(3)))
            await world.until(3)
    assert [line["event"] for line in logged][-1] == "record set aside in topic dead"
    assert not [line for line in logged if "ada@" in str(line) or "a fault of ours" in str(line)]
    assert world.dead[0].detail


async def test_a_record_waits_for_its_settle_delay_since_it_was_written() -> None:
    handler = Echo()
    world = World(BatchPolicy(batch=4, max_in_flight=100, settle=True), handler, settle=5.0)
    async with running(world):
        await world.feed(record(0, at=996.0), record(1, at=1000.0))
        await idle()
        assert not handler.groups
        world.now = 1001.5
        await world.feed(record(2, at=1001.4))
        await world.until(1)
        assert handler.groups == [[0]]
        world.now = 1006.6
        await world.until(3)


async def test_a_record_that_comes_late_waits_until_all_of_its_settle_delay_has_been_read() -> None:
    """An hour behind, what was written in the 5 s after a record is still on its way from Kafka."""
    handler = Echo()
    world = World(BatchPolicy(batch=4, max_in_flight=100, settle=True), handler, settle=5.0)
    async with running(world):
        await world.feed(record(0, at=100.0), record(1, at=104.0), record(0, at=999.0, partition=1))
        await idle()
        assert not handler.groups, "another partition's record says nothing"
        await world.feed(record(2, at=105.1))
        await world.until(1)
        assert handler.groups == [[0]]
        world.now = 1005.0
        await world.until(4)


async def test_a_handler_knows_of_a_record_before_it_is_due() -> None:
    class Watching(Echo):
        def __init__(self) -> None:
            super().__init__()
            self.known: list[int] = []

        def arrived(self, record: Record) -> None:
            self.known.append(record.offset)

    handler = Watching()
    async with running(World(BatchPolicy(batch=4, max_in_flight=100, settle=True), handler, settle=5.0)) as world:
        await world.feed(record(0, at=1000.0), record(1, at=1000.0))
        assert (handler.known, handler.groups) == ([0, 1], [])
        world.now = 1005.0
        await world.until(2)


async def test_a_producer_whose_clock_is_ahead_delays_a_record_by_no_more_than_the_settle_delay() -> None:
    world = World(BatchPolicy(batch=4, max_in_flight=100, settle=True), Echo(), settle=5.0)
    async with running(world):
        await world.feed(record(0, at=99_999.0))
        world.now = 1005.0
        await world.until(1)


async def test_calls_run_side_by_side_and_are_acknowledged_in_order() -> None:
    first = asyncio.Event()

    class Slow(Echo):
        async def handle(self, records: Sequence[Record]) -> HandleResult:
            if records[0].offset == 0:
                await first.wait()
            return await super().handle(records)

    async with running(World(BatchPolicy(batch=1, max_in_flight=100, calls=3), Slow())) as world:
        await world.feed(record(0), record(1), record(2))
        await until(lambda: len(world.written) >= 2, 20)
        assert world.done == [], "1 and 2 are done, but 0 is not: acknowledging them would commit past it"
        first.set()
        await world.until(3)
        assert [offset for _, offset in world.done] == [0, 1, 2]


async def test_a_full_line_makes_its_feeder_wait() -> None:
    gate = asyncio.Event()
    async with running(World(BatchPolicy(batch=1, max_in_flight=2), Echo(pause=gate))) as world:
        await world.feed(record(0))
        await idle()  # the first is being handled and no longer held
        await world.feed(record(1), record(2))
        fourth = asyncio.create_task(world.feed(record(3)))
        await idle()
        assert not fourth.done()
        gate.set()
        await world.until(4)


async def test_a_line_of_large_records_is_full_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.in_flight._IN_FLIGHT_BYTES", 1000)
    gate = asyncio.Event()
    async with running(World(BatchPolicy(batch=1, max_in_flight=100), Echo(pause=gate))) as world:
        await world.feed(record(0, value=b"x" * 600))
        await idle()  # the first is being handled and no longer held
        await world.feed(record(1, value=b"x" * 600), record(2, value=b"x" * 600))
        fourth = asyncio.create_task(world.feed(record(3)))
        await idle()
        assert not fourth.done()
        gate.set()
        await world.until(4)


async def test_after_a_rebalance_what_was_held_is_forgotten_and_never_acknowledged() -> None:
    gate = asyncio.Event()
    handler = Echo(pause=gate)
    async with running(World(BatchPolicy(batch=1, max_in_flight=100), handler)) as world:
        await world.feed(record(0), record(1))
        await until(lambda: handler.groups, 20)
        world.line.drop()
        gate.set()
        await world.feed(record(0), record(1))  # Kafka delivers again what was not committed
        await world.until(2)
        assert handler.groups == [[0], [0], [1]]
        assert world.done == [("p0", 0), ("p0", 1)], "the first handling of 0 was of an older assignment"


async def test_a_rebalance_while_records_wait_for_others_does_not_end_the_line() -> None:
    async with running(World(BatchPolicy(batch=4, max_in_flight=100, wait=True), Echo(), wait=0.2)) as world:
        await world.feed(record(0))
        await idle()  # now the line waits for more
        world.line.drop()
        await asyncio.sleep(0.3)
        await world.feed(record(0), record(1))
        await world.until(2)


async def test_what_another_worker_may_have_now_is_not_handled_again() -> None:
    handler = Echo(retries=1000)
    async with running(World(PROMPT, handler)) as world:
        await world.feed(record(0))
        await until(lambda: handler.groups, 20)
        world.line.drop()
        handler.retries = 0
        await world.feed(record(7))
        await world.until(1)
    assert handler.groups == [[0], [7]], "an email would be sent twice"
    assert world.written == [b"fine7"]


async def test_after_a_call_that_was_given_up_nothing_more_is_acknowledged() -> None:
    """Faust commits past records at the start that were not acknowledged: they would never come again."""
    written = asyncio.Event()

    class FirstWaits(Echo):
        async def handle(self, records: Sequence[Record]) -> HandleResult:
            if records[0].offset == 0:
                await written.wait()
                raise Retry("the mail server is away")
            return await super().handle(records)

    world = World(BatchPolicy(batch=1, max_in_flight=100, calls=3), FirstWaits())
    async with running(world):
        await world.feed(record(0), record(1), record(2))
        await until(lambda: len(world.written) >= 2, 20)
        written.set()
        world.line.stop()
    assert world.done == []


async def test_a_program_that_is_set_up_wrongly_ends_the_line_and_sets_no_record_aside() -> None:
    class LockedOut(Echo):
        async def handle(self, records: Sequence[Record]) -> HandleResult:
            raise Misconfigured("SENDLENS_CLICKHOUSE_PASSWORD: refused")

    world = World(PROMPT, LockedOut())
    task = asyncio.create_task(world.line.run())
    await world.feed(record(0), record(1))
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(20):
            await task
    assert ended.group_contains(Misconfigured)
    assert (world.done, world.dead) == ([], [])


async def test_stopping_does_not_wait_for_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.in_flight._FIRST_PAUSE", 3600.0)
    handler = Echo(retries=1000)
    async with running(World(PROMPT, handler)) as world:  # which waits 20 s for the end, no longer
        await world.feed(record(0))
        await until(lambda: handler.groups, 20)


async def test_stopping_while_waiting_to_try_again_acknowledges_nothing() -> None:
    handler = Echo(retries=1000)
    world = World(PROMPT, handler)
    async with running(world):
        await world.feed(record(0))
        await until(lambda: handler.groups)
    assert world.done == []
    assert world.written == []


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.sampled_from([b"fine", b"fine", b"fine", b"poison", b"odd"]), max_size=30),
    batch=st.integers(1, 7),
    calls=st.integers(1, 4),
    retries=st.integers(0, 1),
)
def test_every_record_is_written_or_set_aside_exactly_once(
    values: list[bytes], batch: int, calls: int, retries: int
) -> None:
    async def play() -> None:
        world = World(BatchPolicy(batch=batch, max_in_flight=10, calls=calls), Echo(retries=retries))
        async with running(world):
            await world.feed(*(record(n, value=value) for n, value in enumerate(values)))
            await world.until(len(values))
        assert [offset for _, offset in world.done] == list(range(len(values)))
        fine = [b"fine%d" % n for n, value in enumerate(values) if value == b"fine"]
        assert sorted(world.written) == sorted(fine)
        assert sorted(p.record.offset for p in world.dead) == [n for n, v in enumerate(values) if v != b"fine"]

    asyncio.run(play())


async def test_what_came_during_a_call_has_waited_for_others_already() -> None:
    handler = Echo(pause=asyncio.Event())
    async with running(World(BatchPolicy(batch=4, max_in_flight=100, wait=True), handler, wait=2.0)) as world:
        await world.feed(*(record(n) for n in range(4)))
        await until(lambda: handler.groups)
        await world.feed(record(4))
        await asyncio.sleep(2.0)  # the call lasts as long as record 4 may wait
        assert handler.pause is not None
        handler.pause.set()
        await until(lambda: len(world.done) >= 5, 1.5)


async def test_the_lowest_in_flight_is_told_from_when_it_waits_for_room_until_it_is_acknowledged() -> None:
    pause = asyncio.Event()
    world = World(BatchPolicy(batch=1, max_in_flight=1), Echo(pause=pause))
    async with running(world):
        feeding = asyncio.create_task(world.feed(*(record(offset, partition=offset) for offset in range(3))))
        await until(lambda: world.line.lowest() == {("hits", offset): offset for offset in range(3)}, 20)
        pause.set()
        await feeding
        await world.until(3)
        assert world.line.lowest() == {}


async def test_nothing_is_in_flight_of_a_partition_that_was_taken() -> None:
    pause = asyncio.Event()
    world = World(BatchPolicy(batch=1, max_in_flight=5), Echo(pause=pause))
    async with running(world):
        await world.feed(record(3), record(4))
        assert world.line.lowest() == {("hits", 0): 3}
        world.line.drop()
        assert world.line.lowest() == {}
        pause.set()


async def test_what_a_queue_that_stops_has_given_up_is_not_lost() -> None:
    world = World(PROMPT, Echo(retries=1_000))
    async with running(world):
        await world.feed(record(3))
        await idle()
    assert world.line.lowest() == {("hits", 0): 3}
