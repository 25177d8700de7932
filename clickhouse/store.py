"""ClickHouse at arm's length: connecting, and inserting lines it never decodes.

clickhouse-connect over HTTP is the client everywhere, but in `clickhouse/console.py`, which decodes nothing either: the
embedded database and a real cluster differ by SENDLENS_CLICKHOUSE_URL alone.
"""

from __future__ import annotations

import re
import secrets
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from clickhouse_connect.driver.httputil import get_pool_manager

from clickhouse.cluster import SETTINGS as CLUSTER_SETTINGS
from clickhouse.cluster import spread
from clickhouse.counting import propagate
from schemas.certificates import advice_on, tls_context
from schemas.errors import Misconfigured, Reject, Retry
from schemas.settings import Settings

# Server error codes that blame the rows, not the server (ClickHouse, src/Common/ErrorCodes.cpp): sending the same rows
# again can't help. Everything else may pass.
_ROWS_TO_BLAME = frozenset(
    {6, 25, 26, 27, 33, 38, 41, 53, 69, 70, 72, 117, 131, 158, 321, 349, 376, 467, 469, 675, 676}
)
# Code 252 is also "too many parts", which passes; of this there are too many months in the rows themselves.
_TOO_MANY_PARTITIONS = "Too many partitions for single INSERT block"
_CREDENTIALS_TO_BLAME = frozenset({192, 193, 194, 516})
# urllib3 says where, how often and by which of its own classes; why stands innermost.
_UNREACHED = re.compile(r"Max retries exceeded .*?\(Caused by (?P<why>.+?)\)(?: executing|$)")
_INNERMOST = re.compile(r"Failed to .+|\[SSL.+|Read timed out.+")
_CODE = re.compile(r"\b[Cc]ode: (\d+)")

_INSERT_SETTINGS = {
    "async_insert": 0,  # answered means stored
    "date_time_input_format": "best_effort",  # RFC 3339
    "input_format_skip_unknown_fields": 0,  # a field nobody stores is a broken contract, not noise
}


def connect(settings: Settings, *, database: str | None = None, **options: Any) -> Client:
    """Open a client. It may be shared by threads; close it when done.

    Raises Retry when nothing answers there yet and Misconfigured when the credentials are refused.
    """
    url = urlsplit(settings.clickhouse_url)
    https = url.scheme == "https"
    cluster = settings.clickhouse_cluster
    if https and settings.ca_file:
        options["pool_mgr"] = _pool(settings.ca_file)
    try:
        client = clickhouse_connect.get_client(
            host=url.hostname or "127.0.0.1",
            port=url.port or (8443 if https else 8123),
            interface=url.scheme,
            username=settings.clickhouse_user,
            password=settings.clickhouse_password,
            database=settings.clickhouse_database if database is None else database,
            autogenerate_session_id=False,  # a session would make queries of several threads wait for each other
            settings=CLUSTER_SETTINGS if cluster else None,
            **options,
        )
    except ClickHouseError as error:
        raise _next_move(error) from error
    if cluster:
        spread(client, cluster, settings.clickhouse_database)
    return client


@cache
def _pool(ca_file: str) -> Any:
    """The connections that all clients share, as they share clickhouse-connect's own without a private authority."""
    return get_pool_manager(ssl_context=tls_context(ca_file))


def insert_lines(client: Client, table: str, lines: bytes) -> None:
    """Insert newline-delimited JSON; what numbers are counted from follows an insert of events. Raises Reject when a
    row is at fault, Retry when the database is."""
    batch = secrets.token_hex(16)
    try:
        client.raw_insert(
            table, insert_block=lines, fmt="JSONEachRow", settings=_INSERT_SETTINGS | {"log_comment": batch}
        )
        if table == "events":
            propagate(client, batch)
    except ClickHouseError as error:
        raise _next_move(error) from error


def _next_move(error: ClickHouseError) -> Exception:
    code = error_code(error)
    to_blame = code in _ROWS_TO_BLAME or (code == 252 and _TOO_MANY_PARTITIONS in str(error))
    if to_blame and not isinstance(error, OperationalError):
        return Reject("rows-refused", first_line(error))
    if code in _CREDENTIALS_TO_BLAME:
        return Misconfigured(f"SENDLENS_CLICKHOUSE_USER or _PASSWORD: ClickHouse refuses them ({first_line(error)})")
    advice = advice_on(error)
    return Retry(f"ClickHouse: {first_line(error)}" + (f": {advice}" if advice else ""))


def error_code(error: Exception) -> int:
    """The server's error code, 0 when the error is not the server's."""
    found = _CODE.search(str(error))
    return int(found[1]) if found else 0


def first_line(error: Exception) -> str:
    """Enough to act on; never the rows, which may name people. Of a server that was not reached, why."""
    text = str(error).partition("\n")[0]
    if unreached := _UNREACHED.search(text):
        why = _INNERMOST.search(unreached["why"])
        return f"no answer: {(why[0] if why else unreached['why'])[:300]}".rstrip("\"')")
    return re.split(r": \(?(?:while|at row|\(at row|Buffer|Row \d)", text)[0][:300]
