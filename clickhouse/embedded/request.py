"""One HTTP request read as ClickHouse reads it: who asks, what for, in which session, under which settings."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from clickhouse.embedded.errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    INVALID_SESSION_TIMEOUT,
    NOT_IMPLEMENTED,
    READONLY,
    ServerError,
)
from clickhouse.embedded.link import Access

# ClickHouse's defaults, in seconds (default_session_timeout, max_session_timeout).
SESSION_TIMEOUT: Final = 60
MAX_SESSION_TIMEOUT: Final = 3600

# Arguments that steer the transport; the engine has no such setting, or no use for it.
_TRANSPORT: Final = frozenset(
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
# What a readonly user may set: limits on the own query and the look of its result.
_GUEST_SETTINGS: Final = frozenset(
    {
        "extremes",
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
        "offset",
        "priority",
        "read_overflow_mode",
        "result_overflow_mode",
        "session_timezone",
        "timeout_overflow_mode",
    }
)
_GUEST_PREFIXES: Final = ("output_format_", "date_time_output_format", "format_")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in; an empty password lets anybody in under this name."""

    name: str
    password: str
    access: Access


@dataclass(slots=True)
class Request:
    """What the URL and the headers say; the statement itself may still be in the body."""

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
    settings: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)


def read_arguments(query_string: bytes) -> dict[str, str]:
    """The arguments of the URL; of a repeated one the first counts, as in ClickHouse."""
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=10_000)
    except ValueError as error:  # UnicodeDecodeError is one
        raise ServerError(BAD_ARGUMENTS, "The query string is not percent-encoded UTF-8.") from error
    return dict(reversed(pairs))


def authenticate(users: Mapping[str, User], headers: Mapping[str, str], arguments: Mapping[str, str]) -> User:
    """Who asks: by X-ClickHouse headers, HTTP Basic or arguments, never by two of them at once (code 516 otherwise)."""
    by_header = "x-clickhouse-user" in headers or "x-clickhouse-key" in headers
    by_basic = "authorization" in headers
    by_argument = "user" in arguments or "password" in arguments
    if by_header + by_basic + by_argument > 1:
        raise ServerError(AUTHENTICATION_FAILED, "Invalid authentication: only one method may be used at once.")
    if by_header:
        name, password = headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", "")
    elif by_basic:
        name, password = _basic(headers["authorization"])
    else:
        name, password = arguments.get("user", ""), arguments.get("password", "")
    name = name or "default"
    user = users.get(name)
    expected = user.password if user is not None else ""
    matches = hmac.compare_digest(expected.encode(), password.encode("utf-8", "surrogateescape"))
    if user is None or (user.password and not matches):
        raise ServerError(
            AUTHENTICATION_FAILED,
            f"{name[:100]}: Authentication failed: password is incorrect, or there is no user with such name.",
        )
    return user


def _basic(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ServerError(AUTHENTICATION_FAILED, f"Authentication scheme {scheme[:40]!r} is not supported.")
        name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ServerError(AUTHENTICATION_FAILED, "The Authorization header is malformed.") from error
    return name, password


def read_request(
    method: str, headers: Mapping[str, str], arguments: Mapping[str, str], user: User, query_id: str
) -> Request:
    """Sorts the arguments into transport, parameters and settings, and settles what the query may do."""
    for name in ("compress", "decompress"):
        if _flag(arguments, name):
            raise ServerError(NOT_IMPLEMENTED, f"{name}=1 (native framing) is not supported; use HTTP compression.")
    access = user.access
    if access is Access.FULL:
        asked = arguments.get("readonly", "0")
        if asked not in ("0", "1", "2"):
            raise ServerError(BAD_ARGUMENTS, "readonly must be 0, 1 or 2.")
        # ClickHouse runs a GET with readonly=2: it may change settings, never data.
        access = Access(int(asked)) or (Access.READ if method in ("GET", "HEAD") else Access.FULL)
    settings = {k: v for k, v in arguments.items() if k not in _TRANSPORT and not k.startswith("param_")}
    if user.access is Access.GUEST:
        for name in [*settings, *(["readonly"] if arguments.get("readonly", "1") not in ("1", "2") else [])]:
            if name not in _GUEST_SETTINGS and not name.startswith(_GUEST_PREFIXES):
                raise ServerError(READONLY, f"Cannot modify '{name[:100]}' setting in readonly mode.")
    return Request(
        user=user,
        query=arguments.get("query", "").encode(),
        query_id=query_id,
        access=access,
        database=arguments.get("database") or headers.get("x-clickhouse-database", ""),
        default_format=arguments.get("default_format") or headers.get("x-clickhouse-format", ""),
        session_id=arguments.get("session_id", ""),
        session_timeout=_session_timeout(arguments),
        session_check=_flag(arguments, "session_check"),
        close_session=_flag(arguments, "close_session"),
        wait_end=_flag(arguments, "wait_end_of_query") or _flag(arguments, "http_wait_end_of_query"),
        accept_encoding=headers.get("accept-encoding", "") if _flag(arguments, "enable_http_compression") else "",
        settings=settings,
        params={k.removeprefix("param_"): v for k, v in arguments.items() if k.startswith("param_")},
    )


def _flag(arguments: Mapping[str, str], name: str) -> bool:
    return arguments.get(name, "").lower() in ("1", "true", "yes", "on")


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
