"""What `sendlens doctor` says of ClickHouse, with faults made on the real engine."""

from __future__ import annotations

import ctypes.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clickhouse.store import connect
from commands.doctor.database import growth
from schemas.settings import Settings
from tests.commands.doctor.running import Told, doctor, environment
from tests.support.migrated import MIGRATED, start_migrated
from tests.support.processes import ClickHouseProcess

OURS, READERS = "a-secret-of-ours", "a-secret-of-the-readers"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    folder = tmp_path_factory.mktemp("clickhouse") / "data"
    process = start_migrated(folder, password=OURS, readonly_user="reader", readonly_password=READERS)
    yield process
    process.kill()


def told(folder: Path, server: ClickHouseProcess, *only: str, **more: object) -> Told:
    """What it says with these settings instead of the right ones."""
    right: dict[str, object] = {
        "clickhouse_url": server.url,
        "clickhouse_password": OURS,
        "clickhouse_reader_password": READERS,
        "clickhouse_database": MIGRATED,
    }
    return doctor(environment(folder, **right | more), *(only or ("clickhouse", "rights", "tables")))


def test_a_server_as_it_should_be(tmp_path: Path, server: ClickHouseProcess) -> None:
    found = told(tmp_path, server)
    assert found.code == 0, found.findings
    assert [(check, verdict) for check, verdict, _, _ in found.findings] == [
        ("clickhouse", "ok"),
        ("clock", "ok"),
        ("schema", "ok"),
        ("rights", "ok"),
        ("rights", "ok"),
        ("tables", "ok"),
    ]


def test_a_user_that_may_only_look_is_no_user_of_ours(tmp_path: Path, server: ClickHouseProcess) -> None:
    found = told(tmp_path, server, "rights", clickhouse_user="reader", clickhouse_password=READERS)
    writer, _ = found.of("rights")
    assert writer[0] == "fail"
    assert "reader lacks SELECT, INSERT" in writer[1]
    assert writer[2] == f"GRANT ALL ON {MIGRATED}.* TO reader"
    assert found.code == 2


def test_a_reader_who_is_not_let_in_is_a_warning(tmp_path: Path, server: ClickHouseProcess) -> None:
    found = told(tmp_path, server, "rights", clickhouse_reader_password="another")
    _, reader = found.of("rights")
    assert reader[0] == "warn"
    assert "reader can't look" in reader[1]
    assert "GRANT SELECT, SHOW" in reader[2]
    assert "another" not in reader[1]


def test_a_password_that_is_wrong_is_said_with_its_setting(tmp_path: Path, server: ClickHouseProcess) -> None:
    found = told(tmp_path, server, "clickhouse", clickhouse_password="wrong")
    ((verdict, said, _),) = found.of("clickhouse")
    assert verdict == "fail"
    assert "SENDLENS_CLICKHOUSE_USER or _PASSWORD" in said


def test_a_database_that_was_not_migrated(tmp_path: Path, server: ClickHouseProcess) -> None:
    found = told(tmp_path, server, "clickhouse", clickhouse_database="nothing_here")
    assert found.of("schema") == [("fail", "no database nothing_here", "run `sendlens migrate`")]


@pytest.mark.parametrize(("shift", "verdict"), [("+10s", "warn"), ("+90s", "fail"), ("-90s", "fail")])
def test_clocks_that_differ(
    tmp_path: Path, server: ClickHouseProcess, monkeypatch: pytest.MonkeyPatch, shift: str, verdict: str
) -> None:
    """The clock of the machine on which it runs is wrong, by libfaketime."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if shutil.which("faketime") is None or library is None or ctypes.util.find_library("c") is None:
        pytest.skip("no libfaketime here (Debian: faketime)")
    for name, value in (("LD_PRELOAD", str(library)), ("FAKETIME", shift), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")):
        monkeypatch.setitem(os.environ, name, value)
    ((found, said, todo),) = told(tmp_path, server, "clickhouse").of("clock")
    assert found == verdict, said
    assert ("behind" if shift.startswith("+") else "ahead") in said
    assert "NTP" in todo


def test_what_has_no_end_is_counted_and_what_has_one_is_not(tmp_path: Path, server: ClickHouseProcess) -> None:
    settings = Settings(
        clickhouse_url=server.url, clickhouse_password=OURS, clickhouse_database=MIGRATED, _env_file=None
    )  # type: ignore[call-arg]
    with connect(settings) as client:
        for table, end in (("endless", ""), ("ending", "TTL toDateTime(at) + INTERVAL 1 DAY")):
            client.command(
                f"CREATE TABLE {table} (at DateTime('UTC'), noise String) ENGINE = MergeTree "
                f"PARTITION BY toYYYYMM(at) ORDER BY at {end}"
            )
            client.command(
                f"INSERT INTO {table} SELECT now() - INTERVAL 1 MONTH, randomString(1000) FROM numbers(5000)",
                settings={"optimize_on_insert": 0},
            )
        try:
            ((verdict, said, _),) = told(tmp_path, server, "tables").of("tables")
        finally:
            for table in ("endless", "ending"):
                client.command(f"DROP TABLE {table}")
    assert verdict == "ok"
    assert "(endless 5 MB" in said
    assert "ending" not in said
    assert "about 5 MB more a month" in said


def test_a_disk_that_is_full_in_weeks_is_a_warning() -> None:
    rows = [(True, "events", 0, 60 << 30, 10 << 30), (True, "outcomes", 0, 30 << 30, 0)]
    found = growth(rows, free=20 << 30)
    assert found.verdict == "warn"
    assert "full in 1 months" in found.said
    assert growth(rows, free=2000 << 30).verdict == "ok"
