"""chDB as an engine: one data directory, held by one process, and connections that query in parallel."""

from __future__ import annotations

import fcntl
import json
from contextlib import suppress
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from clickhouse.embedded.engine_connection import EngineConnection, quoted
from clickhouse.embedded.errors import ServerError
from clickhouse.embedded.permission.parser import Parser
from clickhouse.embedded.permission.permission import Permission

_LOCK_FILE: Final = "sendlens.lock"
# Within the data directory: all that BACKUP and RESTORE may name. It holds links to folders that the directory's owner
# chose (commands/backup), so a statement alone reaches no other place on the disk.
BACKUPS: Final = "backups"


class EngineError(RuntimeError):
    """The data directory cannot be used; the message has the remedy."""


class Engine:
    """The engine of one data directory. Only one process may hold it, and a process can hold only one."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._lock = _lock(self._path)
        self._address = f"{self._path}?backups.allowed_path={quote(str(self._path / BACKUPS))}"
        try:
            self._root = EngineConnection(self._address)
        except Exception as error:
            self._lock.close()
            raise EngineError(f"chDB cannot open {self._path}: {error}") from error
        facts = self._root.query("SELECT version(), timezone(), displayName()", "JSONCompactEachRow").bytes()
        self.version: str
        self.timezone: str
        self.display_name: str
        self.version, self.timezone, self.display_name = json.loads(facts)
        self.permission = Permission(Parser(self.connection()), self.connection())

    def connection(self) -> EngineConnection:
        """A fresh connection, about 0.2 ms."""
        return EngineConnection(self._address)

    def kill(self, tag: str) -> None:
        """Stops the running queries that carry `tag` as their log_comment."""
        connection = self.connection()
        try:
            connection.query(f"KILL QUERY WHERE Settings['log_comment'] = {quoted(tag)} ASYNC")
        finally:
            connection.close()

    def kill_all(self) -> None:
        """Stops every running query, so that the engine can close."""
        with suppress(ServerError):
            self._root.query("KILL QUERY WHERE query NOT LIKE 'KILL QUERY%' ASYNC")

    def return_memory(self) -> None:
        """Gives back to the system what was freed: left alone, the allocator keeps some 25 MB of it."""
        with suppress(ServerError):
            self._root.query("SYSTEM JEMALLOC PURGE")

    def close(self) -> None:
        """Closes the engine; parts in memory are written and the directory is free again."""
        self.permission.close()
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
