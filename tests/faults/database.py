"""Faults of ClickHouse while it is written to."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.faults.works import Works
from tests.support.processes import Process
from tests.support.small_disk import empty, fill, is_small
from tests.support.waiting import wait_until

_READ_BEFORE = 15.0  # seconds in which the hits asked for meanwhile would have made an insert
_MOMENTS = (0.002, 0.01, 0.03)  # seconds after an insert begins


def clickhouse_killed_inserting(works: Works, load: Load, pause: float) -> None:
    """SIGKILL while it works at an insert, three times. It is held still until one has come whole, then let go for a
    moment. The next hits are asked for while it stands still, so that one comes however long it took to start."""
    works.a_worker()
    shares = [number / (len(_MOMENTS) + 1) for number in range(1, len(_MOMENTS) + 2)]
    load.hold(shares[0])
    load.start()
    for share, following, moment in zip(shares, shares[1:], _MOMENTS, strict=False):
        load.wait_for(share)
        clickhouse = works.stream.clickhouse
        os.kill(clickhouse.pid, signal.SIGSTOP)
        load.hold(following)
        wait_until(partial(_inserted_into, clickhouse.port, time.monotonic()), 60, "an insert on its way")
        os.kill(clickhouse.pid, signal.SIGCONT)
        threading.Event().wait(moment)
        clickhouse.kill()
        works.stream.restart_clickhouse()


def clickhouse_paused(works: Works, load: Load, pause: float) -> None:
    """It stands still with its connections open, and goes on with the insert that it had."""
    works.a_worker()
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
    worker = works.a_worker()
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


def _inserted_into(port: int, since: float) -> bool:
    """Whether a server that stands still has an insert: one that it has not read, or one that it had read before, to
    which it owes the answer. In the second case the store sends it no other."""
    unread = _unread(port)
    return bool(unread) and (sum(unread) > 0 or time.monotonic() - since > _READ_BEFORE)


def _unread(port: int) -> list[int]:
    """Bytes that have come for each of a server's connections and that it has not read."""
    waiting = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "01":  # an open connection
            waiting.append(int(fields[4].rpartition(":")[2], 16))
    return waiting


DATABASE_FAULTS = (clickhouse_killed_inserting, clickhouse_paused, clickhouse_disk_full)
