"""A record is handed on at once where it can be, and else raced with what may end the wait."""

from __future__ import annotations

import asyncio

import pytest
from mode import Service
from mode.services import WaitResults

from agents.runtime.eager_wait import EagerWait


class _Raced(EagerWait, Service):
    """What wiring makes of Faust's consumer, without Kafka."""


def test_what_waits_for_nothing_is_done_within_the_callers_step() -> None:
    async def race() -> tuple[WaitResults, int, bool]:
        rebalance, tasks = asyncio.Event(), len(asyncio.all_tasks())

        async def record() -> str:
            assert len(asyncio.all_tasks()) == tasks
            return "there"

        later: list[bool] = []
        asyncio.get_running_loop().call_soon(later.append, True)
        done = await _Raced().wait_first(record(), rebalance.wait())
        return done, len(asyncio.all_tasks()) - tasks, bool(later)

    done, tasks, later = asyncio.run(race())
    assert (done.results, done.stopped, tasks, later) == (["there"], False, 0, False)


def test_what_waits_is_seen_through() -> None:
    async def race() -> WaitResults:
        room, rebalance = asyncio.Event(), asyncio.Event()

        async def record() -> str:
            await room.wait()
            await asyncio.sleep(0)
            return "there"

        asyncio.get_running_loop().call_later(0.01, room.set)
        return await _Raced().wait_first(record(), rebalance.wait())

    assert asyncio.run(race()).results == ["there"]


def test_a_rebalance_ends_the_wait() -> None:
    async def race() -> tuple[WaitResults, bool]:
        rebalance, cancelled = asyncio.Event(), False

        async def record() -> None:
            nonlocal cancelled
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled = True
                raise

        asyncio.get_running_loop().call_later(0.01, rebalance.set)
        done = await asyncio.wait_for(_Raced().wait_first(record(), rebalance.wait()), 10)
        await asyncio.sleep(0)
        return done, cancelled

    done, cancelled = asyncio.run(race())
    assert (done.results, done.stopped, cancelled) == ([True], False, True)


@pytest.mark.parametrize("waits", [False, True])
def test_what_goes_wrong_is_heard_of(waits: bool) -> None:
    async def race() -> WaitResults:
        async def record() -> None:
            if waits:
                await asyncio.sleep(0.01)
            raise ValueError("no room")

        return await _Raced().wait_first(record(), asyncio.Event().wait())

    with pytest.raises(ValueError, match="no room"):
        asyncio.run(race())
