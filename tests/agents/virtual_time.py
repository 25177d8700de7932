"""An event loop whose time jumps to the next thing that is due, so that an hour of waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing but for work that is under way in a thread; any other wait is skipped, and told to `skipped`."""

    def __init__(self, skipped: Callable[[float], None], busy: Callable[[], bool]) -> None:
        super().__init__()
        self._skipped = skipped
        self._busy = busy

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._busy():
            return super().select(0 if timeout == 0 else 60)
        if timeout is None:
            raise AssertionError("everybody waits for somebody else")
        self._skipped(timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` begins at 0 and passes only while all wait; while a thread works it stands still."""

    def __init__(self) -> None:
        self._passed = 0.0  # not the time of day, which as a float is too coarse for the loop's smallest waits
        self._in_threads = 0
        super().__init__(_Jumping(self._pass, lambda: self._in_threads > 0))

    def time(self) -> float:
        return self._passed

    def run_in_executor(self, executor: Any, function: Any, *arguments: Any) -> Any:
        future = super().run_in_executor(executor, function, *arguments)
        self._in_threads += 1
        future.add_done_callback(self._came_back)
        return future

    async def shutdown_default_executor(self, *arguments: Any) -> None:
        self._in_threads += 1
        await super().shutdown_default_executor(*arguments)

    def _pass(self, seconds: float) -> None:
        self._passed += max(0.0, seconds)

    def _came_back(self, _future: object) -> None:
        self._in_threads -= 1


def run(work: Coroutine[Any, Any, T], longest: float) -> T:
    """`asyncio.run` in virtual time, of which it may take so many seconds."""

    async def within() -> T:
        async with asyncio.timeout(longest):
            return await work

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(within())
