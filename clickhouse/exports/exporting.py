"""Exports on their way: pulled from ClickHouse by threads of their own, pushed to callers, never held in between."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import structlog
from clickhouse_connect.driver.client import Client
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from clickhouse.exports.streaming import pieces
from clickhouse.queries import Query
from schemas.errors import Retry

log = structlog.get_logger()

EXPORTS = 2  # at once, each a thread while ClickHouse is asked; more would take the machine from boards

SECONDS = 1800  # for a whole export, its caller's share included

# What a spreadsheet would run is told as text: https://owasp.org/www-community/attacks/CSV_Injection. Spreadsheets pass
# over blanks and what they can't show before they look for a formula, so the same is done here. Files are looked at in
# terminals too, so control characters become U+FFFD and what changes the order of characters is left out, as in
# schemas/text.py.
_TOLD = r"""(cell -> if(match(cell, '^[\\pZ\\pC]*[-=+@＝＋－＠]|^[\\t\\r\\n]'), concat('''', cell), cell)) AS quoted,
(cell -> if(
    match(cell, '[^\\P{Cc}\\t\\r\\n]|[\\x{202a}-\\x{202e}\\x{2066}-\\x{2069}]'),
    replaceRegexpAll(
        replaceRegexpAll(cell, '[\\x{202a}-\\x{202e}\\x{2066}-\\x{2069}]', ''), '[^\\P{Cc}\\t\\r\\n]', '�'
    ),
    cell
)) AS shown,
(cell -> shown(quoted(cell))) AS told"""

Count = Callable[[str], None]
"""Told how an export ended: whole, broken (the caller got a part and can see it), or left (the caller went away)."""


def unlimited(view: Query) -> Query:
    """All rows of a view that ends with a limit, which keeps it fit for a screen."""
    return view.rewritten(re.sub(r"\nLIMIT \d+$", "", view.expanded))


def guarded(rows: Query, texts: Sequence[str]) -> Query:
    """The rows for spreadsheets and terminals: nothing in these columns of text is a formula or an order."""
    told = ", ".join(f"told({column}) AS {column}" for column in texts)
    return rows.rewritten(f"WITH {_TOLD}\nSELECT * REPLACE ({told})\nFROM {rows.source}")


class Exports:
    """All exports of this process."""

    def __init__(self, connect: Callable[[], Client], *, seconds: float = SECONDS) -> None:
        self._connect = connect
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(EXPORTS, thread_name_prefix="export")
        self._running = 0

    async def answer(
        self,
        query: Query,
        values: Mapping[str, Any],
        format: str,
        head: bytes,
        headers: Mapping[str, str],
        count: Count,
    ) -> Response:
        """The rows, after `head`. Raises Retry when ClickHouse has nothing to give, or too many exports are running."""
        if self._running >= EXPORTS:
            raise Retry(f"{EXPORTS} exports are running already")
        self._running += 1
        ends = time.monotonic() + self._seconds
        rows = pieces(self._connect, query, values, format, seconds=self._seconds)
        try:
            first = await self._next(rows)
        except BaseException:
            await self._end(rows)
            raise
        return _Download(self, rows, [head, first or b""], first is None, ends, headers, count)

    def close(self) -> None:
        """Take no more. What runs is broken off by the server's own end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def running(self, rows: Iterator[bytes]) -> AsyncIterator[Callable[[], Any]]:
        """How to get the next piece, None at the end. Afterwards the query has ended, whatever happened."""
        try:
            yield lambda: self._next(rows)
        finally:
            await self._end(rows)

    async def _next(self, rows: Iterator[bytes]) -> bytes | None:
        piece: bytes | None = await self._run(lambda: next(rows, None))
        return piece

    async def _end(self, rows: Any) -> None:
        self._running -= 1
        await self._run(rows.close)

    async def _run(self, step: Callable[[], Any]) -> Any:
        """A step on a thread. When cancelled it is still waited for: an iterator can't be closed while it runs."""
        working = asyncio.get_running_loop().run_in_executor(self._threads, step)
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait({working})
            raise


class _Download(Response):
    """Streams. One that breaks off lacks the last chunk, so that no caller takes a part for the whole (RFC 9112, 8)."""

    def __init__(
        self,
        exporting: Exports,
        rows: Iterator[bytes],
        begun: list[bytes],
        ended: bool,
        ends: float,
        headers: Mapping[str, str],
        count: Count,
    ) -> None:
        self._exporting = exporting
        self._rows = rows
        self._begun = begun
        self._ended = ended
        self._seconds = ends - time.monotonic()
        self._count = count
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(_left(receive))
        result, reason = "broken", "time is up"
        try:
            async with self._exporting.running(self._rows) as next_piece, asyncio.timeout(self._seconds):
                result, reason = await self._send(send, leaving, next_piece)
        except (Retry, TimeoutError) as error:
            reason = str(error) or reason
        finally:
            leaving.cancel()
            self._count(result)
            log.info("export ended", result=result, reason=reason)

    async def _send(self, send: Send, leaving: asyncio.Future[None], next_piece: Callable[[], Any]) -> tuple[str, str]:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        piece: bytes | None = b"".join(self._begun)
        while piece is not None:
            if leaving.done():
                return "left", "the caller went away"
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = None if self._ended else await next_piece()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return "whole", ""


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
