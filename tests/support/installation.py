"""A whole Sendlens on this machine, as `make up` and `make demo` start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.processes import ROOT, Process, free_port


def environment(data_dir: Path) -> dict[str, str]:
    """Ports of its own and a data folder of its own."""
    ingest = free_port()
    return {
        "SENDLENS_BROKER": "memory",
        "SENDLENS_DATA_DIR": str(data_dir),
        "SENDLENS_KAFKA": f"127.0.0.1:{free_port()}",
        "SENDLENS_CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}",
        "SENDLENS_INGEST_PORT": str(ingest),
        "SENDLENS_PUBLIC_URL": f"http://127.0.0.1:{ingest}",
        "SENDLENS_SMTP_PORT": str(free_port()),
        "SENDLENS_SETTLE_SECONDS": "5",
    }


@contextmanager
def running(command: list[str], settings: dict[str, str], log: Path) -> Iterator[Process]:
    """`sendlens COMMAND`; whatever of it is still there at the end is killed, by process id."""
    with log.open("ab") as out:
        popen = subprocess.Popen(
            [sys.executable, "-m", "sendlens", *command],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | settings,
        )
    process = Process(popen, log)
    try:
        yield process
    finally:
        killed(process, settings)


def killed(process: Process, settings: dict[str, str]) -> None:
    """Kill it, and whatever it has started (SIGKILL): first itself, which would stop the others in order."""
    process.kill()
    for pid, _ in processes_of(settings["SENDLENS_DATA_DIR"]):
        with suppress(ProcessLookupError):  # it ended with another
            os.kill(pid, signal.SIGKILL)


def processes_of(data_dir: str) -> list[tuple[int, str]]:
    """Processes that were started with this data folder, which no other has: each with its name in the Procfile, those
    that have none as `up`."""
    mark, named = f"SENDLENS_DATA_DIR={data_dir}".encode(), b"HONCHO_PROCESS_NAME="
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(variable == mark or variable.startswith(mark + b"/") for variable in variables):
            name = next((one.removeprefix(named).decode() for one in variables if one.startswith(named)), "up")
            found.append((int(folder.name), name))
    return found
