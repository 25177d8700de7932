"""Kafka on paper: partitions as lists, committed offsets, and a stage's life on them that may end at any effect.

A model, so that the laws of the numbers can be tried hundreds of times. What it claims of Kafka (order within a
partition, a stage goes on at its committed offset) is tested on real brokers in `test_stream.py` and `tests/faults`.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from unittest.mock import patch

import msgspec
from clickhouse_connect.driver.client import Client

from agents.judge.judge import Judge
from agents.pipeline import JUDGE, STORE, Stage
from agents.runtime.in_flight import InFlightQueue
from agents.store.store import Store
from clickhouse.counting import propagate
from clickhouse.store import insert_lines
from decisions.robots.rules import Rules
from schemas.events import Delivery
from schemas.settings import Settings
from schemas.topics import DELIVERIES, Topic
from stream.records import Handler, OutRecord, PoisonRecord, Record

STAGES = (JUDGE, STORE)
COMMIT_SECONDS = 1.0  # agents/runtime/wiring.py: broker_commit_interval


class Killed(BaseException):
    """SIGKILL: nothing of this life happens any more."""


@dataclass(frozen=True)
class Life:
    """How a stage lives until it is killed.

    `effects` is how many it lives to see: a record written, rows inserted, a record acknowledged. None: it is never
    killed. `batch`: records of one call at the most. `latency`: seconds from a record's writing to its reading.
    `poll`: records are read together, every so many seconds. `rest`: seconds until the next life begins.
    """

    effects: int | None = None
    batch: int = 500
    latency: float = 0.0
    poll: float = 0.0
    rest: float = 0.0


@dataclass(frozen=True)
class Written:
    """A record of the stream, and when it is written, in epoch seconds."""

    at: float
    topic: Topic
    partition: int
    key: bytes
    value: bytes


@dataclass
class Log:
    """Every partition, and how far each stage has come. `clock` gives epoch seconds."""

    clock: Callable[[], float]
    partitions: defaultdict[tuple[Topic, int], list[Record]] = field(default_factory=lambda: defaultdict(list))
    committed: defaultdict[tuple[str, Topic, int], int] = field(default_factory=lambda: defaultdict(int))
    dead: list[PoisonRecord] = field(default_factory=list)
    whole: bool = False
    view_lag: float = 0.0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def append(self, topic: Topic, partition: int, key: bytes, value: bytes) -> None:
        records = self.partitions[topic, partition]
        records.append(Record(topic, partition, len(records), key, value, self.clock()))
        self.tell()

    def commit(self, stage: str, record: Record) -> None:
        place = (stage, record.topic, record.partition)
        assert record.offset <= self.committed[place], "acknowledged past a record that was not"
        self.committed[place] = max(self.committed[place], record.offset + 1)
        self.tell()

    def finished(self) -> bool:
        """Whether all is written that will be, and both stages have acknowledged all of it."""
        return self.whole and all(
            self.committed[stage.name, topic, partition] >= len(records)
            for stage in STAGES
            for (topic, partition), records in list(self.partitions.items())
            if topic in stage.takes
        )

    def tell(self) -> None:
        """Wake whoever waits for something to change."""
        self._news.set()
        self._news = asyncio.Event()

    async def change(self) -> None:
        await self._news.wait()

    def before(self, _settings: Settings, topic: Topic, partition: int, offset: int, since: float) -> list[Record]:
        """As `stream.lookback.records_before`."""
        return [record for record in self.partitions[topic, partition][:offset] if record.written_at >= since]


class View:
    """The topic of deliveries in memory, `log.view_lag` behind; as `stream.state.StateTopic`."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._decode = msgspec.json.Decoder(Delivery).decode

    def stop(self) -> None:
        """There is nothing to end."""

    async def wait_until_current(self, moment: float, patience: float) -> bool:
        await asyncio.sleep(max(0.0, moment - (self._log.clock() - self._log.view_lag)))
        return True

    def get(self, delivery_id: str, written_until: float | None = None) -> Delivery | None:
        until = self._log.clock() - self._log.view_lag
        if written_until is not None:
            until = min(until, written_until)
        for (topic, _), records in self._log.partitions.items():
            if topic is not DELIVERIES:
                continue
            for record in records:
                if record.key == delivery_id.encode() and record.written_at <= until:
                    return self._decode(record.value)
        return None


@dataclass
class Worker:
    """One life of one stage: the real line and the real handler, from the committed offsets on."""

    stage: Stage
    life: Life
    log: Log
    handler: Handler
    settings: Settings
    left: float = field(init=False)
    acked: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = float("inf") if self.life.effects is None else self.life.effects
        policy = replace(self.stage.policy, batch=self.life.batch, wait=False)
        self.line = InFlightQueue(
            self.stage.name,
            policy,
            self.handler,
            self._write,
            settle=self.settings.settle_seconds,
            clock=self.log.clock,
        )

    async def live(self) -> None:
        """Until it is killed, or all is done."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work) for work in (self.line.run(), self._read_all(group))]
                while not self.log.finished():
                    await self.log.change()
                for task in [*tasks, *self.reading]:
                    task.cancel()
        except BaseExceptionGroup as group:
            _, other = group.split(Killed)
            if other is not None:
                raise other from None
        finally:
            if self.acked:
                self.committing.cancel()

    def effect(self) -> None:
        """Something has happened that can't be taken back; this may be the last."""
        self.left -= 1
        if self.left <= 0:
            raise Killed

    def alive(self) -> None:
        if self.left <= 0:
            raise Killed

    async def _read_all(self, group: asyncio.TaskGroup) -> None:
        """A reader for each partition, so that nothing is promised of the order across them."""
        self.reading: dict[asyncio.Task[None], tuple[Topic, int]] = {}
        while True:
            for place in list(self.log.partitions):
                if place[0] in self.stage.takes and place not in self.reading.values():
                    self.reading[group.create_task(self._read(*place))] = place
            await self.log.change()

    async def _read(self, topic: Topic, partition: int) -> None:
        offset = self.log.committed[self.stage.name, topic, partition]
        while True:
            records = self.log.partitions[topic, partition]
            while offset >= len(records):
                await self.log.change()
            record = records[offset]
            await asyncio.sleep(max(0.0, self._read_at(record) - self.log.clock()))
            await self.line.feed(record, lambda record=record: self._ack(record))  # type: ignore[misc]
            offset += 1

    def _read_at(self, record: Record) -> float:
        at, poll = record.written_at + self.life.latency, self.life.poll
        return math.ceil(at / poll) * poll if poll else at

    def _ack(self, record: Record) -> None:
        self.alive()
        if not self.acked:
            self.committing = asyncio.get_running_loop().call_later(COMMIT_SECONDS, self._commit)
        self.acked.append(record)
        self.effect()

    def _commit(self) -> None:
        for record in self.acked:
            self.log.commit(self.stage.name, record)
        self.acked.clear()

    async def _write(self, out: Sequence[OutRecord], dead: Sequence[PoisonRecord]) -> None:
        for one in out:
            self.alive()
            self.log.append(one.topic, one.partition, one.key, one.value)
            self.effect()
        self.log.dead += dead

    def insert(self, client: Client, table: str, rows: bytes) -> None:
        """The real insert; whoever is killed after it never hears of it."""
        self.alive()
        insert_lines(client, table, rows)
        self.effect()

    def propagate(self, client: Client, batch: str) -> None:
        """What follows the insert; whoever is killed before it has inserted, and no more."""
        self.effect()
        self.alive()
        propagate(client, batch)


async def work(stage: Stage, lives: Sequence[Life], log: Log, settings: Settings, client: Client, rules: Rules) -> None:
    """A stage's lives, one after another; the last must be without end. A life that ends closes nothing."""
    for life in lives:
        handler: Handler = Judge(settings, rules, log.clock) if stage is JUDGE else Store(settings)
        worker = Worker(stage, life, log, handler, settings)
        if isinstance(handler, Store):
            at_the_edge = patch.multiple("agents.store.store", insert_lines=worker.insert, connect=lambda _: client)
            within = patch("clickhouse.store.propagate", worker.propagate)
        else:
            at_the_edge, within = patch("agents.judge.judge.records_before", log.before), nullcontext()
        with at_the_edge, within:
            await worker.live()
        if log.finished():
            break
        await asyncio.sleep(life.rest)


async def play(
    stream: Sequence[Written],
    lives: Mapping[Stage, Sequence[Life]],
    view_lag: float,
    settings: Settings,
    client: Client,
    rules: Rules,
) -> Log:
    """Write the stream, each record at its time, while both stages work on it; returns when all is acknowledged."""
    begin, time = min(one.at for one in stream) - 1, asyncio.get_running_loop().time

    def clock() -> float:
        return begin + time()

    log = Log(clock, view_lag=view_lag)
    with patch("agents.judge.judge.StateTopic", lambda *_, **__: View(log)):
        async with asyncio.TaskGroup() as group:
            for stage in STAGES:
                group.create_task(work(stage, lives[stage], log, settings, client, rules))
            for one in stream:
                await asyncio.sleep(one.at - clock())
                log.append(one.topic, one.partition, one.key, one.value)
            log.whole = True
            log.tell()
    return log
