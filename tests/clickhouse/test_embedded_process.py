"""The embedded ClickHouse as a process: data outlives it, however it ends, and one directory has one owner."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import clickhouse_connect
import httpx

from tests.support.processes import ROOT, free_port, start_clickhouse
from tests.support.waiting import wait_until


def ask(url: str, sql: str) -> str:
    answer = httpx.post(url, content=sql)
    assert answer.status_code == 200, answer.text
    return answer.text


def refused(path: Path, port: int | None = None) -> tuple[int, str]:
    serving = ["clickhouse.embedded", "--open", "--port", str(port or free_port()), "--path", str(path)]
    command = [sys.executable, "-m", *serving]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return ended.returncode, ended.stderr


def test_acknowledged_rows_survive_the_end_of_the_process(tmp_path: Path) -> None:
    """Each life inserts 500 rows and ends in its own way; the next finds them all, and the view goes on counting."""
    path = tmp_path / "data"
    for life, kill in enumerate((True, False, False)):
        process = start_clickhouse(path)
        try:
            assert process.output().splitlines()[0].startswith(f"clickhouse: ready on {process.url} (chDB ")
            with clickhouse_connect.get_client(host="127.0.0.1", port=process.port) as client:
                client.command("CREATE TABLE IF NOT EXISTS kept (n UInt32) ENGINE = MergeTree ORDER BY n")
                client.command(
                    "CREATE TABLE IF NOT EXISTS sums (k UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY k"
                )
                client.command(
                    "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO sums AS SELECT 1 AS k, sum(n) AS n FROM kept"
                )
                total = sum(range(life * 500))
                assert client.query("SELECT count(), sum(n) FROM kept").result_rows == [(life * 500, total)]
                assert client.query("SELECT sum(n) FROM sums").result_rows == [(total,)]
                assert client.query("SELECT count() FROM system.detached_parts").result_rows == [(0,)]
                for start in range(life * 500, (life + 1) * 500, 100):
                    client.insert("kept", [[start + n] for n in range(100)], column_names=["n"])
        finally:
            if kill:
                process.kill()
            else:
                assert process.stop() == 0


def test_it_ends_cleanly_while_queries_and_sessions_are_open(tmp_path: Path) -> None:
    process = start_clickhouse(tmp_path / "data")
    try:
        ask(f"{process.url}/?session_id=s", "CREATE TEMPORARY TABLE t (n UInt8)")
        with httpx.stream("POST", process.url, content="SELECT * FROM numbers(100000000000)") as endless:
            pieces = endless.iter_bytes()  # held, since httpx hangs up when its iterator is dropped
            assert next(pieces)
            process.popen.send_signal(signal.SIGINT)
            wait_until(lambda: process.popen.poll() is not None, 15, "the end of the process")
        assert process.popen.returncode == 0
        assert "Traceback" not in process.output()
        assert "query given up user=default" in process.output()
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
