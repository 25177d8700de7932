"""Group commit: hits of the same moment share one Kafka record a partition, and its acknowledgement.

While a record of a partition is under way the next one fills, so load makes records larger, not more numerous. A
partition that does not answer in time is away: what waits for it goes to the spool, and what comes then goes there at
once, until Kafka has answered for that partition.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import structlog

from ingest.hits.segment import Frame
from ingest.hits.spool import Answer, Spool
from ingest.metrics import IngestMetrics
from schemas.errors import Reject, Retry
from schemas.settings import Settings
from schemas.topics import HITS, delivery_partition
from stream.publisher import Answer as Said
from stream.publisher import Publisher

log = structlog.get_logger()

# Half of Kafka's default limit on a record (1 MB), which leaves room for its envelope; halved when it is refused, and
# whole again a while later: an operator may have raised the limit.
_RECORD_BYTES = 512 * 1024
_HALVED_SECONDS = 60.0
_SWEEP_SECONDS = 0.02  # how late the answer to a hit may be when Kafka is away
_RETRY_SECONDS = 0.1
_DISK_SECONDS = 10.0  # a disk that hangs for longer is answered for: nothing is promised then
_AWAY_SECONDS = 1.0  # for how long hits of a partition that is away go to the spool unasked


class CommitResult(StrEnum):
    """Where a hit was when its request was answered; each result is counted."""

    RECORDED = "recorded"
    SPOOLED = "spooled"
    UNACKNOWLEDGED = "unacknowledged"
    LOST = "refused"
    SHED = "shed"

    @property
    def safe(self) -> bool:
        """Whether the hit is where it survives this process: in Kafka, or on disk."""
        return self in (CommitResult.RECORDED, CommitResult.SPOOLED)


Waiter = asyncio.Future[CommitResult]
_Hit = tuple[bytes, Waiter]  # a line of NDJSON, and who waits for it


@dataclass(slots=True, eq=False)
class _Batch:
    """Hits that share a record. `since`: when the oldest came. `answer`: Kafka's, once they were spooled meanwhile."""

    hits: list[_Hit]
    since: float
    offered: bool = False
    answer: Answer | None = None


@dataclass(slots=True)
class _PartitionBuffer:
    """One partition: the hits that wait for its next record, the record in flight, until when it counts as away."""

    partition: int
    waiting: list[_Hit] = field(default_factory=list)
    since: float = 0.0
    under_way: _Batch | None = None
    away_until: float = 0.0
    ready: bool = False


class GroupCommit:
    """Takes hits one at a time, gives them to Kafka or the spool in batches. All on the event loop, after `start`."""

    def __init__(self, settings: Settings, publisher: Publisher, spool: Spool, metrics: IngestMetrics) -> None:
        self.in_flight = 0
        self._publisher = publisher
        self._spool = spool
        self._metrics = metrics
        self._limit = settings.in_flight_hits
        self._within = settings.answer_within_ms / 1000
        self._gather = settings.group_commit_ms / 1000
        self._partitions = settings.partitions_of(HITS)
        self._record_bytes = _RECORD_BYTES
        self._halved_until = 0.0
        self._buffers = [_PartitionBuffer(number) for number in range(self._partitions)]
        self._ready: list[_PartitionBuffer] = []
        self._ticking = False
        self.to_spool = False  # all that comes, without asking Kafka
        self._spooling: set[_Batch] = set()
        self._sweeping = False
        self._drained: asyncio.Event | None = None
        metrics.watch_in_flight(lambda: self.in_flight)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def stop(self, patience: float) -> None:
        """See every hit into Kafka or the spool: up to `patience` seconds for Kafka, and as many for the disk."""
        self._drained = asyncio.Event()
        for kafka_may_answer in (True, False):
            if not kafka_may_answer:
                self._sweep(every=True)
            if self.in_flight:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._drained.wait(), patience)
        if self.in_flight:
            self._metrics.lost.labels("shutdown").inc(self.in_flight)
            log.error("stopped before every hit was safe", hits=self.in_flight)

    def add(self, delivery_id: str, line: bytes) -> Waiter | None:
        """Record a hit: await what is returned, then answer. None when too many are in flight: it is not recorded.

        `line` is the hit as one line of NDJSON.
        """
        if self.in_flight >= self._limit:
            return None
        self.in_flight += 1
        waiter: Waiter = self._loop.create_future()
        buffer = self._buffers[delivery_partition(delivery_id, self._partitions)]
        if not buffer.waiting:
            buffer.since = self._loop.time()
            if buffer.under_way is None or buffer.under_way.offered:
                self._make_ready(buffer, self._gather)
        buffer.waiting.append((line, waiter))
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(self._within, self._sweep)
        return waiter

    @property
    def away(self) -> list[int]:
        """The partitions whose hits go to the spool now."""
        now = self._loop.time()
        return [
            buffer.partition
            for buffer in self._buffers
            if now < buffer.away_until or (buffer.under_way is not None and buffer.under_way.offered)
        ]

    def heard(self, partition: int) -> None:
        """Kafka has taken hits of this partition: it is there, and new hits are for Kafka again."""
        self._buffers[partition].away_until = 0.0

    def _make_ready(self, buffer: _PartitionBuffer, after: float) -> None:
        if not buffer.ready:
            buffer.ready = True
            self._ready.append(buffer)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(after, self._tick)

    def _tick(self) -> None:
        """Send one record for each partition that has hits waiting and none under way; spool for those away."""
        self._ticking = False
        buffers, self._ready = self._ready, []
        now = self._loop.time()
        for buffer in buffers:
            buffer.ready = False
            if self.to_spool or self._is_away(buffer, now):
                self._spool_waiting(buffer)
            elif buffer.waiting and buffer.under_way is None:
                self._send(buffer)

    def _is_away(self, buffer: _PartitionBuffer, now: float) -> bool:
        return buffer.under_way.offered if buffer.under_way is not None else now < buffer.away_until

    def _send(self, buffer: _PartitionBuffer) -> None:
        batch = self._take(buffer)
        value = b"".join([line for line, _ in batch.hits])
        try:
            self._publisher.send(HITS, buffer.partition, None, value, partial(self._done, buffer, batch))
        except Retry:
            buffer.away_until = self._loop.time() + _AWAY_SECONDS
            self._to_spool(buffer, batch)
            self._spool_waiting(buffer)
        except Reject:
            self._too_large(buffer, batch)
            self._send_soon(buffer, _RETRY_SECONDS)
        else:
            buffer.under_way = batch

    def _take(self, buffer: _PartitionBuffer) -> _Batch:
        """The lane's oldest hits, as many as one record holds, at least one."""
        if self._record_bytes < _RECORD_BYTES and self._loop.time() > self._halved_until:
            self._record_bytes = _RECORD_BYTES
        size, since = 0, buffer.since
        for count, (line, _) in enumerate(buffer.waiting):
            size += len(line)
            if size > self._record_bytes and count:
                hits, buffer.waiting = buffer.waiting[:count], buffer.waiting[count:]
                return _Batch(hits, since)
        hits, buffer.waiting = buffer.waiting, []
        return _Batch(hits, since)

    def _done(self, buffer: _PartitionBuffer, batch: _Batch, said: Said) -> None:
        if buffer.under_way is batch:
            buffer.under_way = None
        if said is None:
            buffer.away_until = 0.0
            self._metrics.ack_seconds.observe(self._loop.time() - batch.since)
            self._metrics.batch_hits.observe(len(batch.hits))
        if batch.answer is not None and not batch.answer.done():
            batch.answer.set_result(said is None)
        if said is None:
            self._settle(batch, CommitResult.RECORDED)
        elif batch.offered:
            pass  # the spool has it, or has refused it and said so
        elif isinstance(said, Reject):
            self._too_large(buffer, batch)
        else:
            log.warning("a record of hits failed, sending it again", hits=len(batch.hits), why=str(said))
            self._put_back(buffer, batch)
        # Hits that came while it was in flight have gathered since then.
        gathered = max(0.0, buffer.since + self._gather - self._loop.time())
        self._send_soon(buffer, gathered if said is None else _RETRY_SECONDS)

    def _too_large(self, buffer: _PartitionBuffer, batch: _Batch) -> None:
        """Kafka takes no record of this size: try smaller ones; a hit alone waits on disk until it takes more."""
        if len(batch.hits) == 1:
            self._to_spool(buffer, batch)
            return
        size = sum(len(line) for line, _ in batch.hits)
        self._record_bytes = max(1, min(self._record_bytes, size) // 2)
        self._halved_until = self._loop.time() + _HALVED_SECONDS
        log.warning("Kafka takes smaller records of hits only", hits=len(batch.hits), size=size)
        self._put_back(buffer, batch)

    def _put_back(self, buffer: _PartitionBuffer, batch: _Batch) -> None:
        buffer.waiting[:0] = batch.hits
        buffer.since = batch.since

    def _send_soon(self, buffer: _PartitionBuffer, after: float) -> None:
        if buffer.waiting:
            self._make_ready(buffer, after)

    def _spool_waiting(self, buffer: _PartitionBuffer) -> None:
        while buffer.waiting:
            self._to_spool(buffer, self._take(buffer))

    def _to_spool(self, buffer: _PartitionBuffer, batch: _Batch) -> None:
        """Have the hits written to disk; their requests are answered after that."""
        batch.offered = True
        if buffer.under_way is batch:
            batch.answer = self._loop.create_future()
        value = b"".join([line for line, _ in batch.hits])
        at = time.time() - (self._loop.time() - batch.since)
        frame = Frame(value, len(batch.hits), buffer.partition, self._partitions, at)
        self._spooling.add(batch)
        self._spool.offer(frame, batch.answer).add_done_callback(partial(self._spooled, batch))

    def _spooled(self, batch: _Batch, kept: asyncio.Future[bool]) -> None:
        self._spooling.discard(batch)
        if kept.result():
            self._settle(batch, CommitResult.SPOOLED)
        else:  # what is under way can't be called back
            self._settle(batch, CommitResult.UNACKNOWLEDGED if batch.answer is not None else CommitResult.LOST)

    def _settle(self, batch: _Batch, commit_result: CommitResult) -> None:
        """Answer those who wait. Twice for a batch that Kafka and the spool both took; the first counts."""
        hits, batch.hits = batch.hits, []
        self.in_flight -= len(hits)
        if self._drained is not None and not self.in_flight:
            self._drained.set()
        for _, waiter in hits:
            if not waiter.done():
                waiter.set_result(commit_result)

    def _sweep(self, every: bool = False) -> None:
        """Spool what Kafka has not answered for in time; let those go whom not even the disk answers."""
        now = self._loop.time()
        late = now if every else now - self._within
        for buffer in self._buffers:
            batch = buffer.under_way
            if batch is not None and not batch.offered and batch.since <= late:
                log.warning("Kafka does not answer, hits go to the spool", partition=buffer.partition)
                buffer.away_until = now + _AWAY_SECONDS
                self._to_spool(buffer, batch)
            if buffer.waiting and (buffer.since <= late or (buffer.under_way is not None and buffer.under_way.offered)):
                self._spool_waiting(buffer)
        for batch in self._spooling:
            if batch.since <= now - self._within - _DISK_SECONDS:
                for _, waiter in batch.hits:
                    if not waiter.done():
                        waiter.set_result(CommitResult.UNACKNOWLEDGED)
        if not every:
            self._sweeping = self.in_flight > 0
            if self._sweeping:
                self._loop.call_later(_SWEEP_SECONDS, self._sweep)
