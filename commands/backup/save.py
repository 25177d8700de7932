"""Makes a backup: ClickHouse's tables, and beside them what a new machine needs and no database has.

Order: secrets and settings, the spool, ClickHouse, the sums of all files, then the manifest. A run that is killed
leaves a folder without a manifest, which nothing reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from clickhouse_connect.driver.client import Client

from clickhouse.migrate import applied_definitions
from clickhouse.store import connect
from commands.backup import manifest
from commands.backup.manifest import Manifest
from commands.backup.progress import ProgressReport, megabytes
from commands.backup.reach import location_in, reached
from commands.backup.tables import PARTS, BackupLocation, back_up, clock, rows_of
from schemas.errors import Misconfigured
from schemas.settings import Settings
from schemas.settings.reading import MADE_SECRETS

CLICKHOUSE = "clickhouse"  # the folder of ClickHouse's part
SECRETS = "secrets"
SPOOL = "spool"
CONFIGURATION = "configuration"

Say = Callable[[str], object]


def save(settings: Settings, folder: Path, place: str, say: Say) -> Manifest:
    """Back up into `folder`, which must be empty or not there; `place` is where a server keeps its part.

    Raises Misconfigured when the folder can't be used, Retry when ClickHouse is away.
    """
    _claim(folder)
    _copy_secrets(settings, folder)
    _copy_spool(settings, folder)
    with reached(settings) as reachable, connect(reachable) as client:
        if settings.mode == "cluster":
            location = BackupLocation.parse(place or f"File('{_name(folder, clock(client))}')")
            made = _back_up(client, reachable, folder, location, location.text, say)
        else:
            if place:
                raise Misconfigured("--clickhouse is for a ClickHouse server; the embedded one writes into the folder")
            with location_in(settings, folder / CLICKHOUSE) as location:
                made = _back_up(client, reachable, folder, location, "", say)
    manifest.write(folder, made)
    return made


def _back_up(
    client: Client, settings: Settings, folder: Path, location: BackupLocation, kept_at: str, say: Say
) -> Manifest:
    began_at = clock(client)
    entries, size = back_up(client, settings, location, say)
    rows = _rows_in(folder) or rows_of(client, settings.clickhouse_database)
    progress = ProgressReport(say, "sums of the files", size)
    return Manifest(
        format=manifest.FORMAT,
        began_at=began_at,
        ended_at=clock(client),
        database=settings.clickhouse_database,
        clickhouse_version=client.server_version or "",
        migrations={name: sum for name, sum in applied_definitions(client).items() if name[0].isdigit()},
        clickhouse=kept_at,
        entries=entries,
        bytes=size,
        tables=rows,
        keys=settings.keyring.fingerprints(),
        files=manifest.sums(folder, progress.add),
    )


def _claim(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Misconfigured(f"{folder} is not empty: name a new folder, each backup has its own")
        folder.chmod(0o700)  # it will hold the keys
    except OSError as error:
        raise Misconfigured(f"{folder} can't be used ({error.strerror})") from None


def _copy_secrets(settings: Settings, folder: Path) -> None:
    """The token keys always, for without them every link in mails that were sent is dead; whatever else was made."""
    kept = {name: getattr(settings, name) for name in MADE_SECRETS}
    for name, text in kept.items():
        if text and (name == "token_keys" or (settings.data_dir / name).exists()):
            _write(folder / SECRETS / name, f"{text}\n".encode())
    for path in (settings.senders, Path(".env")):
        if path.is_file():
            _write(folder / CONFIGURATION / path.name.lstrip("."), path.read_bytes())


def _copy_spool(settings: Settings, folder: Path) -> None:
    """Hits that are answered and not yet in Kafka. A file that ends within a hit is read up to there."""
    for path in sorted((settings.data_dir / SPOOL).glob("*.spool")):
        try:
            _write(folder / SPOOL / path.name, path.read_bytes())
        except FileNotFoundError:
            continue  # replayed meanwhile


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _rows_in(folder: Path) -> dict[str, int]:
    """The rows of each table as they are in the backup, from its parts; nothing where a server has them."""
    found: dict[str, int] = {}
    for part in PARTS:
        for count in (folder / CLICKHOUSE / part).glob("data/*/*/*/count.txt"):
            table = count.parts[-3]
            found[table] = found.get(table, 0) + int(count.read_text())
    return found


def _name(folder: Path, now: datetime) -> str:
    """A name on the server that no other backup has, though next Monday's folder may be called as this one's."""
    return f"sendlens-{re.sub(r'[^A-Za-z0-9_-]', '-', folder.name)}-{now:%Y%m%d%H%M%S}"


def report(made: Manifest, folder: Path) -> list[str]:
    """What was backed up, for eyes."""
    events = made.tables.get("events", 0)
    lines = [f"{folder}: {events} rows of events, {len(made.tables)} tables, {megabytes(made.bytes)}"]
    if made.clickhouse:
        lines.append(f"ClickHouse keeps its part at {made.clickhouse}: copy that away too")
    return lines
