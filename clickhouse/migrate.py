"""Brings a ClickHouse database to today's schema: every migration once, in order, forward only; then the views anew.

Statements are written to be repeatable (IF NOT EXISTS), because ClickHouse has no transactions over DDL: a run that
was killed is simply run again, and two at once do no harm.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import structlog
from clickhouse_connect.driver.client import Client

from clickhouse import views
from clickhouse.cluster import on_cluster
from clickhouse.rebuild import is_rebuilding, rebuild
from clickhouse.store import connect
from schemas.errors import Misconfigured
from schemas.settings import Settings

log = structlog.get_logger()
FOLDER = Path(__file__).with_name("migrations")
_LONGEST_STATEMENT = 3600  # seconds

_RECORD = """
CREATE TABLE IF NOT EXISTS migrations (
    name String,
    sha256 String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY name
"""


@dataclass(frozen=True)
class Migration:
    """One file of `clickhouse/migrations/`, named NNN_what.sql."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements: each ends with a semicolon at the end of a line."""
        parts = re.split(r";[ \t]*(?:\n|$)", self.text)
        return [part.strip() for part in parts if _code(part)]


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """All migrations, in the order in which they are applied."""
    return [Migration(path.stem, path.read_text()) for path in sorted(folder.glob("[0-9]*.sql"))]


def migrate(settings: Settings, folder: Path = FOLDER) -> list[str]:
    """Apply what has not been applied; returns the names of what was. Doing it again changes nothing.

    Raises Misconfigured when a migration that was applied has since been edited: add a new one instead.
    """
    with connect(settings, database="") as client:
        client.command(f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database}")
    with connect(settings) as client:
        client.command(_RECORD)
        applied = _applied(client)
        done = []
        for migration in migrations(folder):
            if migration.name in applied:
                if applied[migration.name] != migration.sha256:
                    raise Misconfigured(f"migration {migration.name} was edited after it was applied: add a new one")
                continue
            for statement in migration.statements:
                client.command(statement)
            client.insert("migrations", [[migration.name, migration.sha256]], column_names=["name", "sha256"])
            done.append(migration.name)
        if folder == FOLDER:  # those of an older release have not what the views ask
            for _, statement in views.statements():
                client.command(statement)
        # Tables that are new are filled; a rebuild that was interrupted is ended.
        unfilled = folder == FOLDER and is_rebuilding(client)
    if unfilled:
        with connect(settings, send_receive_timeout=_LONGEST_STATEMENT) as client:
            rebuild(client, lambda campaign: log.info("made anew from events", campaign=campaign))
    return done


def rendered(settings: Settings, folder: Path = FOLDER) -> list[tuple[str, str]]:
    """What `migrate` would run on an empty server or cluster, in order: the migration's name, and a statement."""
    found = [("database", f"CREATE DATABASE IF NOT EXISTS {settings.clickhouse_database}"), ("migrations", _RECORD)]
    found += [(migration.name, statement) for migration in migrations(folder) for statement in migration.statements]
    return [
        (name, text.strip())
        for name, statement in (*found, *views.statements())
        for text in on_cluster(statement, settings.clickhouse_cluster, settings.clickhouse_database)
    ]


def is_current(client: Client) -> bool:
    """Whether every migration has been applied."""
    if not client.command("EXISTS TABLE migrations"):
        return False
    return set(_applied(client)) >= {migration.name for migration in migrations()}


def _applied(client: Client) -> dict[str, str]:
    rows = client.query("SELECT name, sha256 FROM migrations FINAL").result_rows
    return {str(name): str(sha256) for name, sha256 in rows}


def _code(part: str) -> str:
    """The statement without its comments, to see whether anything is left."""
    return re.sub(r"^\s*--.*$", "", part, flags=re.MULTILINE).strip()
