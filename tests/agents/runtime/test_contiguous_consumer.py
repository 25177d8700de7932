"""What is committed, what is asked for again, and what is in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError
from faust.types import TP

from tests.agents.runtime.played_consumer import (
    HITS,
    Contiguous,
    PlayedConsumer,
    again,
    finish,
    lose,
    message,
    started,
)


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
        came = [await again(consumer) for _ in range(2)]
        finish(consumer, *there)
        await consumer.commit()
        assert consumer.held == there[-1] + 1, "nothing has to be waited for"
        return came

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


def test_a_partition_in_which_nothing_was_committed_is_sought_to_its_beginning() -> None:
    async def read() -> list[int]:
        consumer = await started(None, range(3, 13))
        await consumer.resume()
        return await again(consumer)

    assert asyncio.run(read()) == [3, 4, 5, 6, 7]


def test_an_acknowledgement_from_before_the_seek_counts_for_nothing() -> None:
    """Faust's stream in Python acknowledges what it skips in a rebalance; the one in C does not."""

    async def skipped() -> int | None:
        consumer = await started(10, range(10, 15))
        await consumer.rebalance()
        consumer.ack(message(10))
        await consumer.resume()
        await again(consumer)
        finish(consumer, 11)
        await consumer.commit()
        return consumer.held

    assert asyncio.run(skipped()) == 10


def test_what_a_fetch_that_was_broken_off_had_is_fetched_again() -> None:
    async def read() -> list[int]:
        consumer = await started(10, range(10, 20))
        consumer.breaks_off = True
        with pytest.raises(asyncio.CancelledError):
            await again(consumer)
        return await again(consumer)

    assert asyncio.run(read()) == [10, 11, 12, 13, 14]


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
