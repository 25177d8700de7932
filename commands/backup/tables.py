"""ClickHouse's part of a backup, by its own BACKUP and RESTORE, on the embedded engine as on a server.

Two backups make one. First comes all but `events`, then `events`: what is derived is then derived of nothing that
`events` lacks, however much is written meanwhile. The other way round, rows of `events` whose derived rows were not
written yet, is mended after the restore (`mend`).
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse.ask import rows, run
from clickhouse.counting import mark_everything, propagate
from clickhouse.queries import get
from clickhouse.store import error_code
from commands.backup.progress import ProgressReport
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

Say = Callable[[str], object]

# The two backups in their order, which is also the order in which they are made. Views read `events`, so that it is
# restored first.
PARTS = ("tables", "events")
_POLL_SECONDS = 0.2
# An insert that is not over by then is given up by its client and sent again.
_LONGEST_INSERT = timedelta(minutes=10)
_LOCATION = re.compile(r"(File\(|Disk\('\w+', |S3\(\w+, )'[\w-]+(/[\w-]+)*'\)")
_NOT_SET_UP = 318  # INVALID_CONFIG_PARAMETER
_MOST_EVENTS = 1_000_000  # of one statement, which keeps what is derived of them in memory
_END = "')"


@dataclass(frozen=True)
class BackupLocation:
    """Where ClickHouse keeps the two backups: `File('name')`, `Disk('disk', 'name')` or `S3(collection, 'name')`."""

    text: str

    @classmethod
    def parse(cls, text: str) -> BackupLocation:
        """Raises Misconfigured for another form. Credentials belong into a named collection of the server's."""
        if not _LOCATION.fullmatch(text):
            raise Misconfigured(
                f"--clickhouse {text}: write File('name'), Disk('disk', 'name') or S3(named_collection, 'name')"
            )
        return cls(text)

    def of(self, part: str) -> str:
        """The place of one of PARTS, as BACKUP and RESTORE take it."""
        return f"{self.text.removesuffix(_END)}-{part}{_END}"


def clock(client: Client) -> datetime:
    """What time it is for ClickHouse, which dates rows by it."""
    now: datetime
    ((_, now),) = rows(client, "doctor_server")
    return now


def rows_of(client: Client, database: str) -> dict[str, int]:
    """The rows of each table, those included that a merge will drop."""
    return {str(table): int(count) for table, count in rows(client, "backup_rows", database=database)}


def back_up(client: Client, settings: Settings, location: BackupLocation, say: Say) -> tuple[int, int]:
    """Have ClickHouse write both backups; returns its counts of their entries and bytes.

    Raises Misconfigured when the server can't write there, or a disk is full; Retry when it is away.
    """
    database, cluster = settings.clickhouse_database, _on_cluster(settings)
    events = _events(settings)
    # A view has no rows, and every `sendlens migrate` makes them all.
    views = [str(name) for (name,) in rows(client, "backup_views", database=database)]
    excepted = ", ".join(f"{database}.{table}" for table in (*events, *views))
    what = {
        "tables": f"DATABASE {database} EXCEPT TABLES {excepted}",
        "events": ", ".join(f"TABLE {database}.{table}" for table in events),
    }
    counts = [
        _carry_out(
            client,
            f"BACKUP {what[part]}{cluster} TO {location.of(part)} SETTINGS deduplicate_files = 0 ASYNC",
            f"ClickHouse writes {part}",
            say,
        )
        for part in PARTS
    ]
    return sum(entries for entries, _ in counts), sum(size for _, size in counts)


def bring_back(
    client: Client, settings: Settings, backed_up: str, location: BackupLocation, tables: Mapping[str, int], say: Say
) -> int:
    """Have ClickHouse restore both backups, of the database `backed_up`, to ours, which must be empty; returns their
    bytes as ClickHouse counts them. Raises as `back_up` does.

    On an engine that is ours alone the rows are compared with those of the backup (`tables`): the tables are made
    first, so that their merges can be stopped, which would drop rows before they are counted.
    """
    database, cluster = settings.clickhouse_database, _on_cluster(settings)
    what = {
        "events": ", ".join(f"TABLE {backed_up}.{table} AS {database}.{table}" for table in _events(settings)),
        "tables": f"DATABASE {backed_up} AS {database}",
    }
    size = 0
    how = " SETTINGS structure_only = 1" if settings.mode == "embedded" else ""
    for part in reversed(PARTS):
        statement = f"RESTORE {what[part]}{cluster} FROM {location.of(part)}{how} ASYNC"
        size += _carry_out(client, statement, f"ClickHouse restores {part}", say)[1]
    if how:
        client.command("SYSTEM STOP MERGES")
        for part in reversed(PARTS):
            names = [name for name, rows in tables.items() if rows and (name == "events") == (part == "events")]
            if names:
                listed = ", ".join(f"TABLE {backed_up}.{name} AS {database}.{name}" for name in names)
                statement = f"RESTORE {listed} FROM {location.of(part)} ASYNC"
                _carry_out(client, statement, f"ClickHouse restores the rows of {part}", say)
        found = rows_of(client, database)
        if wrong := [name for name, rows in tables.items() if found.get(name, 0) != rows]:
            raise Misconfigured(f"ClickHouse restored other rows than the backup has of {', '.join(wrong)}")
        client.command("SYSTEM START MERGES")
    return size


def mend(client: Client, began_at: datetime) -> int:
    """Bring what is derived from `events` to what `events` holds, after a restore; returns how many events that took.

    Events that were stored shortly before the backup and while it ran are inserted once more: a duplicate changes no
    number, and what was not derived of them yet now is. All rollups are stale afterwards and are counted again, because
    those of the backup may be older or newer than its `slots`.
    """
    given: dict[str, str | int] = {"since": f"{began_at - _LONGEST_INSERT:%Y-%m-%d %H:%M:%S}"}
    ((count,),) = rows(client, "backup_count_recent", **given)
    given["pieces"] = 1 + int(count) // _MOST_EVENTS
    for piece in range(int(given["pieces"]) if count else 0):
        batch = secrets.token_hex(16)
        again = given | {"piece": piece}
        run(client, get("backup_insert_recent"), again, log_comment=batch, insert_deduplicate=0)
        propagate(client, batch)
    mark_everything(client)
    return int(count)


def _events(settings: Settings) -> tuple[str, ...]:
    return ("events_local", "events") if settings.clickhouse_cluster else ("events",)


def _on_cluster(settings: Settings) -> str:
    return f" ON CLUSTER '{settings.clickhouse_cluster}'" if settings.clickhouse_cluster else ""


def _carry_out(client: Client, statement: str, what: str, say: Say) -> tuple[int, int]:
    """Run a BACKUP or RESTORE and wait for its end; returns ClickHouse's counts of its entries and bytes."""
    progress = ProgressReport(say, what)
    try:
        answer = client.command(statement)  # id and status
        id = str(answer[0] if isinstance(answer, list) else answer).partition("\t")[0]
        while True:
            ((status, error, entries, total, written, was_read),) = rows(client, "backup_state", id=id)
            progress.total = int(total)
            if status in ("BACKUP_CREATED", "RESTORED"):
                progress.reach(int(total))
                return int(entries), int(total)
            if status not in ("CREATING_BACKUP", "RESTORING"):
                raise Misconfigured(f"{what}: {status}: {str(error).partition(chr(10))[0][:300]}")
            progress.reach(int(written) if statement.startswith("BACKUP") else int(was_read))
            time.sleep(_POLL_SECONDS)
    except ClickHouseError as error:
        said = str(error).partition("\n")[0][:300]
        if error_code(error) == _NOT_SET_UP:
            raise Misconfigured(
                "ClickHouse writes no backups there: its configuration needs backups.allowed_path or allowed_disk, see "
                f"docs/operations.md ({said})"
            ) from None
        raise Retry(f"{what}: {said}") from None
