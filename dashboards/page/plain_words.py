"""What a viewer is told when there are no numbers, and what to do. The database's own words go to the log."""

from __future__ import annotations

import structlog

from clickhouse.query_client import QUERY_SECONDS, TOO_MANY
from clickhouse.store import error_code
from schemas.errors import Misconfigured, Retry

log = structlog.get_logger()

_LATER = "It may be restarting. Nothing is lost: what happens meanwhile is counted when it is back."
_BUSY = "Many boards are asked for at this moment. It is this one's turn soon."
_REFUSED = "It refuses Sendlens: an operator finds the reason in the log of ingest."
# ClickHouse's codes: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
_LONG = f"It takes longer than {QUERY_SECONDS} seconds. Choose a shorter period, or fewer campaigns."
_FOR_CODES = {
    159: _LONG,  # TIMEOUT_EXCEEDED
    160: _LONG,  # TOO_SLOW
    241: "It takes more memory than there is. Choose a shorter period, or fewer campaigns.",  # MEMORY_LIMIT_EXCEEDED
    202: "The database is at too many questions just now.",  # TOO_MANY_SIMULTANEOUS_QUERIES
    394: "It was cancelled.",  # QUERY_WAS_CANCELLED
}
_UNKNOWN = "The database could not answer this one. An operator finds the reason in the log of ingest."


def of_board(error: Retry | Misconfigured) -> str:
    """Of a board that can't be had at all."""
    log.warning("a board can't be asked for", reason=str(error))
    if isinstance(error, Misconfigured):
        return _REFUSED
    return _BUSY if str(error) == TOO_MANY else _LATER


def of_panel(query: str, reason: str) -> str:
    """Of one number, for which ClickHouse gave this reason."""
    log.warning("a number can't be had", query=query, reason=reason)
    return _FOR_CODES.get(error_code(Exception(reason)), _UNKNOWN)
