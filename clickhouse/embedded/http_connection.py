"""One HTTP connection, with bounds on the head of each request, which comes before authentication."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# ClickHouse's longest URI is 1 MiB; the rest is for headers, and for what of the body comes together with the head.
_HEAD_BYTES: Final = (1 << 20) + (1 << 19)


class HttpConnection(HttpToolsProtocol):
    """uvicorn's, which by itself keeps however long a head and waits for its end for ever."""

    head_seconds: ClassVar[float] = 30.0
    _head_bytes = 0
    _in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.send_400_response("The head of the request is too long.")
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._set_deadline()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unset_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def _set_deadline(self) -> None:
        self._unset_deadline()
        self._deadline = self.loop.call_later(self.head_seconds, self.transport.close)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
