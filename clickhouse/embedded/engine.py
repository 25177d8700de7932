"""chDB as an engine: one data directory, many connections that query in parallel, one connection for one query at a time."""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO, Any, Final

import chdb

from clickhouse.embedded.errors import READONLY, UNKNOWN_SETTING, ServerError, from_engine
from clickhouse.embedded.statement import Kind, Statement

_SETTING_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_LOCK_FILE: Final = "sendlens.lock"
# chDB's query_class of statements that change nothing and steer nothing.
_READS_ONLY: Final = "READ_ONLY"


class EngineError(RuntimeError):
    """The data directory cannot be used; the text says what to do."""


class Access(IntEnum):
    """What a query may do, as the value of ClickHouse's `readonly` setting that enforces it."""

    FULL = 0
    GUEST = 1
    READ = 2


@dataclass(slots=True)
class Progress:
    """What a query has read, written and returned so far; rows, bytes and nanoseconds."""

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    result_rows: int = 0
    result_bytes: int = 0
    elapsed_ns: int = 0

    def add(self, result: Any, returned: int) -> None:
        """Adds the counters of one chDB result or streamed piece that carries `returned` bytes."""
        self.read_rows += result.storage_rows_read()
        self.read_bytes += result.storage_bytes_read()
        self.written_rows += result.rows_written()
        self.written_bytes += result.bytes_written()
        self.result_rows += result.rows_read() if returned else 0
        self.result_bytes += returned
        self.elapsed_ns += int(result.elapsed() * 1e9)

    def summary(self) -> str:
        """The value of the X-ClickHouse-Summary header: counters as strings, as ClickHouse writes them."""
        counters = {name: str(getattr(self, name)) for name in self.__slots__}
        return json.dumps(counters | {"total_rows_to_read": "0"}, separators=(",", ":"))


def quoted(value: str) -> str:
    """A ClickHouse string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def identifier(name: str) -> str:
    """A quoted ClickHouse identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


class Link:
    """One connection: a session with its own settings, database and temporary tables. Blocking; one query at a time."""

    def __init__(self, path: str) -> None:
        self._connection = chdb.connect(path)

    def query(self, sql: str | bytes, format: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Any:
        """Runs a statement to its end and returns chDB's result; engine errors become ServerError."""
        try:
            return self._connection.query(sql, format, params=dict(params or {}))
        except Exception as error:
            raise from_engine(error) from error

    def stream(self, sql: bytes, format: str, params: Mapping[str, str]) -> Iterator[Any]:
        """Runs a SELECT and yields its pieces as the engine makes them; closing the iterator cancels the query."""
        try:
            with self._connection.send_query(sql, format, params=dict(params)) as pieces:
                yield from pieces
        except GeneratorExit:
            raise
        except Exception as error:
            raise from_engine(error) from error

    def insert(self, sql: bytes, format: str, params: Mapping[str, str]) -> Insert:
        """Begins an INSERT whose data will be appended."""
        if params:
            # send_insert takes no parameters of its own; the session's serve as well.
            self.query("SET " + ", ".join(f"param_{identifier_word(k)} = {quoted(v)}" for k, v in params.items()))
        try:
            return Insert(self._connection.send_insert(sql.decode("utf-8", "surrogateescape"), format))
        except Exception as error:
            raise from_engine(error) from error

    def apply(self, settings: Mapping[str, str]) -> None:
        """Applies settings to this connection until they are changed again."""
        if settings:
            self.query("SET " + ", ".join(f"{identifier_word(k)} = {quoted(v)}" for k, v in settings.items()))

    def remember(self, names: list[str]) -> dict[str, str | None]:
        """The present values of settings, None for those at their default."""
        listed = ", ".join(quoted(name) for name in names)
        sql = f"SELECT name, value, changed FROM system.settings WHERE name IN ({listed})"  # noqa: S608
        rows = self.query(sql, "JSONCompactEachRow").bytes().splitlines()
        return {name: value if changed else None for name, value, changed in map(json.loads, rows)}

    def recall(self, remembered: Mapping[str, str | None]) -> None:
        """Puts settings back to what `remember` saw."""
        if remembered:
            parts = [f"{name} = {'DEFAULT' if value is None else quoted(value)}" for name, value in remembered.items()]
            self.query("SET " + ", ".join(parts))

    def check_access(self, access: Access, statement: Statement) -> None:
        """Refuses what `readonly` alone would let through: killing queries, writing files, leaving the session changed.

        The engine's own parser classifies the statement, so no spelling of it gets past.
        """
        if access is Access.FULL:
            return
        if access is Access.READ and statement.word in ("SET", "USE"):
            return
        verdict = self._connection._conn.classify_query(statement.text.decode("utf-8", "replace"))
        if statement.kind is Kind.INSERT or verdict["query_class"].name not in (_READS_ONLY, "UNKNOWN"):
            raise ServerError(READONLY, "Cannot execute query in readonly mode.")

    def statement_count(self, text: bytes) -> int:
        """How many statements the engine sees in `text`; 0 when it does not parse."""
        count: int = self._connection._conn.classify_query(text.decode("utf-8", "replace"))["statement_count"]
        return count

    def close(self) -> None:
        """Ends the connection, and with it what its session held."""
        with suppress(Exception):
            self._connection.close()


def identifier_word(name: str) -> str:
    """A setting's or parameter's name, which cannot be quoted and so must be a plain word."""
    if not _SETTING_NAME.fullmatch(name):
        raise ServerError(UNKNOWN_SETTING, f"Unknown setting {name[:100]!r}")
    return name


class Insert:
    """An INSERT that takes its data piece by piece; nothing is promised before `finish` returns."""

    def __init__(self, inserter: Any) -> None:
        self._inserter = inserter

    def append(self, data: bytes) -> None:
        """Hands over the next piece of the data, cut anywhere."""
        try:
            self._inserter.append(data)
        except Exception as error:
            raise from_engine(error) from error

    def finish(self, progress: Progress) -> None:
        """Commits what was appended and counts it."""
        try:
            result = self._inserter.finish()
        except Exception as error:
            raise from_engine(error) from error
        progress.written_rows += result.rows_written
        progress.written_bytes += result.bytes_written
        progress.elapsed_ns += int(result.elapsed * 1e9)

    def cancel(self) -> None:
        """Gives the insert up; harmless after `finish`."""
        with suppress(Exception):
            self._inserter.cancel()


class Engine:
    """The engine of one data directory. Only one process may hold it, and a process can hold only one."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._lock = _lock(self._path)
        try:
            self._root = Link(str(self._path))
        except Exception as error:
            self._lock.close()
            raise EngineError(f"chDB cannot open {self._path}: {error}") from error
        facts = self._root.query("SELECT version(), timezone(), displayName()", "JSONCompactEachRow").bytes()
        self.version: str
        self.timezone: str
        self.display_name: str
        self.version, self.timezone, self.display_name = json.loads(facts)

    def link(self) -> Link:
        """A fresh connection, about 0.2 ms."""
        return Link(str(self._path))

    def kill(self, tag: str) -> None:
        """Stops the running queries that carry `tag` as their log_comment."""
        link = self.link()
        try:
            link.query(f"KILL QUERY WHERE Settings['log_comment'] = {quoted(tag)} ASYNC")
        finally:
            link.close()

    def kill_all(self) -> None:
        """Stops every running query, so that the engine can close."""
        with suppress(ServerError):
            self._root.query("KILL QUERY WHERE query NOT LIKE 'KILL QUERY%' ASYNC")

    def close(self) -> None:
        """Closes the engine; parts in memory are written and the directory is free again."""
        self._root.close()
        self._lock.close()


def _lock(path: Path) -> IO[bytes]:
    """Holds the directory for this process; the kernel lets go even after SIGKILL."""
    if "?" in str(path):
        raise EngineError(f"{path}: chDB reads what follows '?' as options; choose a path without it.")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / _LOCK_FILE).open("ab")
    except OSError as error:
        raise EngineError(
            f"{path} is not writable ({error.strerror}): choose another --path or change its owner."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise EngineError(f"{path} is in use by another process: stop that one, or choose another --path.") from error
    return lock
