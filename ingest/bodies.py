"""A request's body has a deadline and a least rate: who sends a byte now and then gives its connection back.

Granian does so for heads. A body that no route reads needs none: it ends the connection once the answer is out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.api.http.problems import Problem

# How long any body may take, in seconds: as long as a head.
SECONDS = 15.0
# A longer one must have come at this rate by then, in bytes a second: some 130 kbit/s.
LEAST_RATE = 16 * 1024
# Nor does the largest take longer than this, in seconds: 25 MB at 0.7 Mbit/s.
LONGEST_SECONDS = 300.0


class BodyDeadline:
    """The ASGI application behind, whose `receive` raises Problem (408) once the body is too slow."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        waited = 0.0  # seconds; what we do between two parts is not the client's time
        got = 0
        whole = False

        async def in_time() -> Message:
            nonlocal waited, got, whole
            if whole:  # what comes now is that the client leaves
                return await receive()
            since = self._clock()
            try:
                async with asyncio.timeout(patience(got) - waited):
                    message = await receive()
            except TimeoutError:
                raise Problem(
                    408,
                    f"The body came too slowly: it has {SECONDS:g} s, and longer at {LEAST_RATE} bytes a second.",
                    {"Connection": "close"},
                    reason="body-slow",
                ) from None
            waited += self._clock() - since
            got += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, in_time, send)


def patience(got: int) -> float:
    """How long a body of which so many bytes came may be waited for, in seconds."""
    return min(SECONDS + got / LEAST_RATE, LONGEST_SECONDS)
