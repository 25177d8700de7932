"""The embedded ClickHouse as a process: data outlives it, however it ends, and one directory has one owner."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
import httpx
import pytest

from tests.support.processes import ROOT, free_port, start_clickhouse, wait_until


def ask(url: str, sql: str) -> str:
    answer = httpx.post(url, content=sql)
    assert answer.status_code == 200, answer.text
    return answer.text


def refused(path: Path, port: int | None = None) -> tuple[int, str]:
    command = [sys.executable, "-m", "clickhouse.embedded", "--port", str(port or free_port()), "--path", str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("kill", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_acknowledged_rows_survive_the_end_of_the_process(tmp_path: Path, kill: bool) -> None:
    path = tmp_path / "data"
    first = start_clickhouse(path)
    try:
        with clickhouse_connect.get_client(host="127.0.0.1", port=first.port) as client:
            client.command("CREATE TABLE kept (n UInt32) ENGINE = MergeTree ORDER BY n")
            client.command("CREATE TABLE sums (k UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY k")
            client.command("CREATE MATERIALIZED VIEW v TO sums AS SELECT 1 AS k, sum(n) AS n FROM kept")
            for batch in range(5):
                client.insert("kept", [[batch * 100 + n] for n in range(100)], column_names=["n"])
    finally:
        if kill:
            first.kill()
        else:
            assert first.stop() == 0
    second = start_clickhouse(path)
    try:
        assert ask(second.url, "SELECT count(), sum(n) FROM kept") == "500\t124750\n"
        assert ask(second.url, "SELECT sum(n) FROM sums") == "124750\n"
        assert ask(second.url, "SELECT count() FROM system.detached_parts") == "0\n"
    finally:
        assert second.stop() == 0


def test_it_ends_cleanly_while_queries_and_sessions_are_open(tmp_path: Path) -> None:
    process = start_clickhouse(tmp_path / "data")
    try:
        ask(f"{process.url}/?session_id=s", "CREATE TEMPORARY TABLE t (n UInt8)")
        with httpx.stream("POST", process.url, content="SELECT * FROM numbers(100000000000)") as endless:
            assert next(endless.iter_bytes())
            process.popen.send_signal(signal.SIGINT)
            wait_until(lambda: process.popen.poll() is not None, 15, "the end of the process")
        assert process.popen.returncode == 0
        assert "Traceback" not in process.output()
    finally:
        process.kill()


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data"
    owner = start_clickhouse(path)
    try:
        assert refused(path) == (
            2,
            f"clickhouse: {path} is in use by another process: stop that one, or choose another --path.\n",
        )
        code, text = refused(tmp_path / "other", port=owner.port)
        assert code == 2
        assert "Address already in use" in text
        assert ask(owner.url, "SELECT 1") == "1\n"
    finally:
        assert owner.stop() == 0


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    code, text = refused(tmp_path / "file")
    assert code == 2
    assert "is not writable" in text
    code, text = refused(Path("/proc/sendlens"))
    assert code == 2
    assert "is not writable" in text


def test_it_says_where_it_is_ready(tmp_path: Path) -> None:
    process = start_clickhouse(tmp_path / "data")
    try:
        assert process.output().splitlines()[0].startswith(f"clickhouse: ready on {process.url} (chDB ")
    finally:
        assert process.stop() == 0
