"""A stage that nothing is written to rests between its fetches: a change to aiokafka's fetcher, made in wiring.py."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from stream.wakeup.patience import Patience

# So long a record waits at the most whose writer told nobody.
_LONGEST_REST = 5.0
# Under it a rest saves nothing: the broker keeps an empty fetch for about as long.
_SHORTEST_REST = 0.05


class RestingFetch:
    """For a broker that has to be asked again and again. While records come nothing is changed: the first fetch without
    a rest is the one after a record or a wake-up, and rests come back once nothing has come for a second."""

    def __init__(self) -> None:
        self._patience = Patience(0.0, _LONGEST_REST)
        self._loop: asyncio.AbstractEventLoop | None = None

    def follow(self, fetcher: Any) -> None:
        """Let the fetcher of a consumer rest. Called in the consumer's thread, once it has started."""
        fetch, at_work = fetcher._proc_fetch_request, fetcher._fetcher_timeout
        self._loop, self._ask = asyncio.get_running_loop(), asyncio.Event()
        known: Any = None

        async def rested_fetch(assignment: Any, node: int, request: Any) -> bool:
            nonlocal known
            if assignment is not known:  # other partitions: there may be much on them
                known = assignment
                self._patience.end()
            rest = self._patience.seconds
            if rest >= _SHORTEST_REST:
                fetcher._fetcher_timeout = max(rest, at_work)  # it looks around so often meanwhile
                try:
                    await self._rest(rest)
                except asyncio.CancelledError:  # the partitions are taken, or it closes: as it ends a fetch itself
                    return False
                finally:
                    fetcher._fetcher_timeout = at_work
            came: bool = await fetch(assignment, node, request)
            if came:
                self._patience.end()
            return came

        fetcher._proc_fetch_request = rested_fetch

    def hear(self) -> None:
        """Something was written: fetch at once. For any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._patience.end()
        self._ask.set()

    async def _rest(self, seconds: float) -> None:
        self._ask.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ask.wait(), seconds)
