"""Backup, wipe, restore on the embedded engine, by the command: every number is as it was, and a doubtful backup is refused."""

from __future__ import annotations

import json
import shutil
import stat
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from clickhouse.counting import roll
from clickhouse.migrate import migrate
from clickhouse.rebuild import rebuild
from clickhouse.store import connect, insert_lines
from commands.backup.reach import reached
from schemas.errors import Misconfigured
from schemas.events import lines
from schemas.settings import Settings, load
from schemas.tokens import Keyring
from tests.clickhouse.counted import Told
from tests.commands.backup.numbers import every_number, numbers
from tests.commands.test_command import sendlens
from tests.dashboards.data import insert_known_week
from tests.support.migrated import start_migrated

UNTIL = datetime(2026, 5, 20, 12, tzinfo=UTC)


@dataclass
class Backup:
    """A backup, and what was backed up: its numbers, and the data folder as it was."""

    folder: Path
    data: Path
    every_number: dict[str, list[str]]
    numbers: dict[str, list[str]]


def settings_of(data: Path) -> Settings:
    return load(data_dir=data)


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Backup:
    """Of a week, made while its database runs, with a senders.toml and a spool."""
    folder = tmp_path_factory.mktemp("backup")
    data = folder / "data"
    data.mkdir(mode=0o700)
    server = start_migrated(data / "clickhouse")
    try:
        with connect(load(data_dir=data, clickhouse_url=server.url)) as client:
            insert_known_week(client)
            roll(client)
            every, few = every_number(client), numbers(client)
        (data / "spool").mkdir()
        (data / "spool" / "1-0.spool").write_bytes(b"hits")
        (folder / "senders.toml").write_text('[[account]]\naddress = "news@example.com"\n')
        done = sendlens(
            "backup", str(folder / "made"),
            data_dir=str(data), clickhouse_url=server.url, senders=str(folder / "senders.toml"),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "rows of events" in done.stdout.splitlines()[-1]
        assert any("ClickHouse writes tables" in line for line in done.stdout.splitlines()), "progress is shown"
    finally:
        server.stop()
    return Backup(folder / "made", data, every, few)


def test_after_backup_wipe_and_restore_every_number_is_as_it_was(backup: Backup, tmp_path: Path) -> None:
    """On a machine where Sendlens was started once, and so made keys of its own."""
    data = tmp_path / "data"
    made_here = settings_of(data).token_keys
    assert "lacks key 1" in refused(backup.folder, data, token_keys="1:another-key-of-these-tests")
    done = sendlens("restore", str(backup.folder), data_dir=str(data))
    assert done.returncode == 0, done.stderr
    assert "restored: " in done.stdout.splitlines()[-1]
    with reached(settings_of(data)) as reachable, connect(reachable) as client:
        assert every_number(client) == backup.every_number
    theirs = Keyring.parse(settings_of(backup.data).token_keys)
    assert settings_of(data).keyring.fingerprints() == theirs.fingerprints(), "links of sent emails verify"
    (old,) = data.glob("token_keys.*.old")
    assert old.read_text().strip() == made_here
    assert (data / "spool" / "1-0.spool").read_bytes() == b"hits"
    assert not list((data / "clickhouse" / "backups").iterdir()), "the engine reaches the backup no longer"


def test_a_backup_is_its_owners_alone_and_has_what_no_database_has(backup: Backup) -> None:
    for path in [backup.folder, *backup.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert "news@example.com" in (backup.folder / "configuration" / "senders.toml").read_text()
    made = json.loads((backup.folder / "manifest.json").read_text())
    assert made["tables"]["events"] > 200
    assert made["migrations"].keys() >= {"010_events", "050_state"}


@pytest.fixture
def copy(backup: Backup, tmp_path: Path) -> Path:
    """The backup, for a test to spoil."""
    return Path(shutil.copytree(backup.folder, tmp_path / "copy"))


def refused(folder: Path, data: Path, *words: str, **settings: str) -> str:
    """What `restore` says when it refuses; it has changed nothing."""
    done = sendlens("restore", str(folder), *words, data_dir=str(data), **settings)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_half_a_backup_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "manifest.json").unlink()
    assert "half a backup" in refused(copy, tmp_path / "data")
    assert "holds no backup" in refused(tmp_path / "nothing", tmp_path / "data")


def test_a_backup_with_a_file_that_is_missing_or_changed_is_refused(copy: Path, tmp_path: Path) -> None:
    largest = max(copy.rglob("*.bin"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    assert "is not as the backup wrote it" in refused(copy, tmp_path / "data")
    largest.unlink()
    assert "is not whole" in refused(copy, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_backup_of_another_schema_is_refused(copy: Path, tmp_path: Path) -> None:
    edit(copy, migrations=lambda known: known | {"990_of_tomorrow": "0"})
    assert "990_of_tomorrow" in refused(copy, tmp_path / "data")


def test_a_folder_that_holds_something_gets_no_backup(tmp_path: Path, backup: Backup) -> None:
    (tmp_path / "mine").write_text("")
    done = sendlens("backup", str(tmp_path), data_dir=str(backup.data))
    assert done.returncode == 2
    assert "is not empty" in done.stderr


def test_data_is_replaced_only_when_told_and_no_restore_that_fails_or_is_killed_loses_it(
    backup: Backup, copy: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(backup.data, data, symlinks=True)  # as the engine has its databases
    with reached(settings_of(data)) as reachable, connect(reachable) as client:
        insert_lines(client, "events", lines([Told("late", 1, 1, "sent", UNTIL, 1).event()]))
        more = numbers(client)
    assert more != backup.numbers
    assert "rows of events" in refused(backup.folder, data)

    edit(copy, bytes=lambda size: size + 1)
    assert "restored" in refused(copy, data, "--over")
    with reached(settings_of(data)) as reachable, connect(reachable, database="") as client:
        with connect(reachable) as ours:
            assert numbers(ours) == more
        for statement in (  # as one leaves it that was killed between the first and the second part
            "RENAME DATABASE sendlens TO sendlens_before_restore",
            "CREATE DATABASE sendlens",
            "CREATE TABLE sendlens.events AS sendlens_before_restore.events",
        ):
            client.command(statement)
        with pytest.raises(Misconfigured, match="was interrupted: run `sendlens restore DIR --over` again"):
            migrate(reachable)
    assert "run it again with --over" in refused(backup.folder, data)

    done = sendlens("restore", str(backup.folder), "--over", data_dir=str(data))
    assert done.returncode == 0, done.stderr
    with reached(settings_of(data)) as reachable, connect(reachable) as client:
        assert numbers(client) == backup.numbers
        found = client.query("SELECT count() FROM system.databases WHERE name LIKE '%before_restore'").result_rows
        assert found == [(0,)]


def test_restoring_while_sendlens_runs_is_refused(backup: Backup, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with reached(settings_of(data)):
        assert "stop it" in refused(backup.folder, data)


def test_a_backup_made_while_events_come_in_agrees_with_itself(tmp_path: Path) -> None:
    """What is derived is what can be counted of the events that are in the backup, however they were cut."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    server = start_migrated(data / "clickhouse")
    stop = threading.Event()
    settings = load(data_dir=data, clickhouse_url=server.url)

    def write() -> None:
        with connect(settings) as client:
            number = 0
            while not stop.is_set():
                number += 1
                some = [
                    Told("spring", 1, 100 * number + lead, kind, UNTIL, 1).event()
                    for lead in range(100)
                    for kind in ("sent", "open human", "click bot")
                ]
                insert_lines(client, "events", lines(some))
                if number % 5 == 0:
                    roll(client)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = sendlens("backup", str(tmp_path / "made"), data_dir=str(data), clickhouse_url=server.url)
        assert done.returncode == 0, done.stderr
    finally:
        stop.set()
        writer.join()
        server.stop()
    done = sendlens("restore", str(tmp_path / "made"), data_dir=str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    with reached(settings_of(tmp_path / "new")) as reachable, connect(reachable) as client:
        asked = (
            "SELECT uniqExactIf(delivery_id, kind = 'sent'), uniqExactIf(delivery_id, verdict = 'human') FROM events"
        )
        (there,) = client.query(asked).result_rows
        assert there[0] > 0
        for _ in ("row by row", "by rollups"):
            (said,) = client.query("SELECT sent, opened FROM v_campaigns").result_rows
            assert said == there
            roll(client)
        found = numbers(client)
        rebuild(client, lambda campaign: None)
        assert numbers(client) == found


def edit(folder: Path, **changes: object) -> None:
    """Change the manifest, which no sum covers."""
    path = folder / "manifest.json"
    made = json.loads(path.read_text())
    for name, change in changes.items():
        made[name] = change(made[name])  # type: ignore[operator]
    path.write_text(json.dumps(made))
