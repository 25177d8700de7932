"""How far each stage is behind: records written to its topics and not yet acknowledged by it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from agents.metrics import LAG, OWN_LAG
from agents.pipeline import STAGES, Stage
from schemas.errors import Retry
from schemas.settings import Settings

_FETCH_MS = 20
_PATIENCE_SECONDS = 5.0
_WATCH_SECONDS = 10.0  # where samples, which have a rhythm of their own, are off


def group_of(settings: Settings, stage: Stage) -> str:
    """The stage's consumer group."""
    return f"{settings.topic_prefix}sendlens-{stage.name}"


def lag(settings: Settings, stages: tuple[Stage, ...] = STAGES) -> dict[str, int]:
    """Records not yet acknowledged, by stage. Raises Retry when the broker can't be reached."""
    look = Look(settings, stages)
    try:
        return {stage: sum(behind.values()) for stage, behind in look(exact=True).items()}
    finally:
        look.close()


class Look:
    """A look at Kafka that can be repeated: how far each stage is behind in each partition. For one thread."""

    def __init__(self, settings: Settings, stages: Iterable[Stage]) -> None:
        self._settings = settings
        self._taken = {stage: _partitions(settings, stage) for stage in stages}
        self._admin: KafkaAdminClient | None = None
        self._consumer: KafkaConsumer | None = None

    def __call__(self, *, exact: bool) -> dict[str, dict[tuple[str, int], int]]:
        """Records not yet acknowledged, by stage, then by topic's name and partition.

        `exact` asks where partitions end by fetching, which costs more: the embedded broker's list of offsets stops at
        its last batch's first record. Raises Retry when the broker can't be reached.
        """
        try:
            if self._admin is None:
                self._admin = KafkaAdminClient(bootstrap_servers=self._settings.kafka_servers)
            if self._consumer is None:
                self._consumer = KafkaConsumer(
                    bootstrap_servers=self._settings.kafka_servers,
                    enable_auto_commit=False,
                    fetch_max_wait_ms=_FETCH_MS,
                )
            return self._look(self._admin, self._consumer, exact)
        except (KafkaError, OSError) as error:
            self.close()
            raise Retry(f"Kafka at {self._settings.kafka}: {error!r}") from error

    def close(self) -> None:
        admin, self._admin = self._admin, None
        consumer, self._consumer = self._consumer, None
        with suppress(KafkaError, OSError):
            if consumer is not None:
                consumer.close(autocommit=False)
        with suppress(KafkaError, OSError):
            if admin is not None:
                admin.close()

    def _look(
        self, admin: KafkaAdminClient, consumer: KafkaConsumer, exact: bool
    ) -> dict[str, dict[tuple[str, int], int]]:
        every = sorted(set().union(*self._taken.values()))
        starts, ends = consumer.beginning_offsets(every), consumer.end_offsets(every)
        if exact:
            ends = _fetched(consumer, ends)
        prefix = len(self._settings.topic_prefix)
        behind: dict[str, dict[tuple[str, int], int]] = {}
        for stage, partitions in self._taken.items():
            group = group_of(self._settings, stage)
            committed = admin.list_group_offsets({group: list(partitions)})[group]
            done = {tp: max(starts[tp], committed[tp].offset if tp in committed else 0) for tp in partitions}
            behind[stage.name] = {(tp.topic[prefix:], tp.partition): max(0, ends[tp] - done[tp]) for tp in partitions}
        return behind


class Watch:
    """Keeps the gauges of lag current, on a thread of its own, so that a Kafka that is away keeps nobody waiting.

    `owned` gives a stage's partitions that are this worker's, by topic's name and number. What is not known, because
    Kafka does not answer, is not a number.
    """

    def __init__(self, settings: Settings, owned: Mapping[Stage, Callable[[], Collection[tuple[str, int]]]]) -> None:
        self._seconds = settings.sample_seconds or _WATCH_SECONDS
        self._owned = {stage.name: read for stage, read in owned.items()}
        self._look = Look(settings, owned)
        self._known: dict[str, tuple[float, float]] = {}
        self._until = 0.0
        self._stopping = threading.Event()
        for stage in self._owned:
            LAG.labels(stage).set_function(partial(self._told, stage, 0))
            OWN_LAG.labels(stage).set_function(partial(self._told, stage, 1))

    def start(self) -> None:
        threading.Thread(target=self._run, name="lag", daemon=True).start()

    def stop(self) -> None:
        """Waits for nothing."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                found = self._look(exact=False)
            except Retry:
                self._known = {}
            else:
                self._known = {
                    stage: (float(sum(behind.values())), float(sum(behind.get(tp, 0) for tp in self._owned[stage]())))
                    for stage, behind in found.items()
                }
                self._until = time.monotonic() + 3 * self._seconds
            self._stopping.wait(max(0.1, self._seconds - (time.monotonic() - began)))
        self._look.close()

    def _told(self, stage: str, which: int) -> float:
        known = self._known.get(stage) if time.monotonic() < self._until else None
        return known[which] if known else math.nan


def _partitions(settings: Settings, stage: Stage) -> set[TopicPartition]:
    return {
        TopicPartition(settings.topic(topic), number)
        for topic in stage.takes
        for number in range(settings.partitions_of(topic))
    }


def _fetched(consumer: KafkaConsumer, listed: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Where each partition ends, by a fetch."""
    consumer.assign(list(listed))
    for tp, end in listed.items():
        consumer.seek(tp, max(0, end - 1))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(consumer.highwater(tp) is None for tp in listed):
        if time.monotonic() > deadline:
            raise Retry("Kafka does not say where its partitions end")
        consumer.poll(timeout_ms=10 * _FETCH_MS)
    return {tp: max(end, consumer.highwater(tp)) for tp, end in listed.items()}
