"""The response to a query: ClickHouse's headers, the body in the client's coding, errors before and within the body."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from clickhouse.embedded.engine import Engine
from clickhouse.embedded.errors import ServerError
from clickhouse.embedded.execution import Execution
from clickhouse.embedded.native import compression, framing
from clickhouse.embedded.request import QueryRequest

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CONTENT_TYPES: Final = {
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsoncompacteachrow": "application/x-ndjson; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tabseparatedwithnames": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "arrow": "application/octet-stream",
    "arrowstream": "application/octet-stream",
    "parquet": "application/octet-stream",
}


class QueryResponse:
    """The response to one query: headers once, then the body, compressed as the client requested."""

    def __init__(self, send: Send, engine: Engine) -> None:
        self._send = send
        self._engine = engine
        self.query_id = ""
        self._coding: str | None = None
        self._packer: compression.Packer = compression.Uncompressed()
        self._frames: compression.Packer = compression.Uncompressed()
        self._framed = False
        self._tag = ""
        self._timezone = engine.timezone
        self._started = False

    @property
    def logged_id(self) -> str:
        """The query's id for the log: a UUID as it is; what else a client may have put there could name a person."""
        try:
            return str(uuid.UUID(self.query_id))
        except ValueError:
            return "other" if self.query_id else "?"

    def prepare(self, request: QueryRequest) -> None:
        """Settles the coding of the body."""
        self._timezone = request.settings.get("session_timezone") or self._engine.timezone
        self._coding = compression.choose(request.accept_encoding)
        self._packer = compression.packer(self._coding)
        if request.frames:
            self._frames = framing.FramePacker(request.frames)

    def frame_errors(self, request: QueryRequest) -> None:
        """Errors too come in the frames that the request asks for, but before the sender is known."""
        self._framed = bool(request.frames)

    async def send_piece(self, data: bytes, last: bool, execution: Execution) -> None:
        """Sends the next part of the result; a result of one part goes out whole, with its length."""
        packed = self._packer.pack(self._frames.pack(data)) + (self._packer.finish() if last else b"")
        if not self._started:
            content_type = _CONTENT_TYPES.get(execution.format.lower(), "text/plain; charset=UTF-8")
            if last:
                await self.complete(200, packed, content_type, execution)
                return
            self._tag = secrets.token_hex(8)
            headers = self._headers(content_type, execution) | {"X-ClickHouse-Exception-Tag": self._tag}
            await self._start(200, headers)
        await self._send({"type": "http.response.body", "body": packed, "more_body": not last})

    async def complete(self, status: int, body: bytes, content_type: str, execution: Execution | None = None) -> None:
        """Sends a whole response."""
        await self._start(status, self._headers(content_type, execution) | {"Content-Length": str(len(body))})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def fail(self, error: ServerError) -> None:
        """Answers with the error; within a begun body in ClickHouse's in-band form, leaving the body without its end.

        The server then breaks the connection off, so that no client takes the part for the whole.
        """
        text = error.message(self._engine.version)
        if not self._started:
            headers = {
                "Content-Type": "text/plain; charset=UTF-8",
                "X-ClickHouse-Exception-Code": str(error.code),
                "X-ClickHouse-Query-Id": _header_value(self.query_id),
                "X-ClickHouse-Server-Display-Name": self._engine.display_name,
            }
            body = text.encode("utf-8", "replace")
            await respond(self._send, error.status, headers, framing.plain_frame(body) if self._framed else body)
            return
        message = text.encode("utf-8", "replace")
        tail = b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n"
        tag = self._tag.encode()
        told = tail % (tag, message, len(message), tag)
        packed = self._packer.pack(framing.plain_frame(told) if self._framed else told) + self._packer.finish()
        await self._send({"type": "http.response.body", "body": packed, "more_body": True})

    def _headers(self, content_type: str, execution: Execution | None) -> dict[str, str]:
        headers = {
            "Content-Type": content_type,
            "X-ClickHouse-Server-Display-Name": self._engine.display_name,
            "X-ClickHouse-Query-Id": _header_value(self.query_id),
            "X-ClickHouse-Timezone": _header_value(self._timezone),
        }
        if execution is not None:
            headers["X-ClickHouse-Format"] = _header_value(execution.format)
            headers["X-ClickHouse-Summary"] = execution.progress.summary()
        if self._coding is not None:
            headers["Content-Encoding"] = self._coding
        return headers

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        self._started = True
        await self._send({"type": "http.response.start", "status": status, "headers": _raw(headers)})


def _header_value(text: str) -> str:
    """A client's word repeated in a header must not end it."""
    return "".join(sign for sign in text[:200] if sign.isprintable())


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


async def respond(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Sends a whole response without ClickHouse's own headers."""
    named = {"Content-Type": "text/plain; charset=UTF-8", "Content-Length": str(len(body)), **headers}
    await send({"type": "http.response.start", "status": status, "headers": _raw(named)})
    await send({"type": "http.response.body", "body": body, "more_body": False})
