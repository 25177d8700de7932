"""Hands a record on at once where nothing has to be waited for: a change to Faust's consumer, which wiring makes."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from types import coroutine
from typing import Any

from mode.services import Service, WaitResults


class AtOnce(Service):
    """Starts what is raced before it races it, so that what ends without waiting needs no race.

    Faust races the handing on of every record with a rebalance, in four tasks of their own: a sixth of the judge's
    time. Nearly always the stream has room and the record is there within the first step. What does wait is raced as
    ever, from where it stands.
    """

    async def wait_first(self, *coros: Any, timeout: Any = None) -> WaitResults:  # noqa: ASYNC109  # Faust's own
        if not all(map(asyncio.iscoroutine, coros)):
            return await super().wait_first(*coros, timeout=timeout)
        first, *others = coros
        try:
            waits_for = first.send(None)
        except BaseException as ended:
            for other in others:
                other.close()
            if isinstance(ended, StopIteration):
                return WaitResults([first], [ended.value], False)
            raise
        return await super().wait_first(_rest(first, waits_for), *others, timeout=timeout)


async def _rest(begun: Any, waits_for: Any) -> Any:
    return await _resumed(begun, waits_for)


@coroutine
def _resumed(begun: Any, waits_for: Any) -> Generator[Any, Any, Any]:
    """What is left of a coroutine that was begun and now waits for a future."""
    try:
        while True:
            try:
                sent = yield waits_for
            except BaseException as error:
                waits_for = begun.throw(error)
            else:
                waits_for = begun.send(sent)
    except StopIteration as ended:
        return ended.value
