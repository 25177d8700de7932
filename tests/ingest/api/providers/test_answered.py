"""Requests that come again: the answer of the first, for as long as their signatures are believed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ingest.api.providers.answered import AnsweredRequests, ProviderAnswer
from ingest.api.providers.signatures import LONGEST
from schemas.errors import Retry


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Counts how often it was done; `fails` so often first, and waits for `goes`."""

    def __init__(self, fails: int = 0) -> None:
        self.done = 0
        self.fails = fails
        self.goes = asyncio.Event()

    async def __call__(self) -> ProviderAnswer:
        self.done += 1
        await self.goes.wait()
        if self.done <= self.fails:
            raise Retry("not now")
        return ProviderAnswer(1, 2)


FIRST, AGAIN = ProviderAnswer(1, 2), ProviderAnswer(1, 2, repeated=True)


async def test_two_at_once_are_worked_on_once_and_have_one_answer() -> None:
    answered, work = AnsweredRequests(), Work()
    both = [asyncio.create_task(answered.once(b"a", work)) for _ in range(2)]
    await asyncio.sleep(0)
    work.goes.set()
    assert await asyncio.gather(*both) == [FIRST, AGAIN]
    assert await answered.once(b"b", work) == FIRST
    assert work.done == 2


async def test_work_that_fails_lets_the_next_to_come_do_it() -> None:
    answered, work = AnsweredRequests(), Work(fails=1)
    both = [asyncio.create_task(answered.once(b"a", work)) for _ in range(2)]
    await asyncio.sleep(0)
    work.goes.set()
    failed, second = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(failed, Retry)
    assert second == FIRST
    assert await answered.once(b"a", work) == AGAIN


async def test_work_that_is_cancelled_lets_the_next_to_come_do_it() -> None:
    answered, work = AnsweredRequests(), Work()
    first = asyncio.create_task(answered.once(b"a", work))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.goes.set()
    assert await answered.once(b"a", work) == FIRST


async def test_an_answer_is_known_for_as_long_as_its_signature_is_believed() -> None:
    clock, work = Clock(), Work()
    answered = AnsweredRequests(clock=clock)
    work.goes.set()
    await answered.once(b"a", work)
    clock.now += (LONGEST + timedelta(minutes=5)).total_seconds()
    assert await answered.once(b"a", work) == AGAIN
    clock.now += 1
    assert await answered.once(b"a", work) == FIRST


async def test_the_newest_are_known_and_no_more() -> None:
    answered, work = AnsweredRequests(most=3), Work()
    work.goes.set()
    for request in (b"a", b"b", b"c", b"d"):
        await answered.once(request, work)
    assert [(await answered.once(request, work)).repeated for request in (b"d", b"c", b"b", b"a")] == [
        *[True] * 3,
        False,
    ]
