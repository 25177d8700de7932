"""One connection to the engine: what it runs, what it may do, and the settings that hold on it."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import chdb

from clickhouse.embedded.errors import READONLY, STD_EXCEPTION, UNKNOWN_SETTING, ServerError, from_engine
from clickhouse.embedded.statement import Statement, StatementKind

_SETTING_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# chDB's query_class of statements that change nothing and steer nothing.
_READS_ONLY: Final = "READ_ONLY"
# The settings that end an INSERT's text; what it reads from must stand before them.
_ENDING_SETTINGS = re.compile(rb"\sSETTINGS\s+\w+\s*=\s*[^\s,]+(?:\s*,\s*\w+\s*=\s*[^\s,]+)*\s*$", re.IGNORECASE)


class Access(IntEnum):
    """What a query may do, as the value of ClickHouse's `readonly` setting that enforces it."""

    FULL = 0
    GUEST = 1
    READ = 2


@dataclass(slots=True)
class QueryProgress:
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


class EngineConnection:
    """One connection: a session with its own settings, database and temporary tables. Blocking; one query at a time."""

    def __init__(self, path: str) -> None:
        # Typed as str throughout, but statements may hold any bytes and chDB takes them as they are.
        self._connection: Any = chdb.connect(path)
        self._database = self._at = "default"
        self._own: dict[str, str | None] = {}
        self._brought: dict[str, str] = {}

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
        return Insert(self, sql, format, params)

    def adopt(self, settings: Mapping[str, str], database: str = "") -> None:
        """Makes `settings` and `database` hold for the next query, and what earlier ones brought hold no longer.

        Only the difference to the query before is sent to the engine, so a client that asks the same way each time
        pays for it once.
        """
        strangers = [name for name in settings if name not in self._own]
        if strangers:
            self._own |= self._current(strangers)
        changes: dict[str, str | None] = {name: self._own.get(name) for name in self._brought if name not in settings}
        changes |= {name: value for name, value in settings.items() if self._brought.get(name) != value}
        if changes:
            # Should this fail half-way, the next query puts everything back.
            self._brought = dict.fromkeys((name for name in {**self._brought, **settings} if name in self._own), "?")
            self.set(changes)
        self._brought = dict(settings)
        wanted = database or self._database
        if wanted != self._at:
            self.query(f"USE {identifier(wanted)}")
            self._at = wanted

    def set(self, settings: Mapping[str, str | None]) -> None:
        """Applies settings to this connection until they are changed again; None is the default value."""
        parts = [
            f"{plain_word(name)} = {'DEFAULT' if value is None else quoted(value)}" for name, value in settings.items()
        ]
        if parts:
            self.query("SET " + ", ".join(parts))

    def steered(self, word: str) -> None:
        """Reread the session's own settings; call it after a SET or USE."""
        if word == "SET":
            self._own.clear()
        else:
            chosen: str = self.query("SELECT currentDatabase()", "TabSeparatedRaw").bytes().decode()
            self._at = self._database = chosen.rstrip("\n")

    def _current(self, names: list[str]) -> dict[str, str | None]:
        """The present values of settings, None for those at their default; unknown names are missing."""
        listed = ", ".join(quoted(name) for name in names)
        sql = f"SELECT name, value, changed FROM system.settings WHERE name IN ({listed})"  # noqa: S608
        rows = self.query(sql, "JSONCompactEachRow").bytes().splitlines()
        return {name: value if changed else None for name, value, changed in map(json.loads, rows)}

    def check_read(self, statement: Statement) -> None:
        """Refuses what `readonly` alone would let through: killing queries, writing files, steering the server.

        The engine's own parser classifies the statement, so no spelling of it gets past.
        """
        if statement.word in ("SET", "USE"):
            return
        verdict = self._connection._conn.classify_query(statement.text.decode("utf-8", "replace"))
        if statement.kind is StatementKind.INSERT or verdict["query_class"].name not in (_READS_ONLY, "UNKNOWN"):
            raise ServerError(READONLY, "Cannot execute query in readonly mode.")

    def close(self) -> None:
        """Ends the connection, and with it what its session held."""
        with suppress(Exception):
            self._connection.close()


def plain_word(name: str) -> str:
    """A setting's or parameter's name, which cannot be quoted and so must be a plain word."""
    if not _SETTING_NAME.fullmatch(name):
        raise ServerError(UNKNOWN_SETTING, f"Unknown setting {name[:100]!r}")
    return name


class Insert:
    """An INSERT that takes its data piece by piece; nothing is promised before `finish` returns.

    The engine reads the data from a pipe while it comes. chDB's own streaming insert is no choice: it reports success
    for rows that then violate a constraint or fail in a materialised view. Nor is data inside the statement: an empty
    line ends it (chDB 4.4, engine 26.9).
    """

    def __init__(self, connection: EngineConnection, sql: bytes, format: str, params: Mapping[str, str]) -> None:
        self._reads, self._writes = os.pipe()
        self._connection = connection
        self._params = params
        self._result: Any = None
        self._error: Exception | None = None
        settings = _ENDING_SETTINGS.search(sql)
        head, tail = (sql[: settings.start()], settings[0]) if settings else (sql, b"")
        source = f" FROM INFILE '/dev/fd/{self._reads}'".encode()
        self._statement = head + source + tail + b" FORMAT " + format.encode()
        self._engine = threading.Thread(target=self._run, name="insert", daemon=True)
        self._engine.start()

    def append(self, data: bytes) -> None:
        """Hands over the next piece of the data, cut anywhere; waits while the engine is behind."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._writes, rest) :]
        except BrokenPipeError:
            self._end()
            raise (self._error or ServerError(STD_EXCEPTION, "the engine stopped reading")) from None

    def finish(self, progress: QueryProgress) -> None:
        """Stores what was appended and counts it."""
        self._end()
        if self._error is not None:
            raise self._error
        progress.written_rows += self._result.rows_read()
        progress.written_bytes += self._result.bytes_read()
        progress.elapsed_ns += int(self._result.elapsed() * 1e9)

    def cancel(self) -> None:
        """Gives the insert up, harmless after `finish`. Rows of whole blocks may have been stored by then, as with a
        server whose client hangs up."""
        self._end()

    def _run(self) -> None:
        try:
            self._result = self._connection.query(self._statement, "Null", self._params)
        except Exception as error:
            self._error = error
        finally:
            os.close(self._reads)  # the last reader: a writer that waits is told

    def _end(self) -> None:
        if self._writes >= 0:
            os.close(self._writes)
            self._writes = -1
        self._engine.join()
