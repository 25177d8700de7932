"""Asks ClickHouse a board's questions on threads of its own, so that the loop that answers pixels never waits for one.

Many viewers cost one query: an answer is shared by all who ask the same within a second, and asked once if they ask
at the same time.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse.queries import Query
from clickhouse.store import error_code
from schemas.errors import Retry

THREADS = 2  # queries at once; more make a board slower on a small machine, each being parallel in itself
KEEP_SECONDS = 1.0
QUERY_SECONDS = 10  # then ClickHouse gives up by itself
WAITING = 64  # different questions under way before more are refused

_SETTINGS = {"readonly": 1, "max_execution_time": QUERY_SECONDS, "max_result_rows": 10_000}
_DATABASE_IS_GONE = 0  # no code of the server's: it did not answer

Answer = dict[str, Any]
"""`{"rows": [{column: value}]}`, or `{"error": text}` when this one question failed."""


class Reader:
    """One client, shared by a few threads. Connects at the first question, and again after the database was away."""

    def __init__(self, connect: Callable[[], Client], *, keep_seconds: float = KEEP_SECONDS) -> None:
        self._connect = connect
        self._keep_seconds = keep_seconds
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="page")
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._answers: dict[object, tuple[float, asyncio.Task[dict[str, Answer]]]] = {}

    async def answers(self, key: object, queries: list[Query], values: Mapping[str, Any]) -> dict[str, Answer]:
        """The queries' answers by name, shared with others: not to be changed. `key` says which questions are the same.

        Raises Retry when ClickHouse does not answer, Misconfigured when it refuses us.
        """
        now = time.monotonic()
        for old in [old for old, (until, task) in self._answers.items() if until < now and task.done()]:
            del self._answers[old]
        if key not in self._answers:
            if sum(not task.done() for _, task in self._answers.values()) >= WAITING:
                raise Retry("too many different questions at once")
            task = asyncio.create_task(self._ask(queries, dict(values)))
            task.add_done_callback(_seen)
            self._answers[key] = (now + self._keep_seconds, task)
        # A viewer who leaves must not take the answer from the others.
        return await asyncio.shield(self._answers[key][1])

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._drop()

    async def _ask(self, queries: list[Query], values: Mapping[str, Any]) -> dict[str, Answer]:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._connected)  # one attempt, not one for each query
        asked = [loop.run_in_executor(self._threads, self._run, query, query.values(values)) for query in queries]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return {query.name: answer for query, answer in zip(queries, answers, strict=True) if isinstance(answer, dict)}

    def _run(self, query: Query, values: dict[str, Any]) -> Answer:
        client = self._connected()
        try:
            result = client.query(query.sql, parameters=values, settings=_SETTINGS)
        except ClickHouseError as error:
            reason = str(error).partition("\n")[0][:300]
            if error_code(error) == _DATABASE_IS_GONE:
                self._drop()
                raise Retry(f"ClickHouse does not answer: {reason}") from error
            return {"error": reason}
        names = result.column_names
        return {"rows": [dict(zip(names, map(_plain, row), strict=True)) for row in result.result_rows]}

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
    return value
