"""The response to a query: ClickHouse's headers, the body in the client's coding, errors before and within the body."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from clickhouse.embedded import compression
from clickhouse.embedded.engine import Engine
from clickhouse.embedded.errors import ServerError
from clickhouse.embedded.execution import Execution
from clickhouse.embedded.request import Request

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


class Answer:
    """The response to one query: headers once, then the body, packed as the client asked."""

    def __init__(self, send: Send, engine: Engine) -> None:
        self._send = send
        self._engine = engine
        self.query_id = ""
        self._coding: str | None = None
        self._packer: compression.Packer = compression.Plain()
        self._tag = ""
        self._timezone = engine.timezone
        self._started = False

    def prepare(self, request: Request) -> None:
        """Settles the coding of the body."""
        self._timezone = request.settings.get("session_timezone") or self._engine.timezone
        self._coding = compression.choose(request.accept_encoding)
        self._packer = compression.packer(self._coding)

    async def send_piece(self, data: bytes, last: bool, execution: Execution) -> None:
        """Sends the next part of the result; a result of one part goes out whole, with its length."""
        packed = self._packer.pack(data) + (self._packer.finish() if last else b"")
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
            await respond(self._send, error.status, headers, text.encode("utf-8", "replace"))
            return
        message = text.encode("utf-8", "replace")
        tail = b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n"
        tag = self._tag.encode()
        packed = self._packer.pack(tail % (tag, message, len(message), tag)) + self._packer.finish()
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
