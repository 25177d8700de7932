"""Group commit: hits of the same few milliseconds share one Kafka record a partition, and its acknowledgement.

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

from ingest.metrics import Metrics
from ingest.publisher import Publisher, is_too_large
from ingest.segment import Frame
from ingest.spool import Answer, Spool
from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import HITS, delivery_partition

log = structlog.get_logger()

# Half of Kafka's default limit on a record (1 MB), which leaves room for its envelope; halved again when refused.
_RECORD_BYTES = 512 * 1024
_SWEEP_SECONDS = 0.02  # how late the answer to a hit may be when Kafka is away
_RETRY_SECONDS = 0.1
_DISK_SECONDS = 10.0  # a disk that hangs for longer is answered for: nothing is promised then
_AWAY_SECONDS = 1.0  # for how long hits of a partition that is away go to the spool unasked


class Fate(StrEnum):
    """What had become of a hit when its requester was answered; one of the results that are counted."""

    RECORDED = "recorded"
    SPOOLED = "spooled"
    UNACKNOWLEDGED = "unacknowledged"
    LOST = "refused"
    SHED = "shed"

    @property
    def safe(self) -> bool:
        """Whether the hit is where it survives this process: in Kafka, or on disk."""
        return self in (Fate.RECORDED, Fate.SPOOLED)


Waiter = asyncio.Future[Fate]
_Hit = tuple[bytes, Waiter]  # a line of NDJSON, and who waits for it


@dataclass(slots=True, eq=False)
class _Batch:
    """Hits that share a record. `since`: when the oldest came. `answer`: Kafka's, once they were spooled meanwhile."""

    hits: list[_Hit]
    since: float
    offered: bool = False
    answer: Answer | None = None


@dataclass(slots=True)
class _Lane:
    """One partition: the hits that wait for its next record, the record under way, until when it counts as away."""

    partition: int
    waiting: list[_Hit] = field(default_factory=list)
    since: float = 0.0
    under_way: _Batch | None = None
    away_until: float = 0.0
    ready: bool = False


class GroupCommit:
    """Takes hits one at a time, gives them to Kafka or the spool in batches. All on the event loop, after `start`."""

    def __init__(self, settings: Settings, publisher: Publisher, spool: Spool, metrics: Metrics) -> None:
        self.in_flight = 0
        self._publisher = publisher
        self._spool = spool
        self._metrics = metrics
        self._limit = settings.in_flight_hits
        self._within = settings.answer_within_ms / 1000
        self._gather = settings.group_commit_ms / 1000
        self._partitions = settings.partitions_of(HITS)
        self._record_bytes = _RECORD_BYTES
        self._lanes = [_Lane(number) for number in range(self._partitions)]
        self._ready: list[_Lane] = []
        self._ticking = False
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
        lane = self._lanes[delivery_partition(delivery_id, self._partitions)]
        if not lane.waiting:
            lane.since = self._loop.time()
            if lane.under_way is None or lane.under_way.offered:
                self._make_ready(lane, self._gather)
        lane.waiting.append((line, waiter))
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(self._within, self._sweep)
        return waiter

    def heard(self, partition: int) -> None:
        """Kafka has taken hits of this partition: it is there, and new hits are for Kafka again."""
        self._lanes[partition].away_until = 0.0

    def _make_ready(self, lane: _Lane, after: float) -> None:
        if not lane.ready:
            lane.ready = True
            self._ready.append(lane)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(after, self._tick)

    def _tick(self) -> None:
        """Send one record for each partition that has hits waiting and none under way; spool for those away."""
        self._ticking = False
        lanes, self._ready = self._ready, []
        now = self._loop.time()
        for lane in lanes:
            lane.ready = False
            if lane.under_way.offered if lane.under_way is not None else now < lane.away_until:
                self._spool_waiting(lane)
            elif lane.waiting and lane.under_way is None:
                self._send(lane)

    def _send(self, lane: _Lane) -> None:
        batch = self._take(lane)
        value = b"".join([line for line, _ in batch.hits])
        try:
            self._publisher.send(HITS, lane.partition, None, value, partial(self._done, lane, batch))
        except Retry:
            lane.away_until = self._loop.time() + _AWAY_SECONDS
            self._to_spool(lane, batch)
            self._spool_waiting(lane)
        else:
            lane.under_way = batch

    def _take(self, lane: _Lane) -> _Batch:
        """The lane's oldest hits, as many as one record holds, at least one."""
        size, since = 0, lane.since
        for count, (line, _) in enumerate(lane.waiting):
            size += len(line)
            if size > self._record_bytes and count:
                hits, lane.waiting = lane.waiting[:count], lane.waiting[count:]
                return _Batch(hits, since)
        hits, lane.waiting = lane.waiting, []
        return _Batch(hits, since)

    def _done(self, lane: _Lane, batch: _Batch, error: Exception | None) -> None:
        if lane.under_way is batch:
            lane.under_way = None
        if error is None:
            lane.away_until = 0.0
            self._metrics.ack_seconds.observe(self._loop.time() - batch.since)
            self._metrics.batch_hits.observe(len(batch.hits))
        if batch.answer is not None and not batch.answer.done():
            batch.answer.set_result(error is None)
        if error is None:
            self._settle(batch, Fate.RECORDED)
        elif batch.offered:
            pass  # the spool has it, or has refused it and said so
        elif is_too_large(error) and len(batch.hits) == 1:
            self._metrics.lost.labels("too-large").inc()
            log.error("Kafka takes no record of this size, a hit is lost", size=len(batch.hits[0][0]))
            self._settle(batch, Fate.LOST)
        else:
            if is_too_large(error):
                self._record_bytes = max(1, min(self._record_bytes, sum(len(line) for line, _ in batch.hits)) // 2)
            log.warning("a record of hits failed, sending it again", hits=len(batch.hits), error=repr(error))
            lane.waiting[:0] = batch.hits
            lane.since = batch.since
        if lane.waiting:
            self._make_ready(lane, self._gather if error is None else _RETRY_SECONDS)

    def _spool_waiting(self, lane: _Lane) -> None:
        while lane.waiting:
            self._to_spool(lane, self._take(lane))

    def _to_spool(self, lane: _Lane, batch: _Batch) -> None:
        """Have the hits written to disk; whoever waits for them is answered after that."""
        batch.offered = True
        if lane.under_way is batch:
            batch.answer = self._loop.create_future()
        value = b"".join([line for line, _ in batch.hits])
        at = time.time() - (self._loop.time() - batch.since)
        frame = Frame(value, len(batch.hits), lane.partition, self._partitions, at)
        self._spooling.add(batch)
        self._spool.offer(frame, batch.answer).add_done_callback(partial(self._spooled, batch))

    def _spooled(self, batch: _Batch, kept: asyncio.Future[bool]) -> None:
        self._spooling.discard(batch)
        if kept.result():
            self._settle(batch, Fate.SPOOLED)
        else:  # what is under way can't be called back
            self._settle(batch, Fate.UNACKNOWLEDGED if batch.answer is not None else Fate.LOST)

    def _settle(self, batch: _Batch, fate: Fate) -> None:
        """Answer those who wait. Twice for a batch that Kafka and the spool both took; the first counts."""
        hits, batch.hits = batch.hits, []
        self.in_flight -= len(hits)
        if self._drained is not None and not self.in_flight:
            self._drained.set()
        for _, waiter in hits:
            if not waiter.done():
                waiter.set_result(fate)

    def _sweep(self, every: bool = False) -> None:
        """Spool what Kafka has not answered for in time; let those go whom not even the disk answers."""
        now = self._loop.time()
        late = now if every else now - self._within
        for lane in self._lanes:
            batch = lane.under_way
            if batch is not None and not batch.offered and batch.since <= late:
                log.warning("Kafka does not answer, hits go to the spool", partition=lane.partition)
                lane.away_until = now + _AWAY_SECONDS
                self._to_spool(lane, batch)
            if lane.waiting and (lane.since <= late or (lane.under_way is not None and lane.under_way.offered)):
                self._spool_waiting(lane)
        for batch in self._spooling:
            if batch.since <= now - self._within - _DISK_SECONDS:
                for _, waiter in batch.hits:
                    if not waiter.done():
                        waiter.set_result(Fate.UNACKNOWLEDGED)
        if not every:
            self._sweeping = self.in_flight > 0
            if self._sweeping:
                self._loop.call_later(_SWEEP_SECONDS, self._sweep)
