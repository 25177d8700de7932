"""Restores a backup: checks all of it first, then secrets, ClickHouse, and what is derived.

Nothing is changed before the folder is whole, the release knows its schema, our keys verify the links of its mails,
and the database is empty or may be replaced. The old database is put aside by renaming and dropped last: a restore that
fails puts it back, and after one that was killed nothing starts before it was run again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clickhouse_connect.driver.client import Client
from pydantic import ValidationError

from clickhouse.migrate import aside_of, migrate
from clickhouse.schema import migrations
from clickhouse.store import connect
from commands.backup import manifest
from commands.backup.manifest import Manifest
from commands.backup.progress import ProgressReport
from commands.backup.reach import is_running, location_in, reached
from commands.backup.save import CLICKHOUSE, SECRETS, SPOOL
from commands.backup.tables import BackupLocation, bring_back, mend, rows_of
from commands.edge import read_settings
from schemas.data_folder import keep_secret, replace_secret
from schemas.errors import Misconfigured
from schemas.settings import Settings
from schemas.settings.reading import MADE_SECRETS

Say = Callable[[str], object]

_LONGEST_STATEMENT = 3600  # seconds
# What comes of hits, mails and the API, and is nobody's to lose; all other tables are derived or about the machines.
_TRUTH = (
    "events", "hits", "campaigns", "pauses", "links", "previews", "lead_facts", "attempts", "retries", "webhooks",
    "calls",
)  # fmt: skip


def restore(folder: Path, *, over: bool, place: str, say: Say) -> Manifest:
    """Bring the backup in `folder` to this installation; `over` allows to replace what its database holds, `place` is
    where a server finds ClickHouse's part now, if not where it was written.

    Raises Misconfigured for half a backup, another schema, other keys, a database with rows and a Sendlens that runs.
    """
    made = manifest.read(folder)
    _check_schema(made)
    progress = ProgressReport(say, "checking the files", sum(file.bytes for file in made.files.values()))
    manifest.check(folder, made, progress.add)
    _give_secrets(folder)
    settings = read_settings()
    _check_keys(settings, made)
    if settings.mode == "embedded" and is_running(settings):
        raise Misconfigured("Sendlens runs on this data folder: stop it, restore, and start it again")
    with (
        reached(settings) as reachable,
        _set_aside(reachable, over=over),
        _location(settings, folder, place or made.clickhouse) as location,
    ):
        _bring_back(reachable, made, location, say)
        migrate(reachable, restoring=True)  # what this release has and the backup's did not, and today's views
        with connect(reachable, send_receive_timeout=_LONGEST_STATEMENT) as client:
            say(f"{mend(client, made.began_at)} events around the backup were derived once more")
        _keep_keys(settings, folder, made, say)
    _bring_spool_back(settings, folder)
    return made


def _check_schema(made: Manifest) -> None:
    known = {one.name: one.sha256 for one in migrations()}
    for name, sha256 in made.migrations.items():
        if known.get(name) != sha256:
            raise Misconfigured(
                f"the backup has another schema (its {name} is not this release's): restore it with the release that "
                "made it, then upgrade"
            )


def _as_set() -> Settings | None:
    """The settings as the environment has them, without the secrets that `load` makes; None for what it refuses."""
    try:
        return Settings()  # type: ignore[call-arg]  # all have defaults
    except ValidationError:
        return None


def _give_secrets(folder: Path) -> None:
    """Give the backup's secrets to a data folder that has none, before `load` would make new ones."""
    given = _as_set()
    if given and given.mode == "embedded":
        for name in MADE_SECRETS:
            path = folder / SECRETS / name
            if path.exists() and not getattr(given, name):
                keep_secret(given.data_dir, name, path.read_text().strip)


def _lacking_keys(settings: Settings, made: Manifest) -> list[str]:
    ours = settings.keyring.fingerprints()
    return [key for key, fingerprint in made.keys.items() if ours.get(key) != fingerprint]


def _check_keys(settings: Settings, made: Manifest) -> None:
    """Keys of our own making are replaced (`_keep_keys`); those that an operator set are theirs to change."""
    lacking = _lacking_keys(settings, made)
    given = _as_set()
    if lacking and given and given.token_keys:
        raise Misconfigured(
            f"SENDLENS_TOKEN_KEYS lacks key {lacking[0]} of the backup, and without it the links in sent emails are "
            f"dead: put it back, it stands in {SECRETS}/token_keys of the backup"
        )


def _keep_keys(settings: Settings, folder: Path, made: Manifest, say: Say) -> None:
    """Sign and verify with the backup's keys from now on; ours stay where they have another id."""
    if not _lacking_keys(settings, made):
        return
    text = (folder / SECRETS / "token_keys").read_text().strip()
    ids = set(made.keys)
    own = [pair for pair in settings.token_keys.split(",") if pair.strip().partition(":")[0] not in ids]
    kept = replace_secret(settings.data_dir, "token_keys", ",".join([text, *own]))
    say(f"token_keys are the backup's now; those that were made here are in {kept}")


@contextmanager
def _set_aside(settings: Settings, *, over: bool) -> Iterator[None]:
    """An empty database of our name. What was there is dropped after the restore, or comes back when that fails.

    The database put aside is also the mark of a restore that is not over: `migrate`, and so every start, refuses to go
    on beside it.
    """
    database, aside = settings.clickhouse_database, aside_of(settings)
    cluster = settings.clickhouse_cluster
    with connect(settings, database="", send_receive_timeout=_LONGEST_STATEMENT) as client:
        there = {str(name) for (name,) in client.query("SELECT name FROM system.databases").result_rows}
        _refuse_to_lose(client, settings, over=over, interrupted=aside in there)
        if aside in there or cluster:
            _drop(client, settings, database)
        elif database in there:
            client.command(f"RENAME DATABASE {database} TO {aside}")
        client.command(f"CREATE DATABASE IF NOT EXISTS {aside}")
        client.command(f"CREATE DATABASE IF NOT EXISTS {database}")
        try:
            yield
        except BaseException:
            if not cluster:
                _drop(client, settings, database)
                client.command(f"RENAME DATABASE {aside} TO {database}")
            raise
        _drop(client, settings, aside)


def _refuse_to_lose(client: Client, settings: Settings, *, over: bool, interrupted: bool) -> None:
    database = settings.clickhouse_database
    if interrupted and not over:
        raise Misconfigured(f"a restore of {database} was interrupted: run it again with --over")
    rows = {table: count for table, count in rows_of(client, database).items() if count and _is_truth(table)}
    if rows and not interrupted and (not over or settings.clickhouse_cluster):
        listed = ", ".join(f"{count} rows of {table}" for table, count in rows.items())
        how = "drop it on every node first" if settings.clickhouse_cluster else "--over replaces them"
        raise Misconfigured(
            f"database {database} is not empty ({listed}): {how}, or give SENDLENS_CLICKHOUSE_DATABASE another name"
        )


def _drop(client: Client, settings: Settings, database: str) -> None:
    on_cluster = f" ON CLUSTER '{settings.clickhouse_cluster}'" if settings.clickhouse_cluster else ""
    client.command(f"DROP DATABASE IF EXISTS {database}{on_cluster} SYNC")


def _is_truth(table: str) -> bool:
    return table.removesuffix("_local") in _TRUTH


@contextmanager
def _location(settings: Settings, folder: Path, place: str) -> Iterator[BackupLocation]:
    if place:
        yield BackupLocation.parse(place)
    elif settings.mode == "cluster":
        raise Misconfigured(
            f"the backup is of an embedded installation: copy {CLICKHOUSE}/tables and {CLICKHOUSE}/events to where the "
            "server reads backups, as NAME-tables and NAME-events, and restore with --clickhouse \"File('NAME')\""
        )
    else:
        with location_in(settings, folder / CLICKHOUSE) as location:
            yield location


def _bring_back(settings: Settings, made: Manifest, location: BackupLocation, say: Say) -> None:
    with connect(settings, send_receive_timeout=_LONGEST_STATEMENT) as client:
        size = bring_back(client, settings, made.database, location, made.tables, say)
    if size != made.bytes:
        raise Misconfigured(f"ClickHouse restored {size} bytes and the backup has {made.bytes}")


def _bring_spool_back(settings: Settings, folder: Path) -> None:
    """Hits that were answered and not in Kafka: ingest takes up files of processes that are gone."""
    for path in sorted((folder / SPOOL).glob("*.spool")):
        target = settings.data_dir / SPOOL / path.name
        if not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = target.with_suffix(".part")
            part.write_bytes(path.read_bytes())
            part.rename(target)
