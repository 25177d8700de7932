"""Who may run which statement, decided from its tree by the names of names.tsv.

A guest may read tables, and call functions that touch neither files nor network nor the server's secrets: what the
table does not give to guests is refused. The owner may do all that stays in the database: what is nobody's is refused
over HTTP, so that even who has the owner's password reads and writes no file of the machine. The password is the door;
this is a second one.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from typing import Final

from clickhouse.embedded.engine_connection import EngineConnection, quoted
from clickhouse.embedded.errors import (
    ACCESS_DENIED,
    BAD_ARGUMENTS,
    QUERY_IS_TOO_LARGE,
    READONLY,
    UNKNOWN_TABLE,
    ServerError,
)
from clickhouse.embedded.permission.names import is_guests_function, lowered, names
from clickhouse.embedded.permission.parser import Parser
from clickhouse.embedded.permission.tree import Table, Tree
from clickhouse.embedded.statement import Statement, StatementKind, read_statement, words_of

# Databases in which a name is a table's and nothing else. In the engine's own `default` it may be a file's path too.
_PLAIN: Final = ("Atomic", "Memory", "Ordinary", "Replicated")
_PLAIN_NAME: Final = re.compile(r"\w+")
# The engine's max_query_size, which it would say itself, after more work.
_GUESTS_BYTES: Final = 256 << 10
# The one form in which the owner may name the engine File: a word within the folder that the engine is given for it.
_BACKUP: Final = re.compile(
    rb"(BACKUP (DATABASE \w+ EXCEPT TABLES|TABLE) \w+\.\w+(, \w+\.\w+)* TO"
    rb"|RESTORE (DATABASE \w+ AS \w+|TABLE \w+\.\w+ AS \w+\.\w+(, TABLE \w+\.\w+ AS \w+\.\w+)*) FROM)"
    rb" File\('[\w-]+'\)( SETTINGS (deduplicate_files = 0|structure_only = 1))? ASYNC"
)
# The statements of a guest, by the root of their tree or by their words.
_GUESTS: Final = frozenset(
    {
        "DESCRIBE",
        "EXISTS",
        "EXISTS DATABASE",
        "ExplainQuery",
        "SHOW CREATE",
        "SHOW CREATE DATABASE",
        "SHOW ENGINES",
        "SHOW FUNCTIONS",
        "SHOW SETTING",
        "SelectWithUnionQuery",
        "ShowColumnsQuery",
        "ShowIndexesQuery",
        "ShowTablesQuery",
    }
)
_EXPLAINS: Final = frozenset(
    {"EXPLAIN", "EXPLAIN AST", "EXPLAIN ESTIMATE", "EXPLAIN PIPELINE", "EXPLAIN QUERY TREE", "EXPLAIN SYNTAX"}
)
# What SHOW may list. Of the rest, like SHOW MERGES and SHOW CLUSTERS, nothing is a guest's.
_SHOWN: Final = frozenset(
    {"case_insensitive_like", "changed", "databases", "dictionaries", "full", "not_like", "settings", "temporary"}
)


class Permission:
    """Judges statements before the engine runs them. Blocking, and to be called from any thread."""

    def __init__(self, parser: Parser, connection: EngineConnection) -> None:
        self._parser = parser
        self._connection = connection
        self._lock = threading.Lock()
        self._plain: frozenset[str] = frozenset()

    def close(self) -> None:
        """Ends the connections."""
        self._parser.close()
        self._connection.close()

    def check_settings(self, settings: Iterable[str]) -> None:
        """Raises ServerError when one of `settings`, by its name, holds a path, an address or another grammar."""
        _refuse("the setting", names("nobody", "setting").intersection(settings))

    def check_guest(self, statement: Statement, format: str, database: str, params: Mapping[str, str]) -> None:
        """Raises ServerError unless a guest may run `statement` in `database`, with the answer in `format`."""
        if statement.kind is StatementKind.INSERT:
            raise _cannot_write()
        if len(statement.text) > _GUESTS_BYTES:
            raise ServerError(QUERY_IS_TOO_LARGE, f"The query is longer than {_GUESTS_BYTES} bytes.")
        tree = self._parser.parse(statement.text)
        if tree.kind not in _GUESTS:
            raise _cannot_write()
        if tree.settings:
            raise ServerError(READONLY, f"Cannot modify '{_listed(tree.settings)}' setting in readonly mode.")
        _check_names(tree, format)
        self._check_sources(tree, database or "default")
        self._check_tables(tree, database or "default", params)

    def check_owner(self, statement: Statement) -> None:
        """Raises ServerError when `statement` would leave the database: for files, the network, programs."""
        text = statement.text
        if statement.kind is StatementKind.INSERT:
            inline = read_statement(text)
            if statement.data_at is None and inline.data_at is not None:
                _check_values(text[inline.data_at :])
                statement, text = inline, inline.text
            if statement.format is not None:
                text += b" FORMAT " + statement.format.encode()
        if _BACKUP.fullmatch(text):
            return
        tree = self._parser.parse(text)
        self.check_settings(tree.settings)
        _refuse("the clause", tree.flags & {"out_file", "attach_from_path"})
        called = {name.lower() for name in tree.functions | tree.lambdas | tree.sources | tree.sets}
        _refuse("the function, engine or source", _nobodys() & called)
        tables = tree.targets | {part.text for table in tree.tables for part in table}
        _refuse("the table", {name for name in tables if "/" in name})

    def _check_sources(self, tree: Tree, current: str) -> None:
        """What is called after FROM is a table function of a guest's, or a view that takes parameters."""
        called = {name for name in tree.sources if name.lower() not in _guests_sources()}
        if called:
            _refuse("the table function", {name for name in called if name.lower() in _not_for_guests()})
            qualified = {name if "." in name else f"{current}.{name}": name for name in called}
            views = self._column("SELECT concat(database, '.', name) FROM system.tables WHERE engine = 'View'")
            _refuse("the table function", {name for full, name in qualified.items() if full not in views})

    def _check_tables(self, tree: Tree, current: str, params: Mapping[str, str]) -> None:
        wanted: set[tuple[str, str]] = set()
        for table in tree.tables:
            database, name = _resolve(table, current, params)
            if database.lower() == "system":
                _refuse("the table", {f"system.{name}"} if name not in names("guest", "system table") else ())
            elif database.lower() == "information_schema":
                _refuse("the table", {name} if name.lower() not in names("guest", "information table") else ())
            else:
                wanted.add((database, name))
        missing = self._missing(wanted)
        if missing:
            raise ServerError(UNKNOWN_TABLE, f"Unknown table expression identifier '{_listed(missing)}'.")

    def _missing(self, wanted: set[tuple[str, str]]) -> set[str]:
        """Which of these tables the catalogue does not have, where their database would look for files instead."""
        with self._lock:
            if any(database not in self._plain for database, _ in wanted):
                engines = ", ".join(map(quoted, _PLAIN))
                self._plain = self._column(f"SELECT name FROM system.databases WHERE engine IN ({engines})")  # noqa: S608
            doubtful = {(database, name) for database, name in wanted if database not in self._plain}
            return {
                name
                for database, name in doubtful
                if name not in self._column(f"SELECT name FROM system.tables WHERE database = {quoted(database)}")  # noqa: S608
            }

    def _column(self, sql: str) -> frozenset[str]:
        return frozenset(self._connection.query(sql, "TabSeparatedRaw").bytes().decode("utf-8", "replace").splitlines())


def _check_names(tree: Tree, format: str) -> None:
    """Raises ServerError when the tree names what is not a guest's, tables aside."""
    _refuse("the clause", tree.nodes - names("guest", "node"))
    if tree.kind == "ExplainQuery":
        _refuse("the statement", {tree.explained} - _EXPLAINS)
    _refuse("the clause", tree.flags & {"out_file"})
    if tree.kind == "ShowTablesQuery":
        _refuse("SHOW", tree.flags - _SHOWN)
    _refuse("the function", {name for name in tree.functions if not is_guests_function(name)})
    # A lambda that is called like a function of the engine might be mistaken for it, here or there.
    _refuse("the function", {name for name in tree.lambdas if name.lower() in _not_for_guests()})
    _refuse("the function", {name for name in tree.sets if not _may_be_a_set(name)})
    _refuse("the format", {name for name in (format, *tree.formats) if name.lower() not in lowered("guest", "format")})


def _resolve(table: Table, current: str, params: Mapping[str, str]) -> tuple[str, str]:
    parts = [params.get(part.text, "") if part.is_parameter else part.text for part in table]
    if any(part.is_parameter and not _PLAIN_NAME.fullmatch(text) for part, text in zip(table, parts, strict=True)):
        raise ServerError(BAD_ARGUMENTS, "A parameter that names a table must be a plain word.")
    if len(parts) > 2:
        raise ServerError(ACCESS_DENIED, f"A table's name has a database and a name, not {len(parts)} parts.")
    return (current, parts[0]) if len(parts) == 1 else (parts[0], parts[1])


def _guests_sources() -> frozenset[str]:
    return lowered("guest", "table function")


def _not_for_guests() -> frozenset[str]:
    return lowered("owner", "function", "table function") | lowered("nobody", "function", "table function")


def _may_be_a_set(name: str) -> bool:
    """At the right of an IN, what is the name of a table function is one, whatever else it names."""
    others = lowered("owner", "table function") | lowered("nobody", "table function")
    return name.lower() in _guests_sources() or (name.lower() not in others and is_guests_function(name))


def _nobodys() -> frozenset[str]:
    return lowered("nobody", "function", "table function", "engine", "database engine", "dictionary source")


def _check_values(data: bytes) -> None:
    """Inline VALUES may hold expressions, which have no tree; no word of theirs may be nobody's, nor a quoted name."""
    found = {word for word in words_of(data) if word[:1] in ("`", '"') or word.lower() in _nobodys()}
    _refuse("in VALUES", found)


def _refuse(what: str, found: Iterable[str]) -> None:
    if found:
        raise ServerError(ACCESS_DENIED, f"Not enough privileges: {what} {_listed(found)} is not for this user.")


def _cannot_write() -> ServerError:
    return ServerError(READONLY, "Cannot execute query in readonly mode.")


def _listed(found: Iterable[str]) -> str:
    return ", ".join(sorted(found))[:200]
