"""Faults of ClickHouse while it is written to."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.faults.works import Works
from tests.support.processes import Process
from tests.support.small_disk import empty, fill, is_small
from tests.support.waiting import wait_until

_MOMENTS = (0.002, 0.01, 0.03)  # seconds after an insert begins


def clickhouse_killed_inserting(works: Works, load: Load, pause: float) -> None:
    """SIGKILL while it works at an insert, three times. It is held still until one has come whole, then let go for a
    moment."""
    works.stream.start_worker()
    load.start()
    for number, moment in enumerate(_MOMENTS, 1):
        load.wait_for(number / 5)
        clickhouse = works.stream.clickhouse
        os.kill(clickhouse.pid, signal.SIGSTOP)
        wait_until(lambda port=clickhouse.port: _unread(port) > 0, 60, "an insert on its way")
        os.kill(clickhouse.pid, signal.SIGCONT)
        threading.Event().wait(moment)
        clickhouse.kill()
        works.stream.restart_clickhouse()


def clickhouse_paused(works: Works, load: Load, pause: float) -> None:
    """It stands still with its connections open, and goes on with the insert that it had."""
    works.stream.start_worker()
    load.start()
    load.wait_for(1 / 3)
    os.kill(works.stream.clickhouse.pid, signal.SIGSTOP)
    try:
        threading.Event().wait(pause)
    finally:
        os.kill(works.stream.clickhouse.pid, signal.SIGCONT)


def clickhouse_disk_full(works: Works, load: Load, pause: float) -> None:
    """No insert can be written until there is room again."""
    disk = works.stream.folder / "clickhouse"
    if not is_small(disk):
        pytest.skip("only root may mount a small disk")
    worker = works.stream.start_worker()
    load.start()
    load.wait_for(1 / 3)
    fill(disk)
    try:
        _wait_for_complaint(worker)
        threading.Event().wait(pause)
    finally:
        empty(disk)


def _wait_for_complaint(worker: Process) -> None:
    wait_until(lambda: "waiting to try again" in worker.output(), 120, "the store's complaint")


def _unread(port: int) -> int:
    """Bytes that have come for a server's connections and that it has not read."""
    waiting = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "01":  # an open connection
            waiting += int(fields[4].rpartition(":")[2], 16)
    return waiting


DATABASE_FAULTS = (clickhouse_killed_inserting, clickhouse_paused, clickhouse_disk_full)
