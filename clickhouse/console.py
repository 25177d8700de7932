"""Runs one ad-hoc query as the user `reader`, and streams the answer in any ClickHouse format.

This speaks HTTP by itself: what it hands on are the server's bytes, which no client needs to understand.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import httpx

from clickhouse.store import error_code
from schemas.certificates import tls_context, with_advice
from schemas.errors import Misconfigured, Reject, Retry
from schemas.settings import Settings

READER = "reader"
_AUTHENTICATION_FAILED = 516
_CONNECT_SECONDS = 5.0
_ERROR_BYTES = 64 * 1024
_MARK = b"\r\n__exception__\r\n"
_VERSION = re.compile(r"\s*\(version .*\)\s*$", re.DOTALL)
# In these a backslash is the value's own syntax already, not yet a text's.
_COMPOSITE = r"\{{\s*{name}\s*:\s*(?:Array|Map|Tuple|Nested)\b"


@dataclass(frozen=True)
class ConsoleAddress:
    """The address and credentials of the user `reader`."""

    scheme: str
    host: str
    port: int
    path: str
    password: str
    database: str
    ca_file: str = ""

    @classmethod
    def of(cls, settings: Settings, clickhouse_url: str = "") -> ConsoleAddress:
        """As the settings have it, at another URL when one is given. Raises Misconfigured without a password."""
        if not settings.clickhouse_reader_password:
            raise Misconfigured("SENDLENS_CLICKHOUSE_READER_PASSWORD is not set: SQL is asked as the user `reader`")
        url = urlsplit(clickhouse_url or settings.clickhouse_url)
        return cls(
            scheme=url.scheme,
            host=url.hostname or "127.0.0.1",
            port=url.port or (8443 if url.scheme == "https" else 8123),
            path=url.path.rstrip("/"),
            password=settings.clickhouse_reader_password,
            database=settings.clickhouse_database,
            ca_file=settings.ca_file,
        )

    @property
    def _place(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def base(self) -> str:
        """The URL, without login and database."""
        return f"{self.scheme}://{self._place}{self.path}/"

    @property
    def url(self) -> str:
        """With login and database, as clickhouse-connect, SQLAlchemy and curl take it."""
        return f"{self.scheme}://{READER}:{quote(self.password, safe='')}@{self._place}{self.path}/{self.database}"

    @property
    def jdbc(self) -> str:
        """As the JDBC driver takes it, which DBeaver and Metabase have."""
        more = {"ssl": "true"} if self.scheme == "https" else {}
        login = urlencode({"user": READER, "password": self.password, **more})
        return f"jdbc:clickhouse:{self.scheme}://{self._place}{self.path}/{self.database}?{login}"

    def rows(self) -> list[tuple[str, str]]:
        """The fields of a tool's connection form, by name."""
        return [
            ("protocol", self.scheme.upper()),
            ("host", self.host),
            ("port", str(self.port)),
            ("user", READER),
            ("password", self.password),
            ("database", self.database),
            ("URL", self.url),
            ("JDBC", self.jdbc),
        ]


def ask(address: ConsoleAddress, query: str, format: str, values: Mapping[str, str]) -> Generator[bytes, None, None]:
    """The answer's bytes. Closing the iterator hangs up, and ClickHouse then stops the query.

    Raises Reject with ClickHouse's words when it refuses the query or fails in its midst: what was yielded by then is a
    part. Raises Retry when it does not answer, Misconfigured when it refuses the login.
    """
    arguments = {
        "database": address.database,
        "default_format": format,
        "query_id": str(uuid.uuid4()),
        **{f"param_{name}": _escaped(query, name, value) for name, value in values.items()},
    }
    login = (READER, address.password)
    trusted = tls_context(address.ca_file) if address.scheme == "https" else True
    # A proxy of the environment's must not get the password.
    with httpx.Client(trust_env=False, verify=trusted, timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS)) as client:
        try:
            with client.stream("POST", address.base, params=arguments, content=query.encode(), auth=login) as answer:
                _check(address, answer)
                yield from _rows(answer)
        except httpx.TransportError as error:
            raise Retry(f"ClickHouse at {address.base}: {with_advice(error) or type(error).__name__}") from error


def _check(address: ConsoleAddress, answer: httpx.Response) -> None:
    if not any(name.startswith("x-clickhouse-") for name in answer.headers):
        raise Misconfigured(f"SENDLENS_CLICKHOUSE_URL: what answers at {address.base} is not ClickHouse")
    if answer.status_code == httpx.codes.OK:
        return
    said = b""
    for piece in answer.iter_bytes():
        said += piece
        if len(said) > _ERROR_BYTES:
            break
    text = _one_line(said)
    if error_code(Exception(text)) == _AUTHENTICATION_FAILED:
        raise Misconfigured(f"SENDLENS_CLICKHOUSE_READER_PASSWORD: ClickHouse at {address.base} refuses it")
    raise Reject("query-refused", text)


def _rows(answer: httpx.Response) -> Iterator[bytes]:
    """The body up to an error in its midst, which stands behind a mark of its own (ClickHouse, HTTPHandler.cpp)."""
    tag = answer.headers.get("X-ClickHouse-Exception-Tag", "")
    mark = _MARK + tag.encode() if tag else b""
    held = b""
    broken: httpx.TransportError | None = None
    pieces = answer.iter_bytes()
    while broken is None:
        try:
            held += next(pieces)
        except StopIteration:
            break
        except httpx.TransportError as error:
            broken = error
        if mark and mark in held:
            continue  # the rest is the error's text
        if len(held) > len(mark):
            ready = len(held) - len(mark)
            yield held[:ready]
            held = held[ready:]
    rows, found, said = held.partition(mark) if mark else (held, b"", b"")
    if rows:
        yield rows
    if found:
        raise Reject("query-failed", _one_line(said.split(_MARK)[0].removeprefix(b"\r\n")))
    if broken is not None:
        raise broken


def _escaped(query: str, name: str, value: str) -> str:
    """A parameter as the server reads it: in its escaped form, so that the value is meant as it stands."""
    if re.search(_COMPOSITE.format(name=re.escape(name)), query):
        return value
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _one_line(said: bytes) -> str:
    text = _VERSION.sub("", said.decode("utf-8", "replace").strip())
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(text.split()))[:1000]
