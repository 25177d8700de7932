"""One HTTP request, parsed as ClickHouse parses it: user, statement, session and settings."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from clickhouse.embedded.engine_connection import Access
from clickhouse.embedded.errors import (
    BAD_ARGUMENTS,
    INVALID_SESSION_TIMEOUT,
    READONLY,
    ServerError,
)
from clickhouse.embedded.login import User
from clickhouse.embedded.native.native import read_revision

# ClickHouse's defaults, in seconds (default_session_timeout, max_session_timeout).
SESSION_TIMEOUT: Final = 60
MAX_SESSION_TIMEOUT: Final = 3600

# ClickHouse's own bound on a session's id.
_LONGEST_ID: Final = 128

# Arguments that steer the transport; the engine has no such setting, or no use for it.
TRANSPORT: Final = frozenset(
    {
        "add_http_cors_header",
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "http_native_compression_disable_checksumming_on_decompress",
        "http_response_buffer_size",
        "http_wait_end_of_query",
        "http_zlib_compression_level",
        "password",
        "query",
        "query_id",
        "quota_key",
        "readonly",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
    }
)
# What a readonly user may set: limits on the own query, the look of its result, and what clients send by themselves
# and for a reader changes nothing (how to insert, how to talk to other servers, which types to allow).
# clickhouse/config/users.xml allows the same on a server.
GUEST_SETTINGS: Final = frozenset(
    {
        "allow_experimental_dynamic_type",
        "allow_experimental_json_type",
        "allow_experimental_object_type",
        "allow_experimental_variant_type",
        "async_insert",
        "connect_timeout",
        "date_time_input_format",
        "enable_dynamic_type",
        "enable_json_type",
        "enable_variant_type",
        "extremes",
        "http_connection_timeout",
        "http_receive_timeout",
        "http_send_timeout",
        "insert_deduplicate",
        "limit",
        "log_comment",
        "max_block_size",
        "max_execution_time",
        "max_memory_usage",
        "max_result_bytes",
        "max_result_rows",
        "max_rows_to_read",
        "max_bytes_to_read",
        "max_threads",
        "network_compression_method",
        "network_zstd_compression_level",
        "offset",
        "priority",
        "read_overflow_mode",
        "receive_timeout",
        "result_overflow_mode",
        "select_sequential_consistency",
        "send_timeout",
        "session_timezone",
        "timeout_overflow_mode",
        "wait_for_async_insert",
    }
)
_GUEST_PREFIXES: Final = ("output_format_", "date_time_output_format", "format_")


@dataclass(slots=True)
class QueryRequest:
    """What the URL and the headers hold; the statement itself may still be in the body.

    `revision` is that of the Native format. `frames` names the method of ClickHouse's own compressed frames for the
    answer, `unframe` says that the body comes in such frames, and `verify` that their checksums count.
    """

    user: User
    query: bytes
    query_id: str
    access: Access
    database: str = ""
    default_format: str = ""
    session_id: str = ""
    session_timeout: int = SESSION_TIMEOUT
    session_check: bool = False
    close_session: bool = False
    wait_end: bool = False
    accept_encoding: str = ""
    revision: int = 0
    frames: str = ""
    unframe: bool = False
    verify: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


def read_arguments(query_string: bytes) -> dict[str, str]:
    """The arguments of the URL; of a repeated one the first counts, as in ClickHouse."""
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10_000)
    except ValueError as error:  # UnicodeDecodeError is one
        raise ServerError(BAD_ARGUMENTS, "The query string is not percent-encoded UTF-8.") from error
    return dict(reversed(pairs))


def read_query_id(arguments: Mapping[str, str]) -> str:
    """The id of the query, made where the client gave none. Raises ServerError when it is too long."""
    given = arguments.get("query_id", "")
    if len(given) > _LONGEST_ID:
        raise ServerError(BAD_ARGUMENTS, f"query_id is longer than {_LONGEST_ID} characters.")
    return given or str(uuid.uuid4())


def read_request(
    method: str, headers: Mapping[str, str], arguments: Mapping[str, str], user: User, query_id: str
) -> QueryRequest:
    """Sorts the arguments into transport, parameters and settings, and settles what the query may do."""
    settings = {k: v for k, v in arguments.items() if k not in TRANSPORT and not k.startswith("param_")}
    access = _access(method, arguments, user)
    if user.access is Access.GUEST:
        _check_guest(arguments, settings)
    return QueryRequest(
        user=user,
        query=arguments.get("query", "").encode(),
        query_id=query_id,
        access=access,
        database=arguments.get("database") or headers.get("x-clickhouse-database", ""),
        default_format=arguments.get("default_format") or headers.get("x-clickhouse-format", ""),
        session_id=_session_id(arguments),
        session_timeout=_session_timeout(arguments),
        session_check=_flag(arguments, "session_check"),
        close_session=_flag(arguments, "close_session"),
        wait_end=_flag(arguments, "wait_end_of_query") or _flag(arguments, "http_wait_end_of_query"),
        accept_encoding=headers.get("accept-encoding", "") if _flag(arguments, "enable_http_compression") else "",
        revision=read_revision(arguments.get("client_protocol_version", "0")),
        frames=arguments.get("network_compression_method", "LZ4") if _flag(arguments, "compress") else "",
        unframe=_flag(arguments, "decompress"),
        verify=not _flag(arguments, "http_native_compression_disable_checksumming_on_decompress"),
        settings=settings,
        params={k.removeprefix("param_"): v for k, v in arguments.items() if k.startswith("param_")},
    )


def _access(method: str, arguments: Mapping[str, str], user: User) -> Access:
    """What the query may do: the owner may ask for less."""
    if user.access is not Access.FULL:
        return user.access
    asked = arguments.get("readonly", "0")
    if asked not in ("0", "1", "2"):
        raise ServerError(BAD_ARGUMENTS, "readonly must be 0, 1 or 2.")
    # ClickHouse runs a GET with readonly=2: it may change settings, never data.
    return Access(int(asked)) or (Access.READ if method in ("GET", "HEAD") else Access.FULL)


def _check_guest(arguments: Mapping[str, str], settings: Iterable[str]) -> None:
    """Raises ServerError when a guest would change a setting that is not one of a guest's."""
    asked = ["readonly"] if arguments.get("readonly", "1") not in ("1", "2") else []
    for name in [*settings, *asked]:
        if name not in GUEST_SETTINGS and not name.startswith(_GUEST_PREFIXES):
            raise ServerError(READONLY, f"Cannot modify '{name[:100]}' setting in readonly mode.")


def _flag(arguments: Mapping[str, str], name: str) -> bool:
    return arguments.get(name, "").lower() in ("1", "true", "yes", "on")


def _session_id(arguments: Mapping[str, str]) -> str:
    asked = arguments.get("session_id", "")
    if len(asked) > _LONGEST_ID:
        raise ServerError(BAD_ARGUMENTS, f"session_id is longer than {_LONGEST_ID} characters.")
    return asked


def _session_timeout(arguments: Mapping[str, str]) -> int:
    asked = arguments.get("session_timeout", str(SESSION_TIMEOUT))
    if not asked.isascii() or not asked.isdigit():
        raise ServerError(INVALID_SESSION_TIMEOUT, f"Invalid session timeout: '{asked[:40]}'")
    if int(asked) > MAX_SESSION_TIMEOUT:
        raise ServerError(
            INVALID_SESSION_TIMEOUT,
            f"Session timeout '{asked[:40]}' is larger than max_session_timeout: {MAX_SESSION_TIMEOUT}.",
        )
    return int(asked)
