"""Waiting out something that is away, all who need it together: one probe at a time of growing patience."""

from __future__ import annotations

import asyncio
import time

import structlog

from agents.runtime.metrics import SENDER_UNREACHABLE

log = structlog.get_logger()


class WaitInterrupted(Exception):
    """The wait was ended because the program stops."""


class Outage:
    """Backs off from `what`: `first` seconds after a failure, doubling up to `longest`, until something succeeds."""

    def __init__(self, what: str, stopping: asyncio.Event, *, first: float = 0.25, longest: float = 15.0) -> None:
        self._what = what
        SENDER_UNREACHABLE.labels(what)  # there from 0 on: the first failure is an increase
        self._stopping = stopping
        self._first = first
        self._longest = longest
        self._failures = 0
        self._again_at = 0.0

    def failed(self, why: object) -> None:
        """Note a failure. Those of attempts begun before the last one was noted don't lengthen the wait."""
        now = time.monotonic()
        SENDER_UNREACHABLE.labels(self._what).inc()
        if now < self._again_at:
            return
        delay = min(self._longest, self._first * 2**self._failures)
        self._failures = min(self._failures + 1, 30)
        self._again_at = now + delay
        log.warning("away, trying again", what=self._what, why=str(why), seconds=delay)

    def over(self) -> None:
        """Note a success."""
        if self._failures:
            log.info("back", what=self._what)
        self._failures = 0
        self._again_at = 0.0

    @property
    def away(self) -> bool:
        """Whether it is too early to try again."""
        return self._again_at > time.monotonic()

    @property
    def doubtful(self) -> bool:
        """Whether nothing has succeeded since it failed."""
        return self._failures > 0

    async def wait(self) -> None:
        """Return when it is time to try. Raises WaitInterrupted."""
        while (rest := self._again_at - time.monotonic()) > 0:
            await pause(rest, self._stopping)
        if self._stopping.is_set():
            raise WaitInterrupted


async def pause(seconds: float, stopping: asyncio.Event) -> None:
    """Sleep, unless the program stops. Raises WaitInterrupted."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
    raise WaitInterrupted
