"""Real processes for the tests: on free loopback ports, waited for with a deadline, ended by their process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Process:
    """A started process; its output goes to the file `log`."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        """What the process has printed so far."""
        return self.log.read_text("utf-8", "replace")

    def resident_bytes(self) -> int:
        """The memory the process holds now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, deadline: float = PATIENCE) -> int:
        """Asks the process to end (SIGTERM) and returns its exit code; one that does not end is killed and fails."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the process did not end within {deadline} s:\n{self.output()}") from None

    def kill(self) -> None:
        """Ends the process at once (SIGKILL)."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(20)


@dataclass(slots=True)
class ClickHouseProcess(Process):
    """An embedded ClickHouse that answers at `url`."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def start(
    command: list[str],
    log: Path,
    env: dict[str, str] | None = None,
    *,
    new_session: bool = False,
    root: Path = ROOT,
) -> Process:
    """Starts a Python command (`-m module ...`) from the project's root or another, in a process group of its own when
    asked."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        popen = subprocess.Popen(
            [sys.executable, *command],
            cwd=root,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | (env or {}),
            start_new_session=new_session,
        )
    return Process(popen, log)


def start_clickhouse(
    path: Path, *, port: int | None = None, password: str = "", readonly_user: str = "", readonly_password: str = ""
) -> ClickHouseProcess:
    """Starts an embedded ClickHouse on the data directory `path` and returns when it is ready.

    Without a password anybody may log in as `default`.
    """
    port = port or free_port()
    command = ["-m", "clickhouse.embedded", "--port", str(port), "--path", str(path)]
    if not password:
        command.append("--open")
    if readonly_user:
        command += ["--readonly-user", readonly_user]
    env = {"CLICKHOUSE_PASSWORD": password, "CLICKHOUSE_READONLY_PASSWORD": readonly_password}
    log = path.parent / f"{path.name}.{port}.log"
    before = log.read_text("utf-8", "replace").count("ready on") if log.exists() else 0  # it may have run before
    started = start(command, log, env)
    process = ClickHouseProcess(started.popen, started.log, port)
    try:
        wait_until(
            lambda: process.output().count("ready on") > before or process.popen.poll() is not None,
            30,
            "the ready line of ClickHouse",
        )
        if process.popen.poll() is not None:
            raise AssertionError(f"ClickHouse ended instead of starting:\n{process.output()}")
    except AssertionError:
        process.kill()
        raise
    return process
