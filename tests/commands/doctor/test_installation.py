"""`sendlens doctor` on this machine's part, and how it behaves where nothing answers or all hangs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from commands.doctor.checks import CHECKS
from commands.doctor.diagnosis import Check, Diagnosis, Examination, examined
from ingest.hits.segment import Frame, Segment
from schemas.errors import Misconfigured
from schemas.settings import Settings
from tests.commands.doctor.running import doctor, environment
from tests.support.processes import ROOT

GIVEN = Examination(Settings(_env_file=None))  # type: ignore[call-arg]


def test_where_nothing_runs_every_check_says_so_and_none_is_left_out(tmp_path: Path) -> None:
    told = doctor(environment(tmp_path))
    assert told.code == 2
    assert {check.name for check in CHECKS} <= {check for check, *_ in told.findings}
    assert told.of("ingest")[0][0] == "fail"
    assert "run `sendlens ingest`" in told.of("ingest")[0][2]


def test_settings_that_send_no_mail_to_people_are_warned_of(tmp_path: Path) -> None:
    told = doctor(environment(tmp_path), "settings")
    assert (told.code, told.verdict) == (1, "warn")
    assert "SENDLENS_ENVELOPE_DOMAIN is an example's" in told.of("settings")[0][1]
    own = {"envelope_domain": "bounces.garden.example", "public_url": "https://t.garden.example"}
    assert len(doctor(environment(tmp_path, **own), "settings").of("settings")) == 1  # the broker in memory


def test_settings_that_cannot_be_read_are_a_finding(tmp_path: Path) -> None:
    told = doctor(environment(tmp_path, partitions="many"))
    assert told.code == 2
    assert told.of("settings")[0][1].startswith("SENDLENS_PARTITIONS: ")


def test_a_spool_that_is_full_and_one_that_waits(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "spool"
    folder.mkdir(parents=True, mode=0o700)
    (tmp_path / "data").chmod(0o700)
    segment = Segment.create(folder)
    segment.append([Frame(b"x" * 600_000, 1, 0, 12, time.time())])
    segment.close()
    just_now = doctor(environment(tmp_path), "spool")
    assert (just_now.code, just_now.of("spool")[0][0]) == (0, "ok")
    full = doctor(environment(tmp_path, spool_mb=0), "spool")
    assert full.code == 2
    assert "SENDLENS_SPOOL_MB" in full.of("spool")[0][2]
    (file,) = folder.glob("*.spool")

    os.utime(file, (time.time() - 3600, time.time() - 3600))
    old = doctor(environment(tmp_path), "spool")
    assert (old.code, old.of("spool")[0][0]) == (1, "warn")
    assert "for 60 min" in old.of("spool")[0][1]


def test_a_disk_without_room_for_the_spool_fails(tmp_path: Path) -> None:
    told = doctor(environment(tmp_path, spool_mb=1_000_000_000), "disk")
    assert told.code == 2
    assert "the spool may need 1000.0 TB" in told.of("disk")[0][1]


def test_servers_that_take_connections_and_say_nothing_hold_up_nothing_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        told = doctor(
            environment(tmp_path, clickhouse_url=f"http://{place}", public_url=f"http://{place}"),
            "disk", "ingest", "clickhouse", "rights",
        )  # fmt: skip
    assert time.monotonic() - began < 60
    assert [(check, verdict) for check, verdict, _, _ in told.findings] == [
        ("disk", "ok"), ("ingest", "fail"), ("clickhouse", "fail"), ("rights", "fail"),
    ]  # fmt: skip


def test_checks_run_side_by_side_and_whatever_one_raises_is_a_finding() -> None:
    def fails(error: Exception) -> Check:
        def find(_: Examination) -> list[Diagnosis]:
            raise error

        return Check("fails", find)

    def hangs(_: Examination) -> list[Diagnosis]:
        time.sleep(30)
        return []

    def partly(_: Examination) -> list[Diagnosis]:
        return [Diagnosis("partly", "ok", "fine"), Diagnosis("partly", "warn", "hm", "look")]

    began = time.monotonic()
    found = examined(
        [
            Check("hangs", hangs, seconds=0.3),
            fails(KeyError("bug")),
            fails(Misconfigured("SENDLENS_X: mend it")),
            Check("partly", partly),
        ],
        GIVEN,
    )
    assert time.monotonic() - began < 10
    assert [(one.check, one.verdict, one.said) for one in found] == [
        ("hangs", "fail", "no answer within 0 s"),
        ("fails", "fail", "KeyError: 'bug'"),
        ("fails", "fail", "SENDLENS_X: mend it"),
        ("partly", "ok", "fine"),
        ("partly", "warn", "hm"),
    ]


@pytest.mark.parametrize(("words", "said"), [(["--only", "nothing"], "choose from settings, disk")])
def test_for_eyes_a_finding_is_a_line(words: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sendlens", "doctor", *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    assert line.startswith("fail  settings")
    assert said in line


def test_a_port_that_is_taken_ends_ingest_in_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "sendlens", "ingest"],
            cwd=ROOT, env=os.environ | environment(tmp_path, ingest_port=port),
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    (line,) = (done.stdout + done.stderr).splitlines()
    assert f"SENDLENS_INGEST_PORT: 127.0.0.1:{port}: Address already in use" in line
