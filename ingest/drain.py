"""The end of a process under load: it says that it stops, answers what still comes, and stops when nothing does.

A client learns that only from `/readyz`, or from a connection that is closed. A server that stops listening at SIGTERM
refuses every client that has not learnt it yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import structlog

from ingest.hits.hits import App, Message, Receive, Scope, Send

log = structlog.get_logger()

# With what follows (ingest/app.py) under the 10 s that Docker grants before it kills. In seconds.
_LONGEST = 3.0
_QUIET = 0.25  # nobody came for so long: nobody will
_STOPPING = b'{"status":"not ready","reasons":["stopping"]}'


class Drain:
    """In front of an application that Granian serves. SIGTERM begins it; its end is SIGINT, where Granian stops."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._began: float | None = None  # to stop
        self._requested_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._began is not None and scope["type"] == "http":
            await self._answer(scope, receive, send)
            return
        if scope["type"] == "lifespan":
            self._loop = asyncio.get_running_loop()
            with contextlib.suppress(NotImplementedError):  # not on Windows
                self._loop.add_signal_handler(signal.SIGTERM, self._begin)
        await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ever, and as the last answer of its connection: the next request goes elsewhere."""

        async def send_last(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        if scope["path"] == "/readyz":
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_STOPPING)).encode())]
            await send_last({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else _STOPPING})
            return
        self._requested_at = self._loop.time()
        await self._app(scope, receive, send_last)

    def _begin(self) -> None:
        if self._began is None:
            log.info("ingest stops, answering what still comes")
            self._began = self._requested_at = self._loop.time()
            self._loop.call_later(_QUIET, self._stop, self._began + _LONGEST)

    def _stop(self, latest: float) -> None:
        """Stop if nobody came for a while; else look again."""
        now, quiet_at = self._loop.time(), self._requested_at + _QUIET
        if now >= min(quiet_at, latest):
            os.kill(os.getpid(), signal.SIGINT)
        else:
            self._loop.call_later(min(quiet_at, latest) - now, self._stop, latest)
