"""Reaches the ClickHouse of a backup: the one that runs, or the embedded one, started for as long as it takes."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clickhouse.embedded.engine import BACKUPS
from clickhouse.store import connect
from commands.backup.tables import PARTS, BackupLocation
from schemas.errors import Misconfigured, Retry
from schemas.running import running_clickhouse
from schemas.settings import Settings

_START_SECONDS = 60.0
_LOCK = "sendlens.lock"  # of clickhouse/embedded/engine.py


def is_running(settings: Settings) -> bool:
    """Whether a process has the embedded database open."""
    try:
        with (_engine_folder(settings) / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextmanager
def reached(settings: Settings) -> Iterator[Settings]:
    """Settings with the address at which ClickHouse answers now. Raises Retry when the embedded one does not start."""
    if settings.mode == "cluster":
        yield settings
        return
    if is_running(settings):
        address = settings.clickhouse_url
        if "clickhouse_url" not in settings.model_fields_set:  # the stack takes another port when that one is taken
            address = running_clickhouse(settings.data_dir) or address
        yield settings.model_copy(update={"clickhouse_url": address})
        return
    with _started(settings) as started:
        yield started


@contextmanager
def location_in(settings: Settings, folder: Path) -> Iterator[BackupLocation]:
    """Lets the embedded engine reach `folder` and no other: by links in its own folder, gone afterwards."""
    links = _engine_folder(settings) / BACKUPS
    links.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = secrets.token_hex(8)
    made = []
    try:
        for part in PARTS:
            (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
            link = links / f"{name}-{part}"
            link.symlink_to((folder / part).resolve())
            made.append(link)
        yield BackupLocation(f"File('{name}')")
    finally:
        for link in made:
            link.unlink(missing_ok=True)


@contextmanager
def _started(settings: Settings) -> Iterator[Settings]:
    from stack import free_port

    url = f"http://127.0.0.1:{free_port()}"
    environment = os.environ | {
        "SENDLENS_CLICKHOUSE_URL": url,
        "SENDLENS_DATA_DIR": str(settings.data_dir.absolute()),
        "SENDLENS_SAMPLE_SECONDS": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "sendlens", "clickhouse"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
    )
    # A `kill` of this command ends what it started, as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        reachable = settings.model_copy(update={"clickhouse_url": url})
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if process.poll() is not None:
                said = process.stdout.read().strip() if process.stdout else ""
                raise Misconfigured(f"the embedded ClickHouse did not start: {said[-300:]}")
            with suppress(Retry), connect(reachable, database=""):
                break
            if time.monotonic() > deadline:
                raise Retry("the embedded ClickHouse does not answer")
            time.sleep(0.1)
        yield reachable
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait()
        signal.signal(signal.SIGTERM, before)


def _engine_folder(settings: Settings) -> Path:
    return settings.data_dir / "clickhouse"
