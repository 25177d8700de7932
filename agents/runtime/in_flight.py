"""A stage's queue of in-flight records: holds them unacknowledged, passes them on in batches, acknowledges in order.

Knows neither Faust nor Kafka: it is given records, each with a way to acknowledge it, a handler and a way to publish.
A record is acknowledged only after its results have been written, so a kill at any point loses nothing. A record that
is handled twice does no harm: ids are derived from their cause.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import structlog

from agents.pipeline import BatchPolicy
from agents.runtime.metrics import DEAD_LETTERS, HANDLED, IN_FLIGHT, RETRIES
from schemas.errors import Misconfigured, Reject, Retry
from stream.records import Handler, HandleResult, OutRecord, PoisonRecord, Record, poison

log = structlog.get_logger()
T = TypeVar("T")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
# Records differ a thousandfold in size, so their number alone bounds nothing. Half a million hits: five seconds of more
# than a worker judges.
_IN_FLIGHT_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class InFlightRecord:
    """A record in the queue. `generation` is the queue's when it was added: a rebalance makes older entries stale."""

    record: Record
    ack: Callable[[], object]
    generation: int
    due: float
    joined: float
    came: float  # as `joined`, but by the monotonic clock


class InFlightQueue:
    """One stage's queue. Feed it from the agents, run it as a task, stop it before the consumer stops.

    `settle` and `wait` are seconds; `clock` gives epoch seconds; `write` returns when the broker has acknowledged all.
    """

    def __init__(
        self,
        stage: str,
        policy: BatchPolicy,
        handler: Handler,
        write: Callable[[Sequence[OutRecord], Sequence[PoisonRecord]], Awaitable[None]],
        *,
        settle: float = 0.0,
        wait: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stage = stage
        self._policy = policy
        self._handler = handler
        self._write = write
        self._settle = settle if policy.settle else 0.0
        self._wait = wait if policy.wait else 0.0
        self._clock = clock
        self._entries: deque[InFlightRecord] = deque()
        self._bytes = 0
        self._called: asyncio.Queue[tuple[list[InFlightRecord], asyncio.Task[bool]] | None] = asyncio.Queue()
        self._under_way: deque[list[InFlightRecord]] = deque()  # of calls, until they are acknowledged
        self._outside: dict[tuple[str, int], int] = {}  # offsets that wait for room, one of a topic
        self._slots = asyncio.Semaphore(policy.calls)
        self._room = asyncio.Event()
        self._work = asyncio.Event()
        self._generation = 0
        self._read_until: dict[tuple[str, int], float] = {}
        self._stop_asked = asyncio.Event()
        IN_FLIGHT.labels(stage).set_function(lambda: len(self._entries))
        HANDLED.labels(stage)  # 0 is a figure: a rate needs one to begin at

    async def feed(self, record: Record, ack: Callable[[], object]) -> None:
        """Join the line; waits while it is full, so that the stage stops reading."""
        generation = self._generation
        while len(self._entries) >= self._policy.max_in_flight or self._bytes >= _IN_FLIGHT_BYTES:
            await self._wait_for_room(record)
        if generation != self._generation:
            return  # a rebalance came while this record waited outside: Kafka delivers it again
        now = self._clock()
        # At most a settle delay from now, even if a producer's clock is ahead.
        due = min(record.written_at, now) + self._settle
        self._handler.arrived(record)
        place = (record.topic.name, record.partition)
        self._read_until[place] = max(self._read_until.get(place, 0.0), record.written_at)
        self._entries.append(InFlightRecord(record, ack, generation, due, now, time.monotonic()))
        self._bytes += len(record.value)
        self._work.set()

    def lowest(self) -> dict[tuple[str, int], int]:
        """The lowest offset in flight, or waiting to join, by topic's name and partition. Looks through all of them."""
        lowest = dict(self._outside)
        for entry in chain(self._entries, *self._under_way):
            place = (entry.record.topic.name, entry.record.partition)
            if entry.generation == self._generation and entry.record.offset < lowest.get(place, math.inf):
                lowest[place] = entry.record.offset
        return lowest

    def drop(self) -> None:
        """Drop all in-flight records: after a rebalance Kafka delivers again what was not acknowledged."""
        self._generation += 1
        self._entries.clear()
        self._read_until.clear()
        self._bytes = 0
        self._room.set()

    async def run(self) -> None:
        """Work until `stop`. Ends with an error only when it can't go on at all."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._acknowledge())
            await self._slots.acquire()  # a place first: a group that has left the line can't be dropped any more
            while batch := await self._next_batch():
                self._under_way.append(batch)
                await self._called.put((batch, group.create_task(self._call(batch))))
                await self._slots.acquire()
            await self._called.put(None)

    def stop(self) -> None:
        """Take nothing more; `run` returns when the calls under way have ended."""
        self._stop_asked.set()
        self._room.set()
        self._work.set()

    async def _wait_for_room(self, record: Record) -> None:
        place = (record.topic.name, record.partition)
        self._outside[place] = record.offset
        self._room.clear()
        try:
            await self._room.wait()
        finally:
            del self._outside[place]

    @property
    def _stopping(self) -> bool:
        return self._stop_asked.is_set()

    async def _next_batch(self) -> list[InFlightRecord]:
        """The next records that are due, in arrival order; waits for them."""
        while not self._stopping:
            now = self._clock()
            if not self._entries:
                self._work.clear()
                await self._work.wait()
                continue
            first_due = self._due(self._entries[0])
            if first_due > now:
                await asyncio.sleep(min(first_due - now, 0.25))
                continue
            full_at = self._entries[0].came + self._wait  # what came during the last call has waited already
            while len(self._entries) < self._policy.batch and (left := full_at - time.monotonic()) > 0:
                if self._stopping:
                    break
                await asyncio.sleep(min(left, 0.05))
            now = self._clock()
            batch: list[InFlightRecord] = []
            while self._entries and len(batch) < self._policy.batch and self._due(self._entries[0]) <= now:
                batch.append(self._entries.popleft())
                self._bytes -= len(batch[-1].record.value)
            self._room.set()
            if batch:  # none when a rebalance came while they waited for others
                return batch
        return []

    def _due(self, entry: InFlightRecord) -> float:
        """When a record may be handled: its settle delay is over, and all that was written within it has been read.

        Live the two are one. Of a stage that comes late the second is known as soon as a later record is here, and
        otherwise when none came for a settle delay.
        """
        record = entry.record
        settled = record.written_at + self._settle
        if self._read_until.get((record.topic.name, record.partition), 0.0) > settled:
            return entry.due
        return entry.joined + self._settle

    async def _acknowledge(self) -> None:
        """Acknowledge calls in the order in which their records came, each once it has ended well."""
        gave_up = False
        while (called := await self._called.get()) is not None:
            batch, call = called
            done = await call
            current = batch[0].generation == self._generation
            gave_up = gave_up or (current and not done)
            if current and not gave_up:  # in order, also at the end
                for entry in batch:
                    entry.ack()
            if not gave_up:
                self._under_way.popleft()
            self._slots.release()

    async def _call(self, batch: list[InFlightRecord]) -> bool:
        """Handle a batch and write its results; False when the batch was abandoned before that."""
        records, generation = [entry.record for entry in batch], batch[0].generation
        try:
            handled = await self._handle(records, generation)
            await self._insist(lambda: self._write(handled.out, handled.dead), generation)
        except QueueStopped:
            return False
        for dead in handled.dead:
            DEAD_LETTERS.labels(self._stage, dead.reason).inc()
            log.error(
                "record set aside in topic dead",
                stage=self._stage,
                topic=dead.record.topic.name,
                at=f"{dead.record.partition}/{dead.record.offset}",
                reason=dead.reason,  # what else is known of it may name a recipient: `sendlens dead show` has it
            )
        HANDLED.labels(self._stage).inc(len(records))
        return True

    async def _handle(self, records: list[Record], generation: int) -> HandleResult:
        """Handle a batch; when one of its records is poison, find which by handling each alone."""
        try:
            return await self._insist(lambda: self._handler.handle(records), generation)
        except (QueueStopped, Misconfigured):  # not the records' fault
            raise
        except Exception as error:
            if len(records) == 1:
                return HandleResult(dead=[_blame(records[0], error)])
            log.warning(
                "a group failed, handling its records one by one", stage=self._stage, error=type(error).__name__
            )
        whole = HandleResult()
        for record in records:
            handled = await self._handle([record], generation)
            whole.out += handled.out
            whole.dead += handled.dead
        return whole

    async def _insist(self, attempt: Callable[[], Awaitable[T]], generation: int) -> T:
        """Call it until it no longer raises Retry, with growing pauses. Raises QueueStopped when the records are no
        longer ours: another worker may be handling them."""
        pause = _FIRST_PAUSE
        while True:
            if generation != self._generation:
                raise QueueStopped
            try:
                return await attempt()
            except Retry as error:
                if self._stopping or generation != self._generation:
                    raise QueueStopped from error
                RETRIES.labels(self._stage).inc()
                log.warning("waiting to try again", stage=self._stage, seconds=pause, why=str(error)[:300])
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stop_asked.wait(), pause)
                pause = min(pause * 2, _LONGEST_PAUSE)


class QueueStopped(Exception):
    """A call was abandoned: the queue stops, or its partitions were revoked. None of its records is acknowledged."""


def _blame(record: Record, error: Exception) -> PoisonRecord:
    if isinstance(error, Reject):
        return poison(record, error)
    return PoisonRecord(record, "error", f"{type(error).__name__}: {error}")
