"""Faults of ingest and of its disk while Kafka is away, of strangers' connections, and of clocks."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.faults.works import Works
from tests.support.cluster import Cluster
from tests.support.small_disk import empty, fill, is_small
from tests.support.waiting import wait_until

# Debian's libfaketime.
_FAKETIME = tuple(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
_HEAD = b"GET /o/slow.gif HTTP/1.1\r\nHost: example.com\r\nX-Slow: "


def killed_with_a_full_spool(works: Works, load: Load, pause: float) -> None:
    """Kafka is away, the spool takes no more, so hits are refused; then ingest is killed, and another starts."""
    works.a_worker()
    load.start()
    load.wait_for(1 / 4)
    with _without_kafka(works):
        wait_until(lambda: len(load.refused) > 0, 120, "hits to be refused")
        works.ingest.kill()
        works.restart_ingest("/healthz")
        threading.Event().wait(pause)
        load.finish()


def spool_disk_full(works: Works, load: Load, pause: float) -> None:
    """Kafka is away and the spool's disk is full, so hits are refused; then there is room, then Kafka."""
    disk = works.stream.folder / "spool"
    if not is_small(disk):
        pytest.skip("only root may mount a small disk")
    works.a_worker()
    load.start()
    load.wait_for(1 / 4)
    with _without_kafka(works):
        wait_until(lambda: works.spooled() > 0, 60, "hits on disk")
        fill(disk)
        refused = len(load.refused)
        wait_until(lambda: len(load.refused) > refused, 120, "hits to be refused")
        threading.Event().wait(pause)
        empty(disk)
        answered = len(load.answered)
        wait_until(lambda: len(load.answered) > answered + 100, 120, "hits to be answered again")


def slow_connections(works: Works, load: Load, pause: float) -> None:
    """So many connections send a letter now and then, all the time, while others want their pixel."""
    works.a_worker()
    with _slow_connections(works.stream.settings.ingest_port, SLOW) as slow:
        wait_until(lambda: slow.open >= SLOW, 120, "slow connections")
        load.start()
        load.finish()
        assert slow.most_at_once >= SLOW


def clocks_apart(works: Works, load: Load, pause: float) -> None:
    """The clock of ingest is ten minutes behind, then ten ahead; so are those of two workers, the other way round."""
    if not _FAKETIME:
        pytest.skip("no libfaketime here (Debian: faketime)")
    works.replace_ingest(_clock("-600"))
    works.stream.start_worker(environment=_clock("+600"))
    load.start()
    load.wait_for(1 / 3)
    works.replace_ingest(_clock("+600"))
    works.stream.start_worker(environment=_clock("-600"))


@contextmanager
def _without_kafka(works: Works) -> Iterator[None]:
    """Two of three brokers are killed, and come back."""
    cluster = works.stream.broker
    assert isinstance(cluster, Cluster)
    for node in cluster.nodes[:2]:
        node.kill()
    try:
        yield
    finally:
        cluster.heal()


def _clock(offset: str) -> dict[str, str]:
    """What makes a process believe in a clock that is so many seconds off. What it waits by is left alone."""
    return {"LD_PRELOAD": str(_FAKETIME[0]), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


SLOW = 5_000


class _Slow:
    """Connections that send a head letter by letter, each opened again when it is closed."""

    def __init__(self, port: int, wanted: int) -> None:
        self.open = 0
        self.most_at_once = 0
        self._port = port
        self._wanted = wanted
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="slow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join(timeout=60)

    async def _work(self) -> None:
        tasks = [asyncio.create_task(self._one(number)) for number in range(self._wanted)]
        while not self._ending.is_set():
            await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, number: int) -> None:
        await asyncio.sleep(number / 1000)  # a thousand a second
        while True:
            with contextlib.suppress(OSError):
                await self._connection()
            await asyncio.sleep(0.5)

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.open += 1
        self.most_at_once = max(self.most_at_once, self.open)
        try:
            writer.write(_HEAD)
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 5)
        finally:
            self.open -= 1
            writer.close()


@contextmanager
def _slow_connections(port: int, wanted: int) -> Iterator[_Slow]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted + 1000:
        pytest.skip(f"no more than {hard} open files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 1000), hard))
    slow = _Slow(port, wanted)
    slow.start()
    try:
        yield slow
    finally:
        slow.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


SPOOL_FAULTS = (killed_with_a_full_spool, spool_disk_full)
INGEST_FAULTS = (slow_connections, clocks_apart)
