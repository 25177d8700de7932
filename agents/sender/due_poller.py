"""Performs the emails that waited, when they are due."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import structlog

from agents.runtime.metrics import SENDER_WAITING
from agents.sender.outcome import SendOutcome
from agents.sender.sender import Sender, Settled
from agents.sender.wait_queue import WaitQueue
from schemas.errors import Retry
from schemas.state.attempts import Wait

log = structlog.get_logger()

_LOOK_SECONDS = 0.5
_AT_ONCE = 50  # whole emails in memory at the most
_STATES = ("deferred", "away", "over-limit", "unanswered", "again")


class DuePoller:
    """Looks every half second for what is due of the partitions of `sends` that are `owned`."""

    def __init__(
        self,
        sender: Sender,
        waits: WaitQueue,
        settled: Settled,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.owned: frozenset[int] = frozenset()
        self._sender = sender
        self._waits = waits
        self._settled = settled
        self._clock = clock
        self._resting = asyncio.Event()
        self._at_rest: Awaitable[None] | None = None
        for state in _STATES:
            SENDER_WAITING.labels(state).set_function(partial(waits.count, state))

    def start(self) -> None:
        self._at_rest = asyncio.create_task(self._run(), name="due")

    async def rest(self) -> None:
        """Begin nothing more; returns when what was begun is published."""
        self._resting.set()
        if self._at_rest is not None:
            await self._at_rest

    async def look(self) -> list[SendOutcome]:
        """Send the emails that are due now, as many as fit in memory at once."""
        sender, owned = self._sender, self.owned
        heads = self._waits.due(self._clock(), owned, self._room())[:_AT_ONCE]
        if not heads:
            return []
        return await sender.again(await self._waits.requests(heads), self._settled)

    async def _run(self) -> None:
        while not self._resting.is_set():
            done: list[SendOutcome] = []
            try:
                done = await self.look()
            except Retry as error:
                log.warning("what is due waits", why=str(error)[:300])
            except Exception:
                log.exception("what is due could not be looked for, trying again")
            if not any(not outcome.unfinished for outcome in done):
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):  # wait_for makes a task each time
                        await self._resting.wait()

    def _room(self) -> Callable[[Wait], bool]:
        """Whether a waiting email may be tried now, asked of each in turn: an account that is away, or has sent as much
        as it may, is asked no more than it can take."""
        routes, now = self._sender.routes, self._clock().timestamp()
        chosen: Counter[str] = Counter()

        def room(wait: Wait) -> bool:
            route = routes.of(wait.sender)
            if wait.delivery_id in self._sender.in_flight:
                return False
            if route is None or wait.state not in ("away", "over-limit"):
                return True
            if route.outage.away:
                return False
            address = route.account.address
            left = routes.limits.room(route.account, now)
            if route.outage.doubtful:  # one goes ahead
                left = 1 if left is None else min(1, left)
            if left is not None and chosen[address] >= left:
                return False
            chosen[address] += 1
            return True

        return room
