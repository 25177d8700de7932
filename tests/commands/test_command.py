"""The `sendlens` command as a shell sees it: its words, its exit codes, its last lines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agents.pipeline import STAGES
from dashboards.boards import BOARDS
from dashboards.grafana.alerts import provisioned
from tests.support.broker import start_broker
from tests.support.processes import ROOT, free_port
from tests.support.stream import Stream, running_stream


def sendlens(*words: str, given: bytes = b"", **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {f"SENDLENS_{name.upper()}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "sendlens", *words],
        cwd=ROOT,
        input=given,
        capture_output=True,
        env=environment,
        timeout=240,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    broker = start_broker()
    try:
        with running_stream(tmp_path_factory.mktemp("command"), broker) as stream:
            yield stream
    finally:
        broker.stop()


def settings_of(stream: Stream) -> dict[str, str]:
    return {name.removeprefix("SENDLENS_").lower(): value for name, value in stream.environment.items()}


def test_hits_are_judged_line_by_line_in_their_order() -> None:
    hits = [
        {"id": "a", "kind": "open", "user_agent": "curl/8.11.0"},
        {
            "id": 2,
            "kind": "open",
            "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        },
        {"id": "c", "kind": "click", "user_agent": "", "method": "GET"},
    ]
    done = sendlens("judge", "hits", given=b"\n".join(msgspec.json.encode(hit) for hit in hits))
    assert done.returncode == 0, done.stderr
    verdicts = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert [(one["id"], one["verdict"]) for one in verdicts] == [("a", "bot"), (2, "human"), ("c", "bot")]


def test_a_bad_line_is_named_and_the_others_are_judged() -> None:
    done = sendlens("judge", "hits", given=b'nonsense\n{"id":1,"kind":"open","user_agent":"curl/8"}\n')
    assert done.returncode == 1
    assert done.stderr.startswith("line 1:")
    assert '"id":1' in done.stdout


def test_a_setting_that_is_wrong_is_named_without_a_traceback() -> None:
    done = sendlens("work", partitions="0")
    assert done.returncode == 2
    assert done.stderr.startswith("sendlens: SENDLENS_PARTITIONS")
    assert "Traceback" not in done.stderr


def test_a_stage_that_does_not_exist_is_answered_with_those_that_do() -> None:
    done = sendlens("work", "--stage", "jugde")
    assert done.returncode == 2
    assert "sender, judge, reader, guard, store, webhooks" in done.stderr


def test_the_help_of_work_names_every_stage() -> None:
    done = sendlens("work", "--help")
    assert ", ".join(stage.name for stage in STAGES) in " ".join(done.stdout.replace("│", " ").split())


def test_migrate_without_services_says_what_is_missing() -> None:
    done = sendlens("migrate", "--wait", "0", clickhouse_url=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "ClickHouse" in done.stderr
    assert "Traceback" not in done.stderr


def test_migrating_again_changes_nothing(stream: Stream) -> None:
    done = sendlens("migrate", **settings_of(stream))
    assert done.returncode == 0, done.stderr
    assert "refilled=nothing tables=unchanged topics=unchanged" in done.stdout


def test_rendering_the_boards_again_gives_no_diff() -> None:
    dist = ROOT / "dashboards" / "dist"
    before = {path: path.read_bytes() for path in dist.iterdir()}
    done = sendlens("boards", "render")
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in dist.iterdir()} == before


def test_a_board_runs_on_a_migrated_database(stream: Stream) -> None:
    """All of them do in tests/dashboards/test_check.py."""
    done = sendlens("boards", "check", "pipeline", **settings_of(stream))
    assert done.returncode == 0, done.stderr
    assert "boards check: 0 problems" in done.stdout


def test_all_boards_and_rules_are_run_and_what_fails_is_named(stream: Stream) -> None:
    """On a database without tables a query fails before it costs anything."""
    done = sendlens("boards", "check", **settings_of(stream) | {"clickhouse_database": "default"})
    assert done.returncode == 1
    problems = done.stderr.splitlines()
    assert f"boards check: {len(problems)} problems" in done.stdout
    named = {problem.partition(":")[0] for problem in problems if not problem.startswith("alert ")}
    assert named == {f"{board.key}.json" for board in BOARDS}
    rules = {rule["title"] for group in provisioned()["groups"] for rule in group["rules"]}
    assert {
        problem.removeprefix("alert ").partition(":")[0] for problem in problems if problem.startswith("alert ")
    } == rules


def test_a_board_that_does_not_exist_is_answered_with_those_that_do() -> None:
    done = sendlens("boards", "check", "overveiw")
    assert done.returncode == 2
    assert "overveiw" in done.stderr
    assert "overview, campaign, ab" in " ".join(done.stderr.replace("│", " ").split())


def test_the_demo_needs_the_checkout_and_up_the_embedded_mode(tmp_path: Path) -> None:
    secrets = {"token_keys": f"1:{'k' * 32}", "api_key": "x" * 32}
    for command in ("up", "demo", "broker"):
        done = sendlens(command, mode="cluster", data_dir=str(tmp_path), **secrets)
        assert done.returncode == 2
        assert done.stderr.startswith("sendlens: SENDLENS_MODE=cluster: ")
