"""Wrong API keys are answered late, so that trying many takes long. A right key is never refused and never late.

Counted by whose request it is, not by the proxy in front of us. It slows down who waits for the answers; what holds
against who doesn't is the length of a key (schemas/keys.py).
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable

from prometheus_client import Counter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Wrong keys of one source that are answered at once, and in how many seconds one of them is forgotten.
AT_ONCE = 10
SECONDS_EACH = 6.0
# The latest that one is answered, in seconds.
LONGEST_SECONDS = 10.0
_SOURCES = 10_000  # remembered at most, some 2 MB
_WAITING = 2_000  # answers held back at most, some 20 MB; beyond that they are not


class KeyGuesses:
    """The ASGI application behind, its 401 to a key held back for a source that has shown too many wrong ones."""

    def __init__(self, app: ASGIApp, counted: Counter, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._counted = counted
        self._clock = clock
        self._until: dict[str, float] = {}  # when a source's wrong keys are all forgotten
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _shows_a_key(scope):
            await self._app(scope, receive, send)
            return

        async def send_late(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                self._counted.inc()
                await self._hold(self.wrong(source(scope)))
            await send(message)

        await self._app(scope, receive, send_late)

    def wrong(self, source: str) -> float:
        """Count a wrong key of this source; how long to hold its answer back, in seconds.

        A generic cell rate algorithm: one moment a source, which each wrong key moves on.
        """
        now = self._clock()
        at_once = AT_ONCE * SECONDS_EACH
        until = max(self._until.pop(source, now), now) + SECONDS_EACH
        self._until[source] = min(until, now + at_once + LONGEST_SECONDS)
        if len(self._until) > _SOURCES:
            del self._until[next(iter(self._until))]
        return min(max(until - now - at_once, 0.0), LONGEST_SECONDS)

    async def _hold(self, seconds: float) -> None:
        if seconds <= 0 or self._waiting >= _WAITING:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._waiting -= 1


def source(scope: Scope) -> str:
    """Whose request it is. Of IPv6 the first 64 bits: a host has the others to itself (RFC 4291, 2.5.1)."""
    client = scope.get("client")
    if not client:
        return ""
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return ""
    return str(address) if address.version == 4 else str(ipaddress.IPv6Network((int(address), 64), strict=False))


def _shows_a_key(scope: Scope) -> bool:
    return "authorization" in Headers(scope=scope) or (scope["method"] == "POST" and scope["path"] == "/login")
