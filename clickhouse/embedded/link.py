"""One connection to the engine: what it runs, what it may do, and the settings that hold on it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import chdb

from clickhouse.embedded.errors import READONLY, UNKNOWN_SETTING, ServerError, from_engine
from clickhouse.embedded.statement import Kind, Statement

_SETTING_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# chDB's query_class of statements that change nothing and steer nothing.
_READS_ONLY: Final = "READ_ONLY"


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
        if params:
            # send_insert takes no parameters of its own; the session's serve as well.
            self.set({f"param_{name}": value for name, value in params.items()})
        try:
            return Insert(self._connection.send_insert(sql.decode("utf-8", "surrogateescape"), format))
        except Exception as error:
            raise from_engine(error) from error

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
        """To be called after a SET or USE: what the session itself has chosen is read anew."""
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


def plain_word(name: str) -> str:
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
