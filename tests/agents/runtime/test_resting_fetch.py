"""A stage that nothing is written to asks the broker seldom, and at once when something was written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.pipeline import STORE
from agents.runtime.resting_fetch import RestingFetch
from agents.runtime.wiring import StageApp
from schemas.settings import Settings, load
from schemas.topics import EVENTS
from stream.records import OutRecord
from stream.topic_admin import create_topics
from stream.wakeup.patience import Patience
from stream.wakeup.wake_ups import wake_ups
from stream.write_all import write_all
from tests.agents.runtime.test_fetching import Seen
from tests.support.broker import start_broker
from tests.support.waiting import until


class Fetcher:
    """As aiokafka's: of what it is asked, notes the assignment; answers whether something came."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.comes = False
        self._fetcher_timeout = 0.2

    async def _proc_fetch_request(self, assignment: object, node: int, request: object) -> bool:
        self.asked.append(assignment)
        return self.comes


class Rests:
    """A RestingFetch by a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.fetcher: Any = Fetcher()
        self.fetch = RestingFetch()
        self.fetch._patience = Patience(0.0, 3600.0, lambda: self.now)  # a rest that nobody ends is a test that hangs
        self.fetch.follow(self.fetcher)

    def ask(self, assignment: object = "ours") -> asyncio.Task[bool]:
        return asyncio.create_task(self.fetcher._proc_fetch_request(assignment, 0, None))

    async def resting(self, assignment: object = "ours") -> asyncio.Task[bool]:
        """One that rests, after an hour of nothing."""
        await self.ask(assignment)
        self.now += 3600.0
        task = self.ask(assignment)
        await until(lambda: self.fetcher._fetcher_timeout > 1, what="a rest")
        assert not task.done()
        return task


async def test_while_records_come_nothing_rests() -> None:
    rests = Rests()
    rests.fetcher.comes = True
    for _ in range(100):
        rests.now += 0.7
        assert await rests.ask()
    assert len(rests.fetcher.asked) == 100


async def test_after_an_hour_of_nothing_it_rests_until_something_is_written() -> None:
    rests = Rests()
    task = await rests.resting()
    before = len(rests.fetcher.asked)
    await asyncio.to_thread(rests.fetch.hear)
    assert not await asyncio.wait_for(task, 10)
    assert len(rests.fetcher.asked) == before + 1
    assert rests.fetcher._fetcher_timeout == 0.2
    await asyncio.wait_for(rests.ask(), 10)  # what is written next to it is not waited for either


async def test_new_partitions_are_asked_for_at_once() -> None:
    rests = Rests()
    task = await rests.resting()
    task.cancel()
    assert not await task, "as a fetch that is cancelled: aiokafka waits for it and takes nothing from it"
    await asyncio.wait_for(rests.ask("others"), 10)
    assert rests.fetcher.asked[-1] == "others"


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    broker = start_broker()
    yield load(broker="memory", kafka=broker.bootstrap, data_dir=tmp_path, store_seconds=0.0)
    broker.stop()


async def test_on_the_embedded_broker_an_idle_stage_asks_seldom_and_has_a_record_soon(settings: Settings) -> None:
    await asyncio.to_thread(create_topics, settings)
    seen = Seen()
    app = StageApp(STORE, seen, settings)
    try:
        await app.start()
        await asyncio.to_thread(write_all, settings, [OutRecord(EVENTS, 0, b"", b"{}\n")])
        await until(lambda: len(seen.ages) == 1, 60)
        fetcher = app._app.consumer._thread._consumer._fetcher
        rests: Any = app._rests
        for number in range(2, 7):
            rests._patience = Patience(0.0, 3600.0)
            rests._patience._since -= 24 * 3600.0  # since yesterday, and so is the last wake-up
            wake_ups(settings)._woken.clear()
            await until(lambda: fetcher._fetcher_timeout > 1, 30, what="a rest of an hour")
            began = time.monotonic()
            await asyncio.to_thread(write_all, settings, [OutRecord(EVENTS, number % 3, b"", b"{}\n")])
            await until(lambda: len(seen.ages) == number, 60)  # noqa: B023  # asked at once
            assert time.monotonic() - began < 60, "not after the rest"
    finally:
        await app.stop()
