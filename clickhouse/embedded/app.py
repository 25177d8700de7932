"""ClickHouse's HTTP interface as an ASGI application over the embedded engine."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.formparsers import MultiPartException
from starlette.requests import Request as FormRequest

from clickhouse.embedded.engine import Engine
from clickhouse.embedded.errors import (
    BAD_ARGUMENTS,
    INTO_OUTFILE_NOT_ALLOWED,
    NOT_IMPLEMENTED,
    QUERY_IS_TOO_LARGE,
    SYNTAX_ERROR,
    UNKNOWN_TYPE_OF_QUERY,
    ServerError,
    from_engine,
)
from clickhouse.embedded.execution import Execution
from clickhouse.embedded.host_check import HostCheck
from clickhouse.embedded.login import Accounts
from clickhouse.embedded.native import compression, framing
from clickhouse.embedded.query_sessions import QuerySession, QuerySessions
from clickhouse.embedded.request import QueryRequest, read_arguments, read_query_id, read_request
from clickhouse.embedded.response import QueryResponse, respond
from clickhouse.embedded.statement import Statement, StatementKind, read_statement

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
# As many as the URL may have arguments.
_FORM_FIELDS: Final = 10_000
# ClickHouse's http_max_uri_size.
_URI_BYTES: Final = 1 << 20
_WORKERS: Final = 32
_RETURN_MEMORY_SECONDS: Final = 60
# Where the engine's text begins to quote the query or the rows, which may name people.
_QUOTED: Final = re.compile(r" before: | [Ii]n scope | string '|(?<=\)): ")
_HELP: Final = (
    "There is no handle {path}\n\nUse / or /ping for health checks.\n"
    "Or /replicas_status for more sophisticated health checks.\n\n"
    "Send queries from your program with POST method or GET /?query=...\n"
)


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


class RequestBody:
    """A request body, unpacked as it arrives."""

    def __init__(self, receive: Receive, coding: str, frames: framing.FrameUnpacker | None = None) -> None:
        self._receive = receive
        self._unpacker = compression.Unpacker(coding)
        self._frames = frames
        self._unpacked: Iterator[bytes] = iter(())
        self._received_all = False
        self.ended = False

    async def read(self) -> bytes:
        """The next piece, of bounded size; `ended` is whether it was the last."""
        while not self.ended:
            piece = next(self._unpacked, None)
            if piece is not None:
                return piece
            if self._received_all:
                self._unpacker.finish()
                if self._frames is not None:
                    self._frames.finish()
                self.ended = True
                break
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._unpacked = self._unpack(message.get("body", b""))
            self._received_all = not message.get("more_body", False)
        return b""

    def _unpack(self, data: bytes) -> Iterator[bytes]:
        for piece in self._unpacker.unpack(data):
            if self._frames is None:
                yield piece
            else:
                yield from self._frames.unpack(piece)

    async def gather(self, start: bytes, size: int) -> bytes:
        """`start` and more of the body, until there are `size` bytes or the body ends."""
        parts = [start]
        length = len(start)
        while length < size and not self.ended:
            parts.append(await self.read())
            length += len(parts[-1])
        return b"".join(parts)


class EmbeddedServer:
    """Answers /, /ping and /replicas_status, under the names of `host_check`, for those who have accounts."""

    def __init__(self, engine: Engine, accounts: Accounts, host_check: HostCheck) -> None:
        self._engine = engine
        self._accounts = accounts
        self._host_check = host_check
        self._sessions = QuerySessions()
        self._pool = ThreadPoolExecutor(_WORKERS, "chdb")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"  # noqa: S101
        path: str = scope["path"]
        try:
            self._host_check.check(scope["headers"])
        except ServerError as refusal:
            log.warning("request refused code=%d %s", refusal.code, refusal.logged)
            await QueryResponse(send, self._engine).fail(refusal)
            return
        if path == "/" and scope["method"] in ("GET", "POST", "HEAD"):
            await self._serve(scope, receive, send)
        elif path in ("/ping", "/replicas_status"):
            await respond(send, 200, {}, b"Ok.\n")
        elif path == "/":
            await respond(send, 501, {}, b"Only GET, HEAD and POST are supported.\n")
        else:
            await respond(send, 404, {}, _HELP.format(path=path[:200]).encode("utf-8", "replace"))

    async def keep_house(self) -> None:
        """Closes idle sessions as their time runs out, and returns memory now and then; runs until cancelled."""
        returned_at = time.monotonic()
        while True:
            await asyncio.sleep(1)
            if time.monotonic() - returned_at >= _RETURN_MEMORY_SECONDS:
                await self._run(self._engine.return_memory)
                returned_at = time.monotonic()
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
        answer = QueryResponse(send, self._engine)
        user = "?"
        try:
            arguments = _url_arguments(scope)
            who = await self._accounts.admit(headers, arguments)  # before anything of the body is read
            user = who.name
            if headers.get("content-type", "").startswith("multipart/form-data"):
                arguments = await _form_fields(scope, receive) | arguments
            answer.query_id = read_query_id(arguments)
            request = read_request(scope["method"], headers, arguments, who, answer.query_id)
            multipart = headers.get("content-type", "").startswith("multipart/form-data")
            answer.frame_errors(request)
            frames = framing.FrameUnpacker(request.verify) if request.unframe else None
            body = RequestBody(receive, "" if multipart else headers.get("content-encoding", ""), frames)
            body.ended = multipart
            await self._query(request, body, receive, answer)
        except ClientGone:
            log.info("client left user=%s id=%s", user, answer.logged_id)
        except asyncio.CancelledError:
            log.warning("query given up user=%s id=%s: the server stops", user, answer.logged_id)
        except Exception as error:
            known = error if isinstance(error, ServerError) else from_engine(error)
            first_line = _QUOTED.split((known.logged.splitlines() or [""])[0])[0][:300]
            log.warning(
                "query failed code=%d status=%d user=%s id=%s %s",
                known.code,
                known.status,
                user,
                answer.logged_id,
                "".join(sign if sign.isprintable() else "?" for sign in first_line),
            )
            await answer.fail(known)

    async def _query(self, request: QueryRequest, body: RequestBody, receive: Receive, answer: QueryResponse) -> None:
        statement, source = await _statement(request, body)
        if statement.kind is StatementKind.EMPTY:
            if not source.strip() and request.access:
                await answer.complete(200, b"Ok.\n", "text/plain; charset=UTF-8")
                return
            raise ServerError(SYNTAX_ERROR, "Empty query")
        if statement.forbidden:
            code = INTO_OUTFILE_NOT_ALLOWED if statement.forbidden == "INTO OUTFILE" else UNKNOWN_TYPE_OF_QUERY
            raise ServerError(code, f"{statement.forbidden} is not allowed here.")
        if (statement.format or "").lower() == "values" and body.ended:
            statement = Statement(StatementKind.INSERT, "INSERT", source)
        session = self._sessions.take(request) if request.session_id else None
        execution = Execution(self._engine, request, statement, session)
        leaving: asyncio.Future[None] | None = None
        try:
            if statement.data_at is None:
                leaving = asyncio.ensure_future(_left(receive))
                last = await self._read(execution, request, leaving, answer)
            else:
                last = await self._write(execution, source[statement.data_at :], body)
        finally:
            if leaving is not None:
                leaving.cancel()
            # Before the last byte is out: the client may come back for the same session at once.
            if not execution.closed:
                await self._run(execution.close)
            if session is not None:
                await self._give_back(session, request)
        await answer.send_piece(last, True, execution)

    async def _give_back(self, session: QuerySession, request: QueryRequest) -> None:
        self._sessions.give_back(session, time.monotonic())
        if request.close_session:
            self._sessions.remove(session)
            await self._run(session.close)

    async def _write(self, execution: Execution, data: bytes, body: RequestBody) -> bytes:
        """Carries an INSERT's data to the engine and commits it; the answer is empty."""
        await self._run(execution.start)
        while True:
            data = await body.gather(data, _APPEND_BYTES)
            if data:
                await self._run(functools.partial(execution.append, data))
            data = b""
            if body.ended:
                break
        await self._run(execution.finish)
        return b""

    async def _read(
        self, execution: Execution, request: QueryRequest, leaving: asyncio.Future[None], answer: QueryResponse
    ) -> bytes:
        """Sends all of the result but its last part, which it returns."""
        data, last = await self._unless_left(execution.begin, leaving, request)
        answer.prepare(request)
        while not last:
            await answer.send_piece(data, False, execution)
            data, last = await self._unless_left(execution.pull, leaving, request)
        return data

    async def _unless_left(self, step: Callable[[], T], leaving: asyncio.Future[None], request: QueryRequest) -> T:
        """Runs a step on a worker thread; when the client leaves meanwhile, kills the query."""
        running = asyncio.ensure_future(self._run(step))
        either: set[asyncio.Future[Any]] = {running, leaving}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not leaving.done():
                return running.result()
        finally:
            # Left, or the server stops: nothing may touch the connection before the step has let go of it.
            if not running.done():
                await self._run(lambda: self._engine.kill(request.settings.get("log_comment", request.query_id)))
                await asyncio.wait({running})
                running.exception()
        raise ClientGone

    async def _run(self, step: Callable[[], T]) -> T:
        """Runs a blocking step on a worker thread; when cancelled, still waits for it."""
        working = asyncio.get_running_loop().run_in_executor(self._pool, step)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait({working})
            raise


async def _statement(request: QueryRequest, body: RequestBody) -> tuple[Statement, bytes]:
    """The statement, and what has been read of it: its head where data follow, else all of it."""
    source = await body.gather(request.query + b"\n" if request.query else b"", _HEAD_BYTES)
    statement = read_statement(source)
    if statement.data_at is None and not body.ended:
        source = await body.gather(source, _TEXT_BYTES)
        if not body.ended:
            raise ServerError(QUERY_IS_TOO_LARGE, f"The query is longer than {_TEXT_BYTES} bytes.")
        statement = read_statement(source)
    return statement, source


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _url_arguments(scope: Scope) -> dict[str, str]:
    if len(scope["query_string"]) > _URI_BYTES:
        raise ServerError(QUERY_IS_TOO_LARGE, f"The URI is longer than {_URI_BYTES} bytes.")
    return read_arguments(scope["query_string"])


async def _form_fields(scope: Scope, receive: Receive) -> dict[str, str]:
    """The fields of a multipart body: clients send long parameters so. Files would be external tables."""
    size = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal size
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        size += len(message.get("body", b""))
        if size > _TEXT_BYTES:
            raise ServerError(QUERY_IS_TOO_LARGE, f"The form is longer than {_TEXT_BYTES} bytes.")
        return message

    try:
        async with FormRequest(scope, bounded).form(
            max_files=0, max_fields=_FORM_FIELDS, max_part_size=_TEXT_BYTES
        ) as form:
            return {name: value for name, value in reversed(form.multi_items()) if isinstance(value, str)}
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise ServerError(NOT_IMPLEMENTED, "External tables are not supported by the embedded server.") from error
        raise ServerError(BAD_ARGUMENTS, f"The form can't be read: {error.message[:200]}") from error
