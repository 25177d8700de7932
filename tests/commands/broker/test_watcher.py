"""The broker's watcher on a real process: it is started again when it is killed, and never outlives who started it."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Process, free_port, start
from tests.support.waiting import wait_until

# Listens, as a broker does. Told a second word it ends before it listens.
_SERVER = """
import socket, sys
if len(sys.argv) > 2:
    sys.exit("no room on the disk")
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""
_WATCH = """
import asyncio, sys
from commands.broker.watcher import watch
from schemas.errors import Misconfigured
try:
    asyncio.run(watch("The server", sys.argv[2:], int(sys.argv[1])))
except Misconfigured as error:
    print(error, flush=True)
    sys.exit(2)
"""


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def watcher(tmp_path: Path, port: int) -> Iterator[Process]:
    process = watched(tmp_path, port)
    yield process
    for pid in pids(process):
        if lives(pid):
            os.kill(pid, signal.SIGKILL)
    process.kill()


def watched(folder: Path, port: int, *more: str) -> Process:
    script = folder / "server.py"
    script.write_text(_SERVER)
    command = ["-c", _WATCH, str(port), sys.executable, str(script), str(port), *more]
    return start(command, folder / "watcher.log")


def pids(process: Process) -> list[int]:
    """The server's process ids, the newest last."""
    return [int(pid) for pid in re.findall(r"broker is ready.*pid=(\d+)", process.output())]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_broker_that_is_killed_is_started_again(watcher: Process, port: int) -> None:
    wait_until(lambda: len(pids(watcher)) == 1, 20, "the server")
    os.kill(pids(watcher)[0], signal.SIGKILL)
    wait_until(lambda: len(pids(watcher)) == 2, 20, "the server again")
    assert listens(port)
    assert "broker ended, starting it again" in watcher.output()
    assert "code=-9" in watcher.output()


def test_who_stops_the_watcher_stops_the_broker(watcher: Process, port: int) -> None:
    wait_until(lambda: pids(watcher), 20, "the server")
    assert watcher.stop() == 0
    assert not lives(pids(watcher)[0])
    assert not listens(port)
    assert "starting it again" not in watcher.output()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a child of its parent's end")
def test_a_watcher_that_is_killed_takes_the_broker_along(watcher: Process, port: int) -> None:
    wait_until(lambda: pids(watcher), 20, "the server")
    watcher.kill()
    wait_until(lambda: not lives(pids(watcher)[0]), 20, "the server's end")
    assert not listens(port)


def test_a_broker_that_never_was_ready_is_no_case_for_another_try(tmp_path: Path, port: int) -> None:
    process = watched(tmp_path, port, "ends")
    try:
        assert process.popen.wait(60) == 2
        said = process.output().splitlines()
        assert said[0] == "no room on the disk"
        assert said[-1].startswith("The server ended before it was ready (exit code 1)")
    finally:
        process.kill()
