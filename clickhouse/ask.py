"""Asks ClickHouse named queries: the one place where a client's errors become ours and its times get their UTC.

Boards and `/v1` share answers on threads of their own (reader.py); exports are streamed (streaming.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from clickhouse.queries import Query, get
from clickhouse.store import connect, first_line
from schemas.errors import Retry
from schemas.settings import Settings

Row = tuple[Any, ...]

_CHUNK_BYTES = 65_536


def rows(client: Client, query: str | Query, /, **parameters: Any) -> list[Row]:
    """The rows that answer a query, given by its name. Raises Retry while ClickHouse does not answer."""
    asked = _named(query)
    with _explained(asked):
        found = client.query(asked.asked, parameters=asked.values(parameters)).result_rows
    return [_with_utc(row) for row in found]


def each(client: Client, query: str | Query, /, **parameters: Any) -> Iterator[Row]:
    """As `rows`, one by one as they come, however many there are."""
    asked = _named(query)
    with _explained(asked), client.query_rows_stream(asked.asked, parameters=asked.values(parameters)) as found:
        yield from map(_with_utc, found)


def json_lines(client: Client, query: str | Query, /, **parameters: Any) -> Iterator[bytes]:
    """The rows as JSON, a line each as they come; times in ISO 8601."""
    asked = _named(query)
    settings = {"date_time_output_format": "iso"}
    with _explained(asked):
        stream: Any = client.raw_stream(
            asked.asked, parameters=asked.values(parameters), settings=settings, fmt="JSONEachRow"
        )
        with stream:
            rest = b""
            while chunk := stream.read(_CHUNK_BYTES):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from filter(None, whole)
            if rest:
                yield rest


def run(client: Client, statement: Query, parameters: Mapping[str, Any], **settings: Any) -> None:
    """Run a statement that changes something, for good when this returns."""
    client.command(statement.sql, parameters=statement.values(parameters), settings=settings)


class Questions(Protocol):
    """Whom a stage asks what ClickHouse knows."""

    async def ask(self, name: str, **parameters: Any) -> Sequence[Row]:
        """The rows that answer a query. Raises Retry while there is no answer."""

    def close(self) -> None:
        """Asks nothing more."""


class StageQueries:
    """A stage's questions, on threads. One client, connected at the first question, and again after ClickHouse was
    away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None

    async def ask(self, name: str, **parameters: Any) -> Sequence[Row]:
        """The rows that answer a query. Raises Retry while ClickHouse is away, Misconfigured when it refuses us."""
        return await asyncio.to_thread(self.ask_now, name, **parameters)

    def ask_now(self, name: str, **parameters: Any) -> Sequence[Row]:
        """As `ask`, for those who may block."""
        query = get(name)
        if self._client is None:
            # In the body: ids by the thousand don't fit a URL.
            self._client = connect(self._settings, form_encode_query_params=True)
        return rows(self._client, query, **parameters)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()


def _named(query: str | Query) -> Query:
    return query if isinstance(query, Query) else get(query)


@contextmanager
def _explained(query: Query) -> Iterator[None]:
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        raise Retry(f"ClickHouse does not answer {query.name}: {first_line(error)}") from error


def _with_utc(row: Sequence[Any]) -> Row:
    """clickhouse-connect leaves UTC out of a time."""
    return tuple(
        value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value for value in row
    )
