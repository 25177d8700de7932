"""`sendlens migrate` several times at once, killed, without rights, on an old server: nothing is harmed, and one line says why."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import migrate as migrating
from clickhouse.migrate import migrate
from clickhouse.schema import lock as migration_lock
from clickhouse.schema import migrations
from clickhouse.store import connect, insert_lines
from schemas.errors import Misconfigured, Retry
from schemas.events import CampaignPaused, lines
from schemas.settings import Settings
from tests.clickhouse.conftest import READER, READER_PASSWORD, fresh_database
from tests.support.processes import ROOT, ClickHouseProcess, free_port
from tests.support.waiting import wait_until

LEFT = re.compile("migrating_[0-9a-f]{32}")
LEFT_BEHIND = "left_behind"
ALONE = "migrated_alone"
ALSO_DATABASES = (LEFT_BEHIND, ALONE)  # beside `own_database`, in which the first test of the two leaves a lock
DEAD_SECONDS = 10
MIGRATE = "from schemas.settings import load; from clickhouse.migrate import migrate; print(migrate(load()))"
IMPATIENT = f"from clickhouse.schema import lock; lock.DEAD_SECONDS = {DEAD_SECONDS}; {MIGRATE}"
# Has the lock until it is killed, and leaves it behind.
HOLD = (
    "import time; from schemas.settings import load; from clickhouse import migrate as m; "
    "m._apply = lambda *_: (print('holds', flush=True), time.sleep(600)); m.migrate(load())"
)


@pytest.fixture
def settings(embedded_clickhouse: ClickHouseProcess) -> Iterator[Settings]:
    yield from fresh_database(embedded_clickhouse)


def environment(settings: Settings, **more: str) -> dict[str, str]:
    return os.environ | {
        "SENDLENS_CLICKHOUSE_URL": settings.clickhouse_url,
        "SENDLENS_CLICKHOUSE_DATABASE": settings.clickhouse_database,
        "SENDLENS_TOKEN_KEYS": "1:0123456789abcdef0123456789abcdef",
        **more,
    }


def start(settings: Settings, program: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def tables(client: Client) -> list[tuple[str, str]]:
    """All there is, as ClickHouse would make it again, without the database's name. Where a process stood still for long, its
    lock may have been left: see test_what_killed_holders_left_is_dropped_after_an_hour."""
    rows = client.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    ).result_rows
    return [(name, str(made).replace(str(client.database), "")) for name, made in rows if not LEFT.fullmatch(name)]


def left_over(client: Client) -> list[str]:
    rows = client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows
    return [name for (name,) in rows if LEFT.fullmatch(name)]


@pytest.fixture(scope="module")
def alone(own_database: Settings) -> list[tuple[str, str]]:
    """The tables of a database that one migrate made."""
    with connect(own_database.model_copy(update={"clickhouse_database": ALONE})) as client:
        return tables(client)


def test_three_at_once_on_an_empty_server_make_what_one_makes(settings: Settings, alone: list[tuple[str, str]]) -> None:
    processes = [start(settings, MIGRATE) for _ in range(3)]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], printed
    everything = str([migration.name for migration in migrations()])
    assert sorted(everything in text for text in printed) == [False, False, True], "one did all of it"
    with connect(settings) as client:
        assert tables(client) == alone
        paused = CampaignPaused(
            id=str(uuid.uuid4()), at=datetime(2026, 3, 2, tzinfo=UTC), campaign="spring", reason="bounces", sent=4, hard_bounced=3
        )  # fmt: skip
        insert_lines(client, "events", lines([paused]))
        assert client.query("SELECT count() FROM rare_events").result_rows == [(1,)]


def test_the_lock_of_one_that_was_killed_is_taken_once_it_is_silent_and_not_before(
    settings: Settings, alone: list[tuple[str, str]]
) -> None:
    holder = start(settings, HOLD)
    try:
        assert holder.stdout is not None
        assert "holds" in holder.stdout.readline()
        waiting = [start(settings, IMPATIENT), start(settings, IMPATIENT)]
        for process in waiting:
            assert process.stdout is not None
            assert "waiting for another" in process.stdout.readline()
        holder.send_signal(signal.SIGKILL)
        printed = [process.communicate(timeout=DEAD_SECONDS + 120)[0] for process in waiting]
        assert [process.returncode for process in waiting] == [0, 0], printed
        assert str(printed).count("that was killed") >= 1
        with connect(settings) as client:
            assert tables(client) == alone
    finally:
        holder.kill()
        holder.wait(20)


def test_a_holder_whose_lock_was_taken_changes_nothing_more_and_takes_no_others(own_database: Settings) -> None:
    with connect(own_database) as client:
        with migration_lock.migrating(own_database, client) as lock:
            lock.check()
            assert migration_lock._rename(client, lock.token), "as one does that takes it for dead"
            assert migration_lock._make(client, "f" * 32)
            assert not migration_lock._rename(client, lock.token), "a second one comes too late"
            with pytest.raises(Retry, match="has taken over"):
                lock.check()
        assert migration_lock._holder(client)[0] == "f" * 32, "the next holder's is left alone"


def test_what_killed_holders_left_is_dropped_after_an_hour(
    own_database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = own_database.model_copy(update={"clickhouse_database": LEFT_BEHIND})
    with connect(settings) as client:
        client.command(f"CREATE TABLE migrating_{'e' * 32} (holder String) ENGINE = Memory")
        migrate(settings)
        assert f"migrating_{'e' * 32}" in left_over(client)
        monkeypatch.setattr(migration_lock, "_LEFT_OVER_SECONDS", 0)

        def is_dropped() -> bool:
            migrate(settings)
            return not left_over(client)

        wait_until(is_dropped, 20, "the end of a second, in which the server counts")


def run(settings: Settings, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sendlens", "migrate", "--wait", "1"],
        cwd=ROOT, env=environment(settings, **more), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_user_without_rights_gets_one_line(settings: Settings) -> None:
    refused = run(settings, SENDLENS_CLICKHOUSE_USER=READER, SENDLENS_CLICKHOUSE_PASSWORD=READER_PASSWORD)
    assert refused.returncode != 0
    assert refused.stdout == ""
    (line,) = refused.stderr.splitlines()
    assert line.startswith(
        f"sendlens: SENDLENS_CLICKHOUSE_USER: {READER} may not change {settings.clickhouse_database}"
    )


def test_a_server_that_is_away_gets_one_line(settings: Settings) -> None:
    away = settings.model_copy(update={"clickhouse_url": f"http://127.0.0.1:{free_port()}"})
    refused = run(away)
    (line,) = refused.stderr.splitlines()
    assert line.endswith("is it running? Try again")


def test_a_server_that_is_too_old_is_named_with_what_is_needed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "OLDEST_CLICKHOUSE", (1000, 2))
    with pytest.raises(Misconfigured, match=r"ClickHouse [\d.]+ at http\S+ is too old: Sendlens needs 1000.2 or newer"):
        migrate(settings)


def test_the_oldest_server_is_the_one_of_docker_compose() -> None:
    (image,) = re.findall(r"clickhouse/clickhouse-server:(\d+)\.(\d+)", (ROOT / "docker-compose.yml").read_text())
    assert tuple(map(int, image)) == migrating.OLDEST_CLICKHOUSE
