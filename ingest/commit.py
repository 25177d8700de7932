"""Group commit: hits of the same few milliseconds share one Kafka record a partition, and its acknowledgement.

While a record of a partition is under way the next one fills, so load makes records larger, not more numerous. A hit
stays here until Kafka has it: a record that failed is sent again, in front of what came after it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

import structlog

from ingest.metrics import Metrics
from ingest.publisher import Publisher, is_too_large
from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import HITS, delivery_partition

log = structlog.get_logger()

# Half of Kafka's default limit on a record (1 MB), which leaves room for its envelope; halved again when refused.
_RECORD_BYTES = 512 * 1024
_SWEEP_SECONDS = 0.02  # how late the answer to a hit may be when Kafka is away
_RETRY_SECONDS = 0.1


class Fate(Enum):
    """What had become of a hit when its requester was answered."""

    RECORDED = "recorded"
    UNACKNOWLEDGED = "unacknowledged"
    LOST = "refused"


Waiter = asyncio.Future[Fate]


@dataclass(slots=True)
class _Hit:
    line: bytes
    waiter: Waiter


@dataclass(slots=True)
class _Lane:
    """One partition: the hits that wait for its next record, and whether a record is under way."""

    partition: int
    waiting: list[_Hit] = field(default_factory=list)
    since: float = 0.0
    under_way: bool = False


class GroupCommit:
    """Takes hits one at a time, gives them to Kafka in batches. All on the event loop, after `start`."""

    def __init__(self, settings: Settings, publisher: Publisher, metrics: Metrics) -> None:
        self.in_flight = 0
        self._publisher = publisher
        self._metrics = metrics
        self._limit = settings.in_flight_hits
        self._within = settings.answer_within_ms / 1000
        self._gather = settings.group_commit_ms / 1000
        self._partitions = settings.partitions_of(HITS)
        self._record_bytes = _RECORD_BYTES
        self._lanes = [_Lane(number) for number in range(self._partitions)]
        self._ready: list[_Lane] = []
        self._ticking = False
        self._deadlines: deque[tuple[float, Waiter]] = deque()
        self._sweeping = False
        self._drained: asyncio.Event | None = None
        metrics.watch_in_flight(lambda: self.in_flight)

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def stop(self, patience: float) -> None:
        """Wait up to `patience` seconds until Kafka has every hit; what it has not is counted as lost."""
        self._drained = asyncio.Event()
        if self.in_flight:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), patience)
        if self.in_flight:
            self._metrics.lost.labels("shutdown").inc(self.in_flight)
            log.error("stopped before Kafka took every hit", hits=self.in_flight)

    def add(self, delivery_id: str, line: bytes) -> Waiter | None:
        """Record a hit: await what is returned, then answer. None when too many are in flight: it is not recorded.

        `line` is the hit as one line of NDJSON. This is the place of a spool: what is refused, or not acknowledged
        in time, is known here and nowhere else.
        """
        if self.in_flight >= self._limit:
            return None
        self.in_flight += 1
        now = self._loop.time()
        waiter: Waiter = self._loop.create_future()
        lane = self._lanes[delivery_partition(delivery_id, self._partitions)]
        if not lane.waiting:
            lane.since = now
            if not lane.under_way:
                self._make_ready(lane, self._gather)
        lane.waiting.append(_Hit(line, waiter))
        self._deadlines.append((now + self._within, waiter))
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(self._within, self._sweep)
        return waiter

    def _make_ready(self, lane: _Lane, after: float) -> None:
        self._ready.append(lane)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(after, self._tick)

    def _tick(self) -> None:
        """Send one record for each partition that has hits waiting and none under way."""
        self._ticking = False
        lanes, self._ready = self._ready, []
        for lane in lanes:
            batch = self._take(lane)
            value = b"".join([hit.line for hit in batch])
            try:
                self._publisher.send(HITS, lane.partition, None, value, partial(self._done, lane, batch, lane.since))
            except Retry:
                lane.waiting[:0] = batch
                self._make_ready(lane, _RETRY_SECONDS)
            else:
                lane.under_way = True

    def _take(self, lane: _Lane) -> list[_Hit]:
        """The lane's oldest hits, as many as one record holds, at least one."""
        size = 0
        for count, hit in enumerate(lane.waiting):
            size += len(hit.line)
            if size > self._record_bytes and count:
                batch, lane.waiting = lane.waiting[:count], lane.waiting[count:]
                return batch
        batch, lane.waiting = lane.waiting, []
        return batch

    def _done(self, lane: _Lane, batch: list[_Hit], since: float, error: Exception | None) -> None:
        lane.under_way = False
        if error is None:
            self._metrics.ack_seconds.observe(self._loop.time() - since)
            self._metrics.batch_hits.observe(len(batch))
            self._settle(batch, Fate.RECORDED)
        elif is_too_large(error) and len(batch) == 1:
            self._metrics.lost.labels("too-large").inc()
            log.error("Kafka takes no record of this size, a hit is lost", size=len(batch[0].line))
            self._settle(batch, Fate.LOST)
        else:
            if is_too_large(error):
                self._record_bytes = max(1, min(self._record_bytes, sum(len(hit.line) for hit in batch)) // 2)
            log.warning("a record of hits failed, sending it again", hits=len(batch), error=repr(error))
            lane.waiting[:0] = batch
            lane.since = since
        if lane.waiting:
            self._make_ready(lane, self._gather if error is None else _RETRY_SECONDS)

    def _settle(self, batch: list[_Hit], fate: Fate) -> None:
        self.in_flight -= len(batch)
        if self._drained is not None and not self.in_flight:
            self._drained.set()
        for hit in batch:
            if not hit.waiter.done():
                hit.waiter.set_result(fate)

    def _sweep(self) -> None:
        """Let those go who have waited long enough; the hits stay until Kafka has them."""
        deadlines, now = self._deadlines, self._loop.time()
        while deadlines and (deadlines[0][0] <= now or deadlines[0][1].done()):
            _, waiter = deadlines.popleft()
            if not waiter.done():
                waiter.set_result(Fate.UNACKNOWLEDGED)
        self._sweeping = bool(deadlines)
        if deadlines:
            self._loop.call_later(max(_SWEEP_SECONDS, deadlines[0][0] - now), self._sweep)
