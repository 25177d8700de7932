"""Offsets as a broker reports them: where partitions end, and what a consumer group has acknowledged."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    KafkaTimeoutError,
    NotCoordinatorError,
)

from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import Topic

FETCH_MS = 20  # how long the broker may keep a fetch that finds nothing
_POLL_MS = 200
_PATIENCE_SECONDS = 5.0
_NO_COORDINATOR = (CoordinatorLoadInProgressError, CoordinatorNotAvailableError, NotCoordinatorError)


def open_consumer(settings: Settings, **options: Any) -> KafkaConsumer:
    """A consumer outside any group, which makes no topic by asking for one that is not there: a topic made in passing
    would have the broker's number of partitions. Raises KafkaError."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_servers, enable_auto_commit=False, **options)
    # kafka-python 3.0.12 does not hand its setting allow_auto_create_topics on to where the requests are made.
    consumer._cluster.config["allow_auto_create_topics"] = False
    return consumer


def group_of(settings: Settings, stage: str) -> str:
    """The consumer group of the stage of this name."""
    return f"{settings.topic_prefix}sendlens-{stage}"


def partitions(settings: Settings, topic: Topic) -> list[TopicPartition]:
    """Every partition of a topic."""
    return [TopicPartition(settings.topic(topic), number) for number in range(settings.partitions_of(topic))]


def end_of(consumer: KafkaConsumer, partition: TopicPartition, listed: int) -> int:
    """Where a partition ends, as far as is known. `listed` is the result of `end_offsets`, of the broker in memory the
    first offset of the last batch, plus one. Only its answer to a fetch has the end of the last batch."""
    return max(listed, consumer.highwater(partition) or 0)


def position_of(consumer: KafkaConsumer, partition: TopicPartition) -> int:
    """The next offset that is read. Raises KafkaTimeoutError where the broker, who has to be asked, does not answer."""
    position: int | None = consumer.position(partition)
    if position is None:
        raise KafkaTimeoutError(f"no position of {partition.topic}/{partition.partition}")
    return position


def is_behind(consumer: KafkaConsumer, partition: TopicPartition, listed: int) -> bool:
    """Whether records are left to read."""
    return position_of(consumer, partition) < end_of(consumer, partition, listed)


def has_fetched(consumer: KafkaConsumer, partition: TopicPartition) -> bool:
    """Whether a fetch was answered since the partition was assigned, so that `end_of` is exact."""
    return consumer.highwater(partition) is not None


def fetched_ends(consumer: KafkaConsumer, listed: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Where each partition ends, by fetching its last batch. Raises Retry when the broker does not answer."""
    consumer.assign(list(listed))
    for partition, end in listed.items():
        consumer.seek(partition, max(0, end - 1))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not all(has_fetched(consumer, partition) for partition in listed):
        if time.monotonic() > deadline:
            raise Retry("Kafka does not say where its partitions end")
        consumer.poll(timeout_ms=_POLL_MS)
    return {partition: end_of(consumer, partition, end) for partition, end in listed.items()}


class CommittedOffsets:
    """The offsets that consumer groups have committed, over one connection, opened when needed. For one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin: KafkaAdminClient | None = None

    def __call__(self, group: str, wanted: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition that the group has not acknowledged; 0 where it never did. Raises Retry
        when the broker does not answer."""
        try:
            if self._admin is None:
                self._admin = KafkaAdminClient(bootstrap_servers=self._settings.kafka_servers)
            told = self._told(self._admin, group, wanted)
        except (KafkaError, OSError) as error:
            self.close()
            raise Retry(f"Kafka at {self._settings.kafka}: {error!r}") from error
        return {partition: told[partition].offset if partition in told else 0 for partition in wanted}

    def _told(self, admin: KafkaAdminClient, group: str, wanted: Collection[TopicPartition]) -> Any:
        """Kafka makes the topic of groups' offsets when it is asked for a group the first time; that is waited for."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return admin.list_group_offsets({group: list(wanted)})[group]
            except _NO_COORDINATOR:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_MS / 1000)

    def close(self) -> None:
        admin, self._admin = self._admin, None
        with suppress(KafkaError, OSError):
            if admin is not None:
                admin.close()
