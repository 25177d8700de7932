"""The broker of a benchmark: the embedded one, new for every run, or the Kafka that SENDLENS_TEST_KAFKA names."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from agents.topics import create_topics
from schemas.settings import Settings
from schemas.topics import ALL, Topic
from tests.bench.figures import Wrong
from tests.bench.workshop import Workshop, free_port, listens, python

_PATIENCE_MS = 5_000


class Deployment:
    """Where the processes of one run find what they need: `env` for them, `settings` for us."""

    def __init__(self, workshop: Workshop, kafka: str, prefix: str) -> None:
        self.env = {
            "SENDLENS_KAFKA": kafka,
            "SENDLENS_TOPIC_PREFIX": prefix,
            "SENDLENS_TOKEN_KEYS": workshop.token_keys,
            "SENDLENS_DATA_DIR": str(workshop.folder / "data"),
            "SENDLENS_SETTLE_SECONDS": "0",
            "SENDLENS_LOG_LEVEL": "INFO",
        }

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
def deployment(workshop: Workshop) -> Iterator[Deployment]:
    """A broker on the load core with empty topics of this run alone."""
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
    with workshop.running("broker", python("-m", "sendlens", "broker"), core=workshop.load_core, env=made.env) as job:
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
    """How many records a topic holds, asked again and again over one connection."""

    def __init__(self, settings: Settings, topic: Topic) -> None:
        self._consumer = KafkaConsumer(bootstrap_servers=settings.kafka_servers)
        self._partitions = [TopicPartition(settings.topic(topic), n) for n in range(settings.partitions_of(topic))]

    def count(self) -> int:
        return sum(self._consumer.end_offsets(self._partitions).values())

    def close(self) -> None:
        self._consumer.close(autocommit=False)


class _Identified(msgspec.Struct):
    id: str


def ids_on(settings: Settings, topic: Topic) -> list[str]:
    """The id of every line on the topic. Raises Wrong when the topic can't be read to its end."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=8 << 20,
        fetch_max_bytes=64 << 20,
    )
    decode, found = msgspec.json.Decoder(_Identified).decode, list[str]()
    try:
        partitions = [TopicPartition(settings.topic(topic), n) for n in range(settings.partitions_of(topic))]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(at) < end for at, end in ends.items()):
            polled = consumer.poll(timeout_ms=_PATIENCE_MS, max_records=50_000)
            if not polled:
                raise Wrong(f"topic {topic.name} can't be read to its end")
            for records in polled.values():
                for record in records:
                    found += [decode(line).id for line in record.value.split(b"\n") if line]
        return found
    finally:
        consumer.close(autocommit=False)
