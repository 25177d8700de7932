"""Replay: gives Kafka what the spool holds, oldest first, and takes it off the disk once Kafka has it.

Hits of one partition keep their order; new hits do not wait for old ones. Records are written at the time of the
replay, so the judge's settle delay and its view of deliveries count from then, while each hit keeps its own time. What
a crash interrupts is replayed again from the beginning of its file: the same hits with the same ids. A hit that is too
large for Kafka goes to the spool's end, and is tried again: an operator can raise the limit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator

import msgspec
import structlog

from ingest.hits.segment import Frame
from ingest.hits.spool import Spool, SpoolFile
from ingest.metrics import IngestMetrics
from schemas.errors import Reject, Retry
from schemas.settings import Settings
from schemas.topics import HITS, delivery_partition
from stream.publisher import Answer as Said
from stream.publisher import Publisher

log = structlog.get_logger()

# Small beside a record of live hits, which share the connection.
_RECORD_BYTES = 128 * 1024
_RETRY_SECONDS = 0.2
# How long to rest when nothing of a file was taken.
_REFUSED_SECONDS = 5.0
# How often to look for the files of another process of this machine that is gone.
_LOOK_SECONDS = 5.0

_RAISE = "raise max.message.bytes of topic hits: `sendlens migrate`"


class _KeyOwner(msgspec.Struct):
    delivery_id: str


_owner = msgspec.json.Decoder(_KeyOwner).decode


class SpoolReplay:
    """Works for as long as it is started. `heard` is called with a partition whenever Kafka has taken hits of it."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        publisher: Publisher,
        metrics: IngestMetrics,
        heard: Callable[[int], None],
    ) -> None:
        self._spool = spool
        self._publisher = publisher
        self._metrics = metrics
        self._heard = heard
        self._partitions = settings.partitions_of(HITS)
        self._task: asyncio.Task[None] | None = None
        self._is_last = False  # the file that is replayed now

    def start(self) -> None:
        self._is_last = False
        self._task = asyncio.create_task(self._work())

    async def finish(self, patience: float) -> None:
        """Stop after the file that is replayed now, or after `patience` seconds: it is then replayed again, whole."""
        self._is_last = True
        self._spool.filled.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=patience)
        await self.stop()

    async def stop(self) -> None:
        """Stop where it is. What Kafka has not confirmed stays in the spool."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self) -> None:
        while not self._is_last:
            try:
                await self._spool.adopt()
                self._spool.filled.clear()
                while not self._is_last and (found := await self._spool.oldest()) is not None:
                    if not await self._replay(*found):
                        await asyncio.sleep(_REFUSED_SECONDS)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._spool.filled.wait(), _LOOK_SECONDS)
            except OSError as error:
                log.error("the spool can't be read, trying again", error=repr(error))
                await asyncio.sleep(_LOOK_SECONDS)

    async def _replay(self, stored: SpoolFile, frames: list[Frame]) -> bool:
        """Give Kafka what the file holds; False when it took none of it."""
        # Kafka may have taken some of it after all: its answer comes when it is back, or when the producer gives up.
        late = {place for place, answer in stored.answers.items() if await asyncio.shield(answer)}
        left = [frame for place, frame in enumerate(frames) if place not in late]
        buffers: defaultdict[int, list[bytes]] = defaultdict(list)
        for frame in left:
            for partition, lines in self._divided(frame):
                buffers[partition].append(lines)
        refused = await asyncio.gather(*(self._partition(partition, values) for partition, values in buffers.items()))
        kept = {partition: lines for partition, lines in zip(buffers, refused, strict=True) if lines}
        if not await self._keep(kept, stored.segment.oldest_at):
            return False
        await self._spool.remove(stored)
        hits, again = sum(frame.hits for frame in left), sum(map(len, kept.values()))
        if again:
            log.error("Kafka takes no record of their size: hits stay in the spool", hits=again, then=_RAISE)
        if hits > again:
            log.info("replayed hits from the spool", hits=hits - again)
        return hits > again or not left

    async def _keep(self, refused: dict[int, list[bytes]], at: float) -> bool:
        """Put hits at the spool's end; False when it does not take them, and they must stay where they are."""
        frames = [
            Frame(line, 1, partition, self._partitions, at) for partition, lines in refused.items() for line in lines
        ]
        return all(await asyncio.gather(*(self._spool.offer(frame, moved=True) for frame in frames)))

    def _divided(self, frame: Frame) -> Iterator[tuple[int, bytes]]:
        """The frame's hits by partition: one, unless the topic was divided otherwise when they were spooled."""
        if frame.partitions == self._partitions:
            yield frame.partition, frame.value
            return
        for line in frame.value.splitlines(keepends=True):
            yield delivery_partition(_owner(line).delivery_id, self._partitions), line

    async def _partition(self, partition: int, values: list[bytes]) -> list[bytes]:
        """Write one partition's hits, one record after the other, each until Kafka has it; returns those that are too
        large for it alone."""
        refused: list[bytes] = []
        records = deque(_joined(values))
        while records:
            value = records.popleft()
            said = await self._written(partition, value)
            if said is None:
                self._metrics.spool_replayed.inc(value.count(b"\n"))
                self._heard(partition)
                continue
            lines = value.splitlines(keepends=True)
            if isinstance(said, Retry):
                records.appendleft(value)
                await asyncio.sleep(_RETRY_SECONDS)
            elif len(lines) > 1:
                half = len(lines) // 2
                records.extendleft((b"".join(lines[half:]), b"".join(lines[:half])))
            else:
                refused.append(value)
        return refused

    async def _written(self, partition: int, value: bytes) -> Said:
        answer: asyncio.Future[Said] = asyncio.get_running_loop().create_future()

        def done(said: Said) -> None:
            if not answer.done():
                answer.set_result(said)

        try:
            self._publisher.send(HITS, partition, None, value, done)
        except (Retry, Reject) as said:
            return said
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
