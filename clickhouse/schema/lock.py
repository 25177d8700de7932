"""One `sendlens migrate` and one `sendlens report` at a time, by a lock of each in ClickHouse itself, on one server
(without a Keeper) and on a cluster.

The holder is the process that created the lock's table, `migrating` or `reporting`, whose comment is its token. Of
several that create a table at once one succeeds, and on a cluster the queue of DDL decides for all nodes alike. The
holder reports every few seconds that it lives. The lock of one that was killed is taken by renaming its table to a name
with its token in it: of several that do so at once one succeeds as well, and none can rename the next holder's table by
mistake, because that name is taken.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse.store import connect, error_code
from schemas.errors import Retry
from schemas.settings import Settings

log = structlog.get_logger()
BEAT_SECONDS = 3.0
DEAD_SECONDS = 30  # without a sign of life, by the server's clock
_POLL_SECONDS = 0.3
_LEFT_OVER_SECONDS = 3600  # by then nobody believes that a killed holder still has the lock
_TABLE_EXISTS, _UNKNOWN_TABLE = 57, 60
_MIGRATING, _REPORTING = "migrating", "reporting"
_WHO = {_MIGRATING: "sendlens migrate", _REPORTING: "sendlens report"}

# Who has the lock, and for how many seconds it has not said that it lives.
_HOLDER = """
SELECT comment, dateDiff('second', greatest(metadata_modification_time, last), now())
FROM system.tables
CROSS JOIN (SELECT toDateTime(max(applied_at)) AS last FROM migrations WHERE name = {beat:String}) AS beat
WHERE database = currentDatabase() AND name = {table:String}
"""
_WHOSE = "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
_LEFT_OVER = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND match(name, concat('^', {table:String}, '_[0-9a-f]{32}$'))
    AND metadata_modification_time < now() - {seconds:UInt32}
"""


class MigrationLock:
    """The lock, held by us until it is found to be another's."""

    def __init__(self, client: Client, table: str) -> None:
        self._client = client
        self._table = table
        self.token = secrets.token_hex(16)

    def check(self) -> None:
        """Raises Retry when another has taken the lock: this process stood still for too long."""
        if self._client.query(_WHOSE, parameters={"table": self._table}).result_rows != [(self.token,)]:
            raise Retry(f"another `{_WHO[self._table]}` has taken over")


def migrating(settings: Settings, client: Client) -> AbstractContextManager[MigrationLock]:
    """Wait for the lock of `sendlens migrate` and hold it. The table `migrations` must be there."""
    return _exclusive(settings, client, _MIGRATING)


def reporting(settings: Settings, client: Client) -> AbstractContextManager[MigrationLock]:
    """Wait for the lock of `sendlens report` and hold it. The table `migrations` must be there."""
    return _exclusive(settings, client, _REPORTING)


@contextmanager
def _exclusive(settings: Settings, client: Client, table: str) -> Iterator[MigrationLock]:
    lock = MigrationLock(client, table)
    _acquire(client, lock.token, table)
    heartbeat = _Heartbeat(settings, lock.token, table)
    heartbeat.start()
    try:
        _drop_left_over(client, table)
        yield lock
    finally:
        heartbeat.stop()
        _release(client, lock.token, table, was_silent=heartbeat.was_silent)


def _acquire(client: Client, token: str, table: str) -> None:
    is_said = False
    while not _make(client, token, table):
        holder, silent = _holder(client, table)
        if holder and silent > DEAD_SECONDS:
            log.info(f"taking over from a `{_WHO[table]}` that was killed", silent_seconds=silent)
            _rename(client, holder, table)
            continue
        if not is_said:
            log.info(f"waiting for another `{_WHO[table]}`")
            is_said = True
        time.sleep(_POLL_SECONDS)


def _make(client: Client, token: str, table: str = _MIGRATING) -> bool:
    try:
        client.command(f"CREATE TABLE {table} (holder String) ENGINE = Memory COMMENT '{token}'")
    except ClickHouseError as error:
        if error_code(error) != _TABLE_EXISTS:
            raise
        return False
    return True


def _holder(client: Client, table: str = _MIGRATING) -> tuple[str, int]:
    """The holder's token and for how long it has been silent; ('', 0) when the lock is free."""
    for comment, silent in client.query(_HOLDER, parameters={"table": table, "beat": _beat(table)}).result_rows:
        return str(comment), int(silent)
    return "", 0


def _beat(table: str) -> str:
    """Under which name in `migrations` the lock's holder reports that it lives."""
    return "lock" if table == _MIGRATING else f"lock of {table}"


def _rename(client: Client, holder: str, table: str = _MIGRATING) -> bool:
    """Take the lock from this holder and from no other; whether it was so."""
    try:
        client.command(f"RENAME TABLE {table} TO {table}_{holder}")
    except ClickHouseError as error:
        if error_code(error) not in (_TABLE_EXISTS, _UNKNOWN_TABLE):
            raise
        return False
    return True


def _release(client: Client, token: str, table: str, *, was_silent: bool) -> None:
    """Give the lock back, if it still is ours. Where ClickHouse is away, the next one waits until it is taken for dead.

    The renamed table stays where another may have taken us for dead, and be about to rename one to that name.
    """
    with suppress(ClickHouseError):
        if _rename(client, token, table) and not was_silent:
            client.command(f"DROP TABLE IF EXISTS {table}_{token}")


def _drop_left_over(client: Client, table: str) -> None:
    """Drop the tables of holders that were killed, once nobody can be about to rename another to that name."""
    for (name,) in client.query(_LEFT_OVER, parameters={"seconds": _LEFT_OVER_SECONDS, "table": table}).result_rows:
        client.command(f"DROP TABLE IF EXISTS {name}")


class _Heartbeat(threading.Thread):
    """Says again and again that the holder lives, on a connection of its own."""

    def __init__(self, settings: Settings, token: str, table: str) -> None:
        super().__init__(name="migration-lock", daemon=True)
        self._settings = settings
        self._token = token
        self._name = _beat(table)
        self._stopped = threading.Event()
        self._last = time.monotonic()
        self.was_silent = False

    def run(self) -> None:
        while not self._stopped.is_set():
            with suppress(ClickHouseError, Retry), connect(self._settings) as client:
                while not self._stopped.is_set():
                    client.insert("migrations", [[self._name, self._token]], column_names=["name", "sha256"])
                    self._note()
                    self._last = time.monotonic()
                    self._stopped.wait(BEAT_SECONDS)
            self._stopped.wait(_POLL_SECONDS)

    def stop(self) -> None:
        self._stopped.set()
        self.join()
        self._note()

    def _note(self) -> None:
        """Whether there was no sign of life for so long that another may have seen it."""
        self.was_silent |= time.monotonic() - self._last > DEAD_SECONDS / 2
