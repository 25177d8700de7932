"""Brings a ClickHouse database to today's schema: every migration once, in order, forward only; then all views, unless
they are there as they would be made.

Statements are written to be repeatable (IF NOT EXISTS), because ClickHouse has no transactions over DDL: a run that
was killed is simply run again. Of two at once the second waits (schema/lock.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse import views
from clickhouse.cluster import on_cluster
from clickhouse.rebuild import is_rebuilding, rebuild
from clickhouse.retention import ttl
from clickhouse.schema import FOLDER, Definition, migrations, providers
from clickhouse.schema.lock import MigrationLock, migrating
from clickhouse.store import connect, error_code
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

log = structlog.get_logger()
_LONGEST_STATEMENT = 3600  # seconds
# What docker-compose.yml runs. Nothing of ours has been tried on an older one.
OLDEST_CLICKHOUSE = (26, 8)
_ALL_VIEWS = "views"  # the name under which `migrations` has their fingerprint
_MAY_NOT = frozenset({164, 497})  # READONLY, ACCESS_DENIED

_DATABASES = "SELECT name FROM system.databases WHERE name = {name:String}"
_RECORD = """
CREATE TABLE IF NOT EXISTS migrations (
    name String COMMENT 'a file of clickhouse/schema, a view of one, views: all of them, or lock: the migrate at work',
    sha256 String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY name
COMMENT 'What sendlens migrate has applied.'
"""


def migrate(settings: Settings, folder: Path = FOLDER, *, restoring: bool = False) -> list[str]:
    """Apply what has not been applied; returns the names of the migrations that were. Doing it again changes nothing.
    `restoring`: called by `sendlens restore`, whose half-restored database nobody else may go on with.

    Raises Misconfigured when a migration that was applied has since been edited, when the database has another layout
    than this release's, when the user may not change it, and when the server is too old; Retry when ClickHouse is away.
    """
    with _one_line(settings):
        with connect(settings, database="") as client:
            _check_version(client, settings)
            if not restoring and client.query(_DATABASES, parameters={"name": aside_of(settings)}).result_rows:
                raise Misconfigured(
                    f"a restore of database {settings.clickhouse_database} was interrupted: run `sendlens restore DIR "
                    "--over` again"
                )
            if not client.query(_DATABASES, parameters={"name": settings.clickhouse_database}).result_rows:
                client.command(f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database}")
        with connect(settings, send_receive_timeout=_LONGEST_STATEMENT) as client:
            client.command(_RECORD)
            with migrating(settings, client) as lock:
                done = _apply(client, settings, folder, lock)
                if changed := ttl.apply(client, settings, lock.check):
                    log.info("kept for another time from now on", tables=changed)
                # Tables that are new are filled; a rebuild that was interrupted is ended.
                if folder == FOLDER and is_rebuilding(client):
                    rebuild(client, lambda campaign: log.info("rebuilt from events", campaign=campaign))
    return done


def aside_of(settings: Settings) -> str:
    """The database in which `sendlens restore` keeps what was there, for as long as it is not over."""
    return f"{settings.clickhouse_database}_before_restore"


def rendered(settings: Settings, folder: Path = FOLDER) -> list[tuple[str, str]]:
    """What `migrate` would run on an empty server or cluster, in order: what it is of, and a statement."""
    found = [("database", f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database}"), ("migrations", _RECORD)]
    found += [(migration.name, statement) for migration in migrations(folder) for statement in migration.tables]
    found += [(one.name, one.text) for one in (*_recorded(folder), *_views(folder))]
    return [
        (name, text.strip())
        for name, statement in found
        for text in on_cluster(statement, settings.clickhouse_cluster, settings.clickhouse_database)
    ]


def _apply(client: Client, settings: Settings, folder: Path, lock: MigrationLock) -> list[str]:
    applied = applied_definitions(client)
    known = {migration.name for migration in migrations(folder)}
    if others := sorted(name for name in applied if re.match(r"\d", name) and name not in known):
        raise Misconfigured(
            f"database {settings.clickhouse_database} has another layout (it applied {others[0]}, which this release "
            "does not have): give SENDLENS_CLICKHOUSE_DATABASE another name; docs/reference/other-layout.md says how "
            "to take the events along"
        )
    done = []
    for migration in migrations(folder):
        if migration.name in applied:
            if applied[migration.name] != migration.sha256:
                raise Misconfigured(f"migration {migration.name} was edited after it was applied: add a new one")
            continue
        for statement in migration.tables:
            lock.check()
            client.command(statement)
        _record(client, migration.name, migration.sha256)
        done.append(migration.name)
    for one in _recorded(folder):
        if applied.get(one.name) != one.sha256:
            lock.check()
            client.command(one.text)
            if one.change:
                client.command(one.change)
            _record(client, one.name, one.sha256)
    if not _has_todays_views(client, settings, folder, applied):
        for one in _views(folder):  # those of an older release lack what the queries ask for
            lock.check()
            client.command(one.text)
        lock.check()
        _record(client, _ALL_VIEWS, _fingerprint(client, folder))
    return done


def _has_todays_views(client: Client, settings: Settings, folder: Path, applied: Mapping[str, str]) -> bool:
    """Whether to make all views again would change nothing. Of a cluster we see one node, and another may lack some."""
    return not settings.clickhouse_cluster and applied.get(_ALL_VIEWS) == _fingerprint(client, folder)


def _fingerprint(client: Client, folder: Path) -> str:
    return views.fingerprint(client, (one.text for one in _views(folder)))


@contextmanager
def _one_line(settings: Settings) -> Iterator[None]:
    """What ClickHouse refuses, as what to do about it."""
    try:
        yield
    except ClickHouseError as error:
        said = str(error).partition("\n")[0][:300]
        if error_code(error) in _MAY_NOT:
            raise Misconfigured(
                f"SENDLENS_CLICKHOUSE_USER: {settings.clickhouse_user} may not change "
                f"{settings.clickhouse_database}, and `sendlens migrate` must: grant it ALL on that database ({said})"
            ) from error
        raise Retry(f"ClickHouse: {said}") from error


def _check_version(client: Client, settings: Settings) -> None:
    version = client.server_version or ""
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_CLICKHOUSE:
        oldest = ".".join(map(str, OLDEST_CLICKHOUSE))
        raise Misconfigured(
            f"ClickHouse {version} at {settings.clickhouse_url} is too old: Sendlens needs {oldest} or newer"
        )


def _recorded(folder: Path) -> Iterator[Definition]:
    """What is run when its text has changed, in order."""
    for migration in migrations(folder):
        yield from migration.materialized
    yield from providers(folder)


def _views(folder: Path) -> Iterator[Definition]:
    """What makes every view, in order."""
    for migration in migrations(folder):
        yield from migration.views
    if folder == FOLDER:
        for name, text in views.statements():
            yield Definition(name, text)


def _record(client: Client, name: str, sha256: str) -> None:
    client.insert("migrations", [[name, sha256]], column_names=["name", "sha256"])


def applied_definitions(client: Client) -> dict[str, str]:
    """The hash of each migration (their names begin with a digit) and view that the database was given."""
    rows = client.query("SELECT name, sha256 FROM migrations FINAL").result_rows
    return {str(name): str(sha256) for name, sha256 in rows}
