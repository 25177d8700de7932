"""A query's result piece by piece as it comes, however large. Nothing is kept, and an error is never given as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from clickhouse.queries import Query
from clickhouse.store import error_code
from schemas.errors import Misconfigured, Retry

_PIECE_BYTES = 256 * 1024
# A server that fails half-way writes why behind the rows, at most 16 kB of it (ClickHouse, HTTPHandler.cpp), and breaks
# off. So much is always held back until the end has come, and never reaches the reader when it was no end.
_HELD_BYTES = 32 * 1024
_OPENING = b"__exception__\r\n"
_SETTINGS = {
    "readonly": 1,
    "date_time_output_format": "iso",
    "format_csv_null_representation": "",
    "max_threads": 2,  # an export may take its time, boards may not
}


def pieces(
    connect: Callable[[], Client],
    query: Query,
    values: Mapping[str, Any],
    format: str,
    *,
    seconds: float,
) -> Iterator[bytes]:
    """The rows in a format of ClickHouse's. Blocks; for a thread. Closing the iterator ends the query.

    Raises Retry when ClickHouse does not answer, refuses, breaks off, or takes longer than so many seconds: before the
    first piece nothing has gone wrong yet, and after it what was given is a part of the rows.
    """
    try:
        client = connect()
    except Misconfigured as error:
        raise Retry(f"ClickHouse can't be asked: {error}") from error
    with client:
        settings = _SETTINGS | {"max_execution_time": seconds}
        try:
            response: Any = client.raw_stream(query.asked, dict(values), settings=settings, fmt=format)
        except ClickHouseError as error:
            raise _broken(error) from error
        try:
            yield from _whole(response)
        except (HTTPError, OSError) as error:
            raise Retry(f"ClickHouse broke off ({type(error).__name__})") from error
        finally:
            response.close()


def _whole(response: Any) -> Iterator[bytes]:
    held = b""
    for piece in response.stream(_PIECE_BYTES, decode_content=True):
        held += piece
        if len(held) >= _PIECE_BYTES:
            yield held[:-_HELD_BYTES]
            held = held[-_HELD_BYTES:]
    tag = response.headers.get("X-ClickHouse-Exception-Tag")
    if tag and _OPENING + tag.encode() in held:
        raise Retry("ClickHouse broke off with an error")
    if held:
        yield held


def _broken(error: ClickHouseError) -> Exception:
    said = str(error).partition("\n")[0][:300]
    return Retry(f"ClickHouse can't export: {said}" if error_code(error) else f"ClickHouse does not answer: {said}")
