"""The broker of a benchmark: the embedded one, new for every run, or the Kafka that SENDLENS_TEST_KAFKA names."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from schemas.settings import Settings
from schemas.topics import ALL, Topic
from stream.topic_admin import create_topics
from tests.bench.figures import Wrong
from tests.bench.workshop import Job, Workshop, free_port, listens, python

_PATIENCE_MS = 5_000
_STILL_SECONDS = 0.3


class Deployment:
    """Where the processes of one run find what they need: `env` for them, `settings` for us. `jobs` are those that are
    not measured but serve, by name."""

    def __init__(self, workshop: Workshop, kafka: str, prefix: str) -> None:
        self.env = {
            "SENDLENS_BROKER": "kafka" if outside_kafka() else "memory",
            "SENDLENS_KAFKA": kafka,
            "SENDLENS_TOPIC_PREFIX": prefix,
            "SENDLENS_TOKEN_KEYS": workshop.token_keys,
            "SENDLENS_DATA_DIR": str(workshop.folder / "data"),
            "SENDLENS_SETTLE_SECONDS": "0",
            "SENDLENS_LOG_LEVEL": "INFO",
        }
        self.jobs: dict[str, Job] = {}

    def with_(self, **more: object) -> Deployment:
        """The same with further settings, by their names."""
        self.env |= {f"SENDLENS_{name.upper()}": str(value) for name, value in more.items()}
        return self

    @property
    def settings(self) -> Settings:
        values: dict[str, Any] = {name.removeprefix("SENDLENS_").lower(): value for name, value in self.env.items()}
        return Settings(**values)


def outside_kafka() -> str:
    """The Kafka to use instead of the embedded broker, empty for none."""
    return os.environ.get("SENDLENS_TEST_KAFKA", "")


def described() -> str:
    """Which broker it is, for the page."""
    return "Kafka named by SENDLENS_TEST_KAFKA" if outside_kafka() else "embedded (Tansu, in memory), new for every run"


@contextlib.contextmanager
def deployment(workshop: Workshop, core: int | str | None = None) -> Iterator[Deployment]:
    """A broker, on the load core unless another is named, with empty topics of this run alone."""
    kafka = outside_kafka()
    if kafka:
        made = Deployment(workshop, kafka, f"bench-{secrets.token_hex(4)}-")
        create_topics(made.settings)
        try:
            yield made
        finally:
            _delete_topics(made.settings)
        return
    port = free_port()
    made = Deployment(workshop, f"127.0.0.1:{port}", "")
    core = workshop.load_core if core is None else core
    with workshop.running("broker", python("-m", "sendlens", "broker"), core=core, env=made.env) as job:
        made.jobs["broker"] = job
        workshop.await_(job, lambda: listens(port))
        create_topics(made.settings)
        yield made


def _delete_topics(settings: Settings) -> None:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    try:
        admin.delete_topics([settings.topic(topic) for topic in ALL])
    finally:
        admin.close()


class Ends:
    """How many records a topic holds, asked again and again over one connection.

    The embedded broker names the first record of a topic's last batch as its end (ListOffsets), so `count` may say too
    little. What a fetch says of the end is right: `reached` asks so when the count has stood still.
    """

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=settings.kafka_servers, fetch_max_wait_ms=100)
        self._partitions = [TopicPartition(settings.topic(topic), n) for n in range(settings.partitions_of(topic))]
        self._seen = (0, 0.0)

    def count(self) -> int:
        """At least this many, quickly."""
        return sum(self._consumer.end_offsets(self._partitions).values())

    def reached(self, total: int) -> bool:
        """Whether the topic holds `total` records. Raises Wrong when it holds more."""
        count, now = self.count(), time.monotonic()
        if count != self._seen[0]:
            self._seen = count, now
        if count < total and now - self._seen[1] > _STILL_SECONDS:
            count = self._fetched_count()
        if count > total:
            raise Wrong(f"there are {count} records for {total}")
        return count == total

    def _fetched_count(self) -> int:
        self._consumer.unsubscribe()  # forgets what earlier fetches said
        self._consumer.assign(self._partitions)
        for at, end in self._consumer.end_offsets(self._partitions).items():
            self._consumer.seek(at, end)
        deadline = time.monotonic() + _PATIENCE_MS / 1000
        while any(self._consumer.highwater(at) is None for at in self._partitions) and time.monotonic() < deadline:
            self._consumer.poll(timeout_ms=100)
        return sum(self._consumer.highwater(at) or 0 for at in self._partitions)

    def close(self) -> None:
        self._consumer.close(autocommit=False)


class _Identified(msgspec.Struct):
    id: str


@dataclass(frozen=True, slots=True)
class Written:
    """A record that was found on a topic: when it was sent, in epoch seconds, and the ids of its lines."""

    at: float
    ids: list[str]


def read(settings: Settings, topic: Topic) -> list[Written]:
    """Every record on the topic. Raises Wrong when it can't be read to its end."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 << 20,
        fetch_max_bytes=64 << 20,
    )
    decode, found = msgspec.json.Decoder(_Identified).decode, list[Written]()
    try:
        partitions = [TopicPartition(settings.topic(topic), n) for n in range(settings.partitions_of(topic))]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(at) < max(ends[at], consumer.highwater(at) or 0) for at in partitions):
            polled = consumer.poll(timeout_ms=_PATIENCE_MS, max_records=50_000)
            if not polled:
                raise Wrong(f"topic {topic.name} can't be read to its end")
            for records in polled.values():
                for record in records:
                    ids = [decode(line).id for line in record.value.split(b"\n") if line]
                    found.append(Written(record.timestamp / 1000, ids))
        return found
    finally:
        consumer.close(autocommit=False)


def check(written: list[Written], expected: set[str], what: str) -> None:
    """Raise Wrong unless every id expected was written once and nothing else was."""
    ids = [one for record in written for one in record.ids]
    if len(ids) != len(expected) or set(ids) != expected:
        raise Wrong(f"{what}: {len(ids)} lines with {len(set(ids))} ids for {len(expected)} hits")
