"""What `/v1` asks of ClickHouse: a question's parameters and its typed answers, off the loop that answers hits."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Query as Parameter

from clickhouse.queries import Query
from clickhouse.query_client import QueryClient
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, QueryParameters
from ingest.api.http.problems import described
from schemas.errors import Misconfigured, Reject, Retry

T = TypeVar("T")
MAX_CURSOR = 600  # characters

Since = Annotated[
    str,
    Parameter(
        description="Begin: a date or time of ISO 8601, UTC unless it says otherwise, or relative: `now-7d`, or "
        "`now/d`, `now-1w/w` and `now-1M/M`, where a day, week or month begins.",
        examples=[DEFAULT_SINCE, "2026-03-02"],
    ),
]
Until = Annotated[
    str, Parameter(description="End, which itself is not in.", examples=[DEFAULT_UNTIL, "2026-03-09T00:00:00Z"])
]
Timezone = Annotated[
    str, Parameter(description="Where a day begins and ends, by IANA's database.", examples=["UTC", "Europe/Paris"])
]
Campaigns = Annotated[
    list[str] | None,
    Parameter(description="Of these campaigns alone; may be repeated. None: all.", examples=[["spring-launch"]]),
]
Cursor = Annotated[
    str,
    Parameter(
        max_length=MAX_CURSOR,
        description="`next` of the page before, with the same other parameters: the pages fit together whatever "
        "happens meanwhile.",
    ),
]

# What a question may meet instead of an answer, for the documentation.
ASKED_OTHERWISE = described(422, "A parameter is not as described; `detail` says what to write.")
UNANSWERED = described(503, "ClickHouse can't answer now; the same request may be sent again.")


class NamedQueries:
    """Asks named queries and reads their rows as structs. `reader` has the threads."""

    def __init__(self, reader: QueryClient) -> None:
        self._reader = reader

    async def rows(
        self, queries: Sequence[Query], asked: QueryParameters, more: Mapping[str, Any] | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """The rows of each query, by its name. Raises Retry when ClickHouse can't answer one of them."""
        values = asked.parameters() | dict(more or {})
        key = (tuple(query.name for query in queries), msgspec.json.encode(values))
        try:
            answers = await self._reader.answers(key, list(queries), values)
        except Misconfigured as error:
            raise Retry(f"ClickHouse can't be asked: {error}") from error
        for answer in answers.values():
            if "error" in answer:
                raise Retry(f"ClickHouse can't answer: {answer['error']}")
        return {name: answer["rows"] for name, answer in answers.items()}


def read(rows: Sequence[Mapping[str, Any]], struct: type[T]) -> list[T]:
    """Rows as structs; columns that the struct does not have are left out."""
    return msgspec.convert(rows, list[struct])  # type: ignore[valid-type]


def utc_now() -> datetime:
    return datetime.now(UTC)


def cursor_of(mark: msgspec.Struct) -> str:
    """Where the next page begins, as the caller hands it back: opaque, and no secret."""
    return base64.urlsafe_b64encode(msgspec.json.encode(mark)).decode().rstrip("=")


def mark_of(cursor: str, struct: type[T]) -> T:
    """What `cursor_of` was given. Raises Reject for what it never gave."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=struct)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Reject("cursor-invalid", "give `next` of the page before as it is, or leave it out") from None
