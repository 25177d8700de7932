"""Faust's consumer with its own conductor, stream and rebalancing; the broker is played, so that it can lose records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import faust
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from agents.runtime.contiguous_consumer import ContiguousConsumer

HITS = TP("hits", 0)
_BATCH = 5


class PlayedConsumer(Consumer):
    """Faust's consumer, conductor, stream and rebalancing on one partition; the broker is played.

    `there` are the offsets that have records, `held` is what is committed, `handled` what the stage did. A commit past
    a record that was not handled fails.
    """

    def __init__(self, held: int | None, there: Sequence[int]) -> None:
        app = faust.App("played", broker="kafka://127.0.0.1:1", web_enabled=False, topic_disable_leader=True)
        app.conf.stream_buffer_maxsize = 10
        app.conf.stream_recovery_delay = 0.0
        app.conf.stream_wait_empty = False  # as in wiring.py
        app.finalize()
        app.consumer = self
        super().__init__(
            app.transport,
            app.topics.on_message,
            on_partitions_revoked=app._on_partitions_revoked,
            on_partitions_assigned=app._on_partitions_assigned,
        )
        app.topics.acks_enabled_for = lambda topic: True  # type: ignore[method-assign]
        app._fetcher = SimpleNamespace(maybe_start=_nothing)  # type: ignore[attr-defined]
        self.topic = app.topic("hits", key_serializer="raw", value_serializer="raw")
        app.topics.add(self.topic)
        app.topics._subscription_done = None  # type: ignore[attr-defined]  # nobody subscribes
        self.held, self.there = held, there
        self.position, self.takes = held or there[0], True
        self.skips: dict[int, int] = {}  # before which fetch how many are fetched by nobody
        self.fetches = self.assigned = 0
        self.breaks_off = False
        self.paused_at = -1  # the fetch whose records nobody wants when they come
        self.handled: list[int] = []
        self.kept: list[Any] = []  # events that the stage has not finished
        self.sought, self.commit_asked = asyncio.Event(), asyncio.Event()  # what the broker was asked
        self.seek_answered, self.commit_answered = asyncio.Event(), asyncio.Event()
        self.seek_answered.set()
        self.commit_answered.set()
        self.idle, self.ours = False, {HITS}
        self.now = 0.0

    def in_flight(self) -> Mapping[TP, int]:
        return {HITS: self.kept[0].message.offset} if self.kept else {}

    def assignment(self) -> set[TP]:
        return self.ours

    def highwater(self, tp: TP) -> int:
        return self.there[-1] + 1

    async def seek_to_committed(self) -> Mapping[TP, int]:
        if self.held:  # as aiokafka
            self.position = self.held
        held = self.held
        self.sought.set()
        await self.seek_answered.wait()
        return {HITS: held}  # type: ignore[dict-item]  # None where nothing was committed, as aiokafka has it

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return {HITS: self.there[0]}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.position = partitions[HITS]

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        before = self.held or 0
        self.commit_asked.set()
        await self.commit_answered.wait()
        if self.takes:
            self.held = offsets[HITS]
            passed = set(self.there) & set(range(before, self.held))
            assert passed <= set(self.handled), "committed past what was not handled"
        return self.takes

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109
        self.position += self.skips.pop(self.fetches, 0)
        self.fetches += 1
        left = [offset for offset in self.there if offset >= self.position][:_BATCH]
        self.idle = not left
        await asyncio.sleep(0)
        if not left:
            return {}
        if self.fetches == self.paused_at:
            active_partitions.discard(HITS)
            asyncio.get_running_loop().call_soon(active_partitions.add, HITS)
        self.position = left[-1] + 1
        if self.breaks_off:
            self.breaks_off = False
            raise asyncio.CancelledError
        return {HITS: [SimpleNamespace(offset=offset) for offset in left]}

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        generation = self.app.consumer_generation_id
        return ConsumerMessage(
            *(tp.topic, tp.partition, record.offset, 0.0, 0, [], None, b"", None), tp=tp, generation_id=generation
        )

    async def sleep(self, n: Any) -> None:
        await asyncio.sleep(0)

    async def rebalance(self) -> None:
        """Lose the partition and be assigned it again; not yet resumed."""
        await self.on_partitions_revoked({HITS})
        self.assigned += 1
        self.app.consumer_generation_id = self.assigned
        await self.on_partitions_assigned({HITS}, self.assigned)

    async def resume(self) -> None:
        """The end of a rebalance, as Faust has it."""
        recovery: Any = self.app.tables.recovery  # type: ignore[attr-defined]
        recovery.signal_recovery_start.clear()
        await recovery._resume_streams(self.assigned)

    async def work(self, most: int) -> None:
        """Finish so many records of the stream."""
        for _ in range(most):
            event = await self.topic.queue.get()
            self.handled.append(event.message.offset)
            event.message.refcount = 1
            event.ack()

    async def settle(self) -> None:
        """Work until nothing comes any more, committing every second."""
        quiet = 0
        for _ in range(1_000):
            if quiet == 30:
                return
            for _ in range(30):
                await asyncio.sleep(0)
            waiting = self.topic.queue.qsize()
            await self.work(waiting)
            self.topic.queue.maybe_endorse_pressure_drop()  # as an agent that waits for more
            await self.commit()
            self.now += 1.0
            if isinstance(self, ContiguousConsumer):
                self._look(self.now)
            quiet = 0 if waiting or not self.idle else quiet + 1
        raise AssertionError("never done")


async def _nothing(*_: Any, **__: Any) -> None: ...


class Contiguous(ContiguousConsumer, PlayedConsumer):
    """What wiring makes of it."""

    in_flight = PlayedConsumer.in_flight


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not come to that")


Loss = Callable[[PlayedConsumer], Awaitable[None]]


async def lose(made: type[PlayedConsumer], held: int | None, there: Sequence[int], loss: Loss) -> PlayedConsumer:
    """A consumer that the loss has befallen, and that has read all."""
    consumer = made(held, there)
    await consumer.rebalance()
    await consumer.resume()
    stopped = asyncio.Event()
    draining = asyncio.create_task(consumer._drain_messages(SimpleNamespace(_stopped=stopped)))  # type: ignore[arg-type]
    try:
        await loss(consumer)
        await consumer.settle()
    finally:
        stopped.set()
        draining.cancel()
    return consumer


async def started(held: int | None, there: Sequence[int]) -> Contiguous:
    """A consumer whose partition was assigned and sought, and that has fetched once."""
    consumer = Contiguous(held, there)
    await consumer.rebalance()
    await consumer.resume()
    await again(consumer)
    return consumer


async def again(consumer: Contiguous) -> list[int]:
    """What the next fetch hands on."""
    fetched = await consumer._getmany(consumer._get_active_partitions(), 0.0)
    return [record.offset for record in fetched.get(HITS, ())]


def finish(consumer: Contiguous, *offsets: int) -> None:
    """Acknowledge records that were read at these offsets."""
    for offset in offsets:
        consumer.handled.append(offset)
        consumer.ack(message(offset))


def message(offset: int) -> ConsumerMessage:
    """What Faust makes of a record."""
    return ConsumerMessage("hits", 0, offset, 0.0, 0, [], None, None, None, tp=HITS)
