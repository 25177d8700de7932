"""Replay: gives Kafka what the spool holds, oldest first, and takes it off the disk once Kafka has it.

Hits of one partition keep their order; new hits do not wait for old ones. Records are written at the time of the
replay, so the judge's settle delay and its view of deliveries count from then, while each hit keeps its own time. What
a crash interrupts is replayed again from the beginning of its file: the same hits with the same ids.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator

import msgspec
import structlog

from ingest.metrics import Metrics
from ingest.publisher import Publisher, is_too_large
from ingest.segment import Frame
from ingest.spool import Spool, Stored
from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import HITS, delivery_partition

log = structlog.get_logger()

# Small beside a record of live hits, which share the connection.
_RECORD_BYTES = 128 * 1024
_RETRY_SECONDS = 0.2
# How often to look for the files of another process of this machine that is gone.
_LOOK_SECONDS = 5.0


class _Owner(msgspec.Struct):
    delivery_id: str


_owner = msgspec.json.Decoder(_Owner).decode


class Replay:
    """Works for as long as it is started. `heard` is called with a partition whenever Kafka has taken hits of it."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        publisher: Publisher,
        metrics: Metrics,
        heard: Callable[[int], None],
    ) -> None:
        self._spool = spool
        self._publisher = publisher
        self._metrics = metrics
        self._heard = heard
        self._partitions = settings.partitions_of(HITS)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Stop where it is. What Kafka has not confirmed stays in the spool."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while True:
            try:
                await self._spool.adopt()
                self._spool.filled.clear()
                while (found := await self._spool.oldest()) is not None:
                    await self._replay(*found)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._spool.filled.wait(), _LOOK_SECONDS)
            except OSError as error:
                log.error("the spool can't be read, trying again", error=repr(error))
                await asyncio.sleep(_LOOK_SECONDS)

    async def _replay(self, stored: Stored, frames: list[Frame]) -> None:
        # Kafka may have taken some of it after all: its answer comes when it is back, or when the producer gives up.
        late = {place for place, answer in stored.answers.items() if await asyncio.shield(answer)}
        left = [frame for place, frame in enumerate(frames) if place not in late]
        lanes: defaultdict[int, list[bytes]] = defaultdict(list)
        for frame in left:
            for partition, lines in self._divided(frame):
                lanes[partition].append(lines)
        await asyncio.gather(*(self._lane(partition, values) for partition, values in lanes.items()))
        await self._spool.remove(stored)
        if left:
            log.info("replayed hits from the spool", hits=sum(frame.hits for frame in left))

    def _divided(self, frame: Frame) -> Iterator[tuple[int, bytes]]:
        """The frame's hits by partition: one, unless the topic was divided otherwise when they were spooled."""
        if frame.partitions == self._partitions:
            yield frame.partition, frame.value
            return
        for line in frame.value.splitlines(keepends=True):
            yield delivery_partition(_owner(line).delivery_id, self._partitions), line

    async def _lane(self, partition: int, values: list[bytes]) -> None:
        """Write one partition's hits, one record after the other, each until Kafka has it."""
        records = deque(_joined(values))
        while records:
            value = records.popleft()
            error = await self._written(partition, value)
            if error is None:
                self._metrics.spool_replayed.inc(value.count(b"\n"))
                self._heard(partition)
                continue
            lines = value.splitlines(keepends=True)
            if not is_too_large(error):
                records.appendleft(value)
                await asyncio.sleep(_RETRY_SECONDS)
            elif len(lines) > 1:
                half = len(lines) // 2
                records.extendleft((b"".join(lines[half:]), b"".join(lines[:half])))
            else:
                self._metrics.lost.labels("too-large").inc()
                log.error("Kafka takes no record of this size, a spooled hit is lost", size=len(value))

    async def _written(self, partition: int, value: bytes) -> Exception | None:
        answer: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

        def done(error: Exception | None) -> None:
            if not answer.done():
                answer.set_result(error)

        try:
            self._publisher.send(HITS, partition, None, value, done)
        except Retry as error:
            return error
        return await answer


def _joined(values: list[bytes]) -> Iterator[bytes]:
    """The values in order, as many in one record as it should hold."""
    some: list[bytes] = []
    size = 0
    for value in values:
        if some and size + len(value) > _RECORD_BYTES:
            yield b"".join(some)
            some, size = [], 0
        some.append(value)
        size += len(value)
    if some:
        yield b"".join(some)
