"""Asks ClickHouse a board's questions on threads of its own, so that the loop that answers pixels never waits for one.

Many viewers cost one query: an answer is shared by all who ask the same within a second, and asked once if they ask
at the same time. A question that nobody waits for any more is cancelled, also in ClickHouse. Viewers take turns, query
by query, so that one who asks much does not keep the others waiting. Of a period in which nothing happened a board's
questions are asked in their quiet form (inlining.py), once one cheap query has said so. Parts of one view are asked
as that view once (rounds.py).
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from starlette.types import Receive

from clickhouse.queries import Query, get
from clickhouse.rounds import apart, gathered
from clickhouse.store import error_code
from schemas.errors import Retry

THREADS = 2  # queries at once; more make a board slower on a small machine, each being parallel in itself
KEEP_SECONDS = 1.0
QUERY_SECONDS = 10  # then ClickHouse gives up by itself
WAITING = 64  # different questions under way before more are refused
TOO_MANY = "too many different questions at once"

_SETTINGS = {"readonly": 1, "max_execution_time": QUERY_SECONDS, "max_result_rows": 10_000}
_DATABASE_IS_GONE = 0  # no code of the server's: it did not answer
_WRITTEN = get("written_in_period")
_KILL = "KILL QUERY WHERE Settings['log_comment'] = {tag:String} ASYNC"

T = TypeVar("T")
log = structlog.get_logger()

QueryResult = dict[str, Any]
"""`{"rows": [{column: value}]}`, or `{"error": text}` when this one question failed."""


class FairQueue:
    """So many places, which are given to viewers in turn, however much each of them asks."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}  # the viewer whose turn is next comes first

    @asynccontextmanager
    async def of(self, viewer: Hashable) -> AsyncIterator[None]:
        """Within it the viewer has a place."""
        if self._free:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(viewer, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # it came at the same moment
                    self._next()
                raise
        try:
            yield
        finally:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            viewer, turns = next(iter(self._waiting.items()))
            del self._waiting[viewer]
            turn = turns.popleft()
            if turns:
                self._waiting[viewer] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


@dataclass
class _Question:
    """One that is asked, or was answered just now: until when its answer is good, and how many wait for it."""

    until: float
    task: asyncio.Task[dict[str, QueryResult]]
    waiting: int = 0


class QueryClient:
    """One client, shared by a few threads. Connects at the first question, and again after the database was away."""

    def __init__(self, connect: Callable[[], Client], *, keep_seconds: float = KEEP_SECONDS) -> None:
        self._connect = connect
        self._keep_seconds = keep_seconds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="page")
        self._killing = ThreadPoolExecutor(1, thread_name_prefix="page-kill")
        self._turns = FairQueue(THREADS)
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._questions: dict[object, _Question] = {}
        self._written: datetime | None = None  # an hour in which something happened; it is asked in full, so may be old

    async def answers(
        self, key: object, queries: list[Query], values: Mapping[str, Any], viewer: Hashable = ""
    ) -> dict[str, QueryResult]:
        """The queries' answers by name, shared with others: not to be changed. `key` says which questions are the same,
        `viewer` who takes turns with others. Cancelled, it cancels the queries, unless others wait for them too.

        Raises Retry when ClickHouse does not answer, Misconfigured when it refuses us.
        """
        now = time.monotonic()
        for old in [old for old, one in self._questions.items() if one.until < now and one.task.done()]:
            del self._questions[old]
        if key not in self._questions:
            if sum(not one.task.done() for one in self._questions.values()) >= WAITING:
                raise Retry(TOO_MANY)
            task = asyncio.create_task(self._ask(queries, dict(values), viewer))
            task.add_done_callback(_seen)
            self._questions[key] = _Question(now + self._keep_seconds, task)
        question = self._questions[key]
        question.waiting += 1
        try:
            return await asyncio.shield(question.task)
        finally:
            question.waiting -= 1
            if not question.waiting and not question.task.done():
                question.task.cancel()
                self._questions.pop(key, None)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._killing.shutdown(wait=False, cancel_futures=True)
        self._drop()

    async def _ask(self, queries: list[Query], values: Mapping[str, Any], viewer: Hashable) -> dict[str, QueryResult]:
        if self._client is None:
            async with self._turns.of(viewer):  # one attempt, not one for each query
                await asyncio.get_running_loop().run_in_executor(self._threads, self._connected)
        asked = gathered(queries)
        if await self._is_quiet(asked, values, viewer):
            asked = [query.of_quiet for query in asked]
        answers = apart(queries, await self._round(asked, values, viewer))
        alone = [query for query in queries if query.name not in answers]
        return answers | await self._round(alone, values, viewer)

    async def _round(self, queries: list[Query], values: Mapping[str, Any], viewer: Hashable) -> dict[str, QueryResult]:
        asked = [self._in_turn(query, query.values(values), viewer) for query in queries]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return {query.name: answer for query, answer in zip(queries, answers, strict=True) if isinstance(answer, dict)}

    async def _is_quiet(self, queries: list[Query], values: Mapping[str, Any], viewer: Hashable) -> bool:
        """Whether nothing happened in the period: known of the moment of asking, as an answer is. One failed look is no
        yes. Where an hour that something was found in lies in the period, there is no need to look."""
        if not any(query.quiet for query in queries):
            return False
        since, until = (datetime.fromisoformat(str(values[name])).replace(tzinfo=UTC) for name in ("since", "until"))
        if self._written is not None and since - (until - since) <= self._written < until:
            return False
        rows = (await self._in_turn(_WRITTEN, _WRITTEN.values(values), viewer)).get("rows")
        if rows:
            self._written = datetime.fromisoformat(rows[0]["slot"])
        return rows == []

    async def _in_turn(self, query: Query, values: dict[str, Any], viewer: Hashable) -> QueryResult:
        async with self._turns.of(viewer):
            loop, tag = asyncio.get_running_loop(), f"page {secrets.token_hex(8)}"
            running = loop.run_in_executor(self._threads, self._run, query, values, tag)
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                # Its place is free when its thread is, and not before.
                loop.run_in_executor(self._killing, self._kill, tag)
                await asyncio.wait({running})
                raise

    def _run(self, query: Query, values: dict[str, Any], tag: str) -> QueryResult:
        client = self._connected()
        try:
            result = client.query(query.asked, parameters=values, settings=_SETTINGS | {"log_comment": tag})
        except ClickHouseError as error:
            reason = str(error).partition("\n")[0][:300]
            if error_code(error) == _DATABASE_IS_GONE:
                self._drop()
                raise Retry(f"ClickHouse does not answer: {reason}") from error
            return {"error": reason}
        names = result.column_names
        return {"rows": [dict(zip(names, map(_plain, row), strict=True)) for row in result.result_rows]}

    def _kill(self, tag: str) -> None:
        try:
            self._connected().command(_KILL, parameters={"tag": tag})
        except ClickHouseError as error:  # it ends by itself, in QUERY_SECONDS
            log.warning("a query could not be cancelled", reason=str(error).partition("\n")[0][:300])

    def _connected(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _drop(self) -> None:
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


class AskerLeft(Exception):
    """Who asked has closed the connection."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The work's result; when the asker leaves meanwhile the work is cancelled. `receive` is that of an ASGI request
    whose body was read or is not wanted. Raises AskerLeft."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise AskerLeft
    finally:
        leaving.cancel()
        working.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _seen(task: asyncio.Task[Any]) -> None:
    """Look at the exception, or asyncio complains when every viewer has left."""
    if not task.cancelled():
        task.exception()


def _plain(value: Any) -> Any:
    """A value as JSON has it: times in UTC, ISO 8601; what is no number is null; seven digits are enough for a rate."""
    if isinstance(value, float):
        return round(value, 7) if math.isfinite(value) else None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
    return str(value) if isinstance(value, UUID) else value
