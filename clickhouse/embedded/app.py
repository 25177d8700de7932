"""ClickHouse's HTTP interface as an ASGI application over the embedded engine."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.requests import Request as FormRequest

from clickhouse.embedded import compression
from clickhouse.embedded.engine import Engine
from clickhouse.embedded.errors import (
    ACCESS_DENIED,
    INTO_OUTFILE_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    SYNTAX_ERROR,
    UNKNOWN_TYPE_OF_QUERY,
    ServerError,
    from_engine,
)
from clickhouse.embedded.execution import Execution
from clickhouse.embedded.request import Request, User, authenticate, read_arguments, read_request
from clickhouse.embedded.sessions import Sessions
from clickhouse.embedded.statement import Kind, Statement, read_statement

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")

log = logging.getLogger("clickhouse.embedded")

# An INSERT's clause before its data must lie within this; so must a VALUES list to be parsed with all its expressions.
_HEAD_BYTES: Final = 1 << 20
# Longest statement without streamed data. The engine's own max_query_size (256 KiB) is stricter for all but VALUES.
_TEXT_BYTES: Final = 16 << 20
# Data goes to the engine in steps of about this size.
_APPEND_BYTES: Final = 1 << 20
# ClickHouse's http_max_uri_size.
_URI_BYTES: Final = 1 << 20
_WORKERS: Final = 32
_HELP: Final = (
    "There is no handle {path}\n\nUse / or /ping for health checks.\nOr /replicas_status for more sophisticated health checks.\n\n"
    "Send queries from your program with POST method or GET /?query=...\n"
)
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


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


class Body:
    """A request body, unpacked as it arrives."""

    def __init__(self, receive: Receive, coding: str) -> None:
        self._receive = receive
        self._unpacker = compression.Unpacker(coding)
        self.ended = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yields what is left of the body in pieces of bounded size."""
        while not self.ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            for piece in self._unpacker.unpack(message.get("body", b"")):
                yield piece
            if not message.get("more_body", False):
                self.ended = True
                self._unpacker.finish()

    async def gather(self, start: bytes, size: int) -> bytes:
        """`start` and more of the body, until there are `size` bytes or the body ends."""
        parts = [start]
        length = len(start)
        if length < size:
            async for piece in self.pieces():
                parts.append(piece)
                length += len(piece)
                if length >= size:
                    break
        return b"".join(parts)


class App:
    """Answers /, /ping and /replicas_status. `users` by name; `local` refuses requests addressed to other hosts."""

    def __init__(self, engine: Engine, users: Mapping[str, User]) -> None:
        self._engine = engine
        self._users = users
        self._sessions = Sessions()
        self._pool = ThreadPoolExecutor(_WORKERS, "chdb")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"  # noqa: S101
        path: str = scope["path"]
        if path == "/" and scope["method"] in ("GET", "POST", "HEAD"):
            await self._serve(scope, receive, send)
        elif path in ("/ping", "/replicas_status"):
            await _respond(send, 200, {}, b"Ok.\n")
        elif path == "/":
            await _respond(send, 501, {}, b"Only GET, HEAD and POST are supported.\n")
        else:
            await _respond(send, 404, {}, _HELP.format(path=path[:200]).encode("utf-8", "replace"))

    async def expire_sessions(self) -> None:
        """Closes idle sessions as their time runs out; runs until cancelled."""
        while True:
            await asyncio.sleep(1)
            for session in self._sessions.expired(time.monotonic()):
                await self._run(session.close)

    def close(self) -> None:
        """Stops what runs, ends the sessions and the worker threads; the engine is the caller's to close."""
        self._engine.kill_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for session in self._sessions.drain():
            session.close()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        answer = Answer(send, self._engine)
        user = "?"
        try:
            arguments = await self._arguments(scope, receive, headers)
            answer.query_id = arguments.get("query_id") or str(uuid.uuid4())
            who = authenticate(self._users, headers, arguments)
            user = who.name
            request = read_request(scope["method"], headers, arguments, who, answer.query_id)
            multipart = headers.get("content-type", "").startswith("multipart/form-data")
            body = Body(receive, "" if multipart else headers.get("content-encoding", ""))
            body.ended = multipart
            await self._query(request, body, receive, answer)
        except ClientGone:
            log.info("client left user=%s id=%s", user, answer.query_id)
        except Exception as error:
            known = error if isinstance(error, ServerError) else from_engine(error)
            first_line = (known.text.splitlines() or [""])[0][:300]
            log.warning(
                "query failed code=%d status=%d user=%s id=%s %s",
                known.code,
                known.status,
                user,
                answer.query_id,
                first_line,
            )
            await answer.fail(known)

    async def _arguments(self, scope: Scope, receive: Receive, headers: Mapping[str, str]) -> dict[str, str]:
        if len(scope["query_string"]) > _URI_BYTES:
            raise ServerError(QUERY_IS_TOO_LARGE, f"The URI is longer than {_URI_BYTES} bytes.")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            # Without a password, any page open in a local browser could otherwise drop tables.
            raise ServerError(ACCESS_DENIED, "Requests from pages of other sites are refused.")
        arguments = read_arguments(scope["query_string"])
        if headers.get("content-type", "").startswith("multipart/form-data"):
            # Clients send long parameters as form fields; files would be external tables.
            async with FormRequest(scope, receive).form(
                max_files=1, max_fields=10_000, max_part_size=_TEXT_BYTES
            ) as form:
                for name, value in form.items():
                    if not isinstance(value, str):
                        raise ServerError(NOT_IMPLEMENTED, "External tables are not supported by the embedded server.")
                    arguments.setdefault(name, value)
        return arguments

    async def _query(self, request: Request, body: Body, receive: Receive, answer: Answer) -> None:
        head = request.query + b"\n" if request.query else b""
        source = await body.gather(head, _HEAD_BYTES)
        statement = read_statement(source)
        if statement.data_at is None and not body.ended:
            source = await body.gather(source, _TEXT_BYTES)
            if not body.ended:
                raise ServerError(QUERY_IS_TOO_LARGE, f"The query is longer than {_TEXT_BYTES} bytes.")
            statement = read_statement(source)
        if statement.kind is Kind.EMPTY:
            if not source.strip() and request.access:
                await answer.complete(200, b"Ok.\n", "text/plain; charset=UTF-8")
                return
            raise ServerError(SYNTAX_ERROR, "Empty query")
        if statement.file_access:
            code = INTO_OUTFILE_NOT_ALLOWED if "OUT" in statement.file_access else UNKNOWN_TYPE_OF_QUERY
            raise ServerError(code, f"{statement.file_access} is not allowed over HTTP.")
        if statement.format == "Values" and body.ended:
            statement = Statement(Kind.INSERT, "INSERT", source)
        session = self._sessions.take(request) if request.session_id else None
        execution = Execution(self._engine, request, statement, session)
        try:
            if statement.data_at is None:
                await self._read(execution, request, receive, answer)
            else:
                await self._write(execution, source[statement.data_at :], body)
                await answer.complete(200, b"", "text/plain; charset=UTF-8", execution)
        finally:
            await self._run(execution.close)
            if session is not None:
                self._sessions.give_back(session, time.monotonic())
                if request.close_session:
                    self._sessions.remove(session)
                    await self._run(session.close)

    async def _write(self, execution: Execution, data: bytes, body: Body) -> None:
        await self._run(execution.start)
        while True:
            data = await body.gather(data, _APPEND_BYTES)
            if data:
                await self._run(lambda piece=data: execution.append(piece))
            data = b""
            if body.ended:
                break
        await self._run(execution.finish)

    async def _read(self, execution: Execution, request: Request, receive: Receive, answer: Answer) -> None:
        def begin() -> tuple[bytes, bool]:
            execution.start()
            return execution.pull()

        leaving = asyncio.ensure_future(_left(receive))
        try:
            data, last = await self._unless_left(begin, leaving, request)
            answer.prepare(request, execution)
            while True:
                await answer.send_piece(data, last, execution)
                if last:
                    break
                data, last = await self._unless_left(execution.pull, leaving, request)
        finally:
            leaving.cancel()

    async def _unless_left(self, step: Callable[[], T], leaving: asyncio.Future[None], request: Request) -> T:
        """Runs a step on a worker thread; when the client leaves meanwhile, kills the query."""
        running = asyncio.ensure_future(self._run(step))
        await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if leaving.done():
            if not running.done():
                await self._run(lambda: self._engine.kill(request.settings.get("log_comment", request.query_id)))
            await asyncio.wait({running})
            running.exception()
            raise ClientGone
        return running.result()

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, step)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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

    def prepare(self, request: Request, execution: Execution) -> None:
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
        """Answers with the error; within a begun body, in ClickHouse's in-band form, and the connection breaks off."""
        text = error.message(self._engine.version)
        if not self._started:
            headers = {
                "Content-Type": "text/plain; charset=UTF-8",
                "X-ClickHouse-Exception-Code": str(error.code),
                "X-ClickHouse-Query-Id": _header_value(self.query_id),
                "X-ClickHouse-Server-Display-Name": self._engine.display_name,
            }
            await _respond(self._send, error.status, headers, text.encode("utf-8", "replace"))
            return
        message = text.encode("utf-8", "replace")
        tail = b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n"
        tag = self._tag.encode()
        packed = self._packer.pack(tail % (tag, message, len(message), tag)) + self._packer.finish()
        await self._send({"type": "http.response.body", "body": packed, "more_body": True})
        raise ConnectionAbortedError(f"query {self.query_id} failed after its response had begun")

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
        raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})


def _header_value(text: str) -> str:
    """A client's word repeated in a header must not end it."""
    return "".join(sign for sign in text[:200] if sign.isprintable())


async def _respond(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    named = {"Content-Type": "text/plain; charset=UTF-8", "Content-Length": str(len(body))} | headers
    raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": False})
