"""How a test waits: for what it is about to say, and never for so many seconds.

A process is waited for by polling; what happens in the test's own loop by `until`; and that nothing happens there is
known after `idle`, when every task has gone as far as it can go without the clock.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds, on a machine with busy neighbours
_TURNS = 100
# A deadline is the longest that a machine of its own needs. Where others work too all take as long again several times,
# and a test that waits for longer is no less sharp: only what never comes is found later.
_NEIGHBOURS, _AT_MOST = 4.0, 240.0
# A look that asks a database takes the processor from what it waits for: looks take a fifth of the time at the most, but
# none is later than this.
_PAUSES_A_LOOK, _LONGEST_PAUSE = 4.0, 0.5


def wait_until(
    predicate: Callable[[], object], deadline: float, what: str = "the condition", every: float = 0.02
) -> None:
    """Poll until `predicate` holds, with a longer pause after a look that took long, or where `every` asks for one.

    Fails when four times `deadline` s were not enough.
    """
    longest = max(deadline, min(_NEIGHBOURS * deadline, _AT_MOST))
    ends = time.monotonic() + longest
    looked = time.monotonic()
    while not predicate():
        now = time.monotonic()
        if now > ends:
            raise AssertionError(f"{what} did not come true within {longest:.0f} s")
        time.sleep(max(every, min(_PAUSES_A_LOOK * (now - looked), _LONGEST_PAUSE)))
        looked = time.monotonic()


async def until(condition: Callable[[], object], deadline: float = PATIENCE, what: str = "the condition") -> None:
    """`wait_until` for a loop that has other things to do; an awaitable condition is awaited."""
    ends = asyncio.get_running_loop().time() + deadline
    while True:
        holds = condition()
        if inspect.isawaitable(holds):
            holds = await holds
        if holds:
            return
        if asyncio.get_running_loop().time() > ends:
            raise AssertionError(f"{what} did not come true within {deadline} s")
        await asyncio.sleep(0.005)


async def idle() -> None:
    """Let every task go on until it waits for the clock, for a socket or for the test."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
