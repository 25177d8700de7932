"""Sets a consumer group back, so that it reads again what was written since a time; or to where a topic ends.

Back for the store alone: to take a record twice changes no number there. Nothing may read in the group meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings
from schemas.topics import Topic
from stream.offsets import FETCH_MS, CommittedOffsets, fetched_ends, partitions

_POLL_MS = 200
_PATIENCE_SECONDS = 10.0
_WITHOUT_MEMBERS = ("Empty", "Dead")


@dataclass(frozen=True, slots=True)
class RewoundTopic:
    """How many records of a topic will be read again; `missing_until`: what was written from the time asked for until
    then is no longer in Kafka."""

    topic: str
    records: int
    missing_until: datetime | None


def rewind(settings: Settings, group: str, topics: Iterable[Topic], since: datetime) -> list[RewoundTopic]:
    """Set the group to the first record written at `since` or later, in every partition of the topics.

    It is never set forward. Raises Misconfigured while the group has members, Retry when Kafka is away.
    """
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka_servers, enable_auto_commit=False, fetch_max_wait_ms=FETCH_MS
        )
        try:
            if not settings.broker_in_memory:  # that one does not say who is in a group
                _refuse_members(admin, group)
            return [_rewind(settings, admin, consumer, group, topic, since) for topic in topics]
        finally:
            consumer.close(autocommit=False)
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error


def skip(settings: Settings, group: str, topic: Topic) -> None:
    """Set the group to the topic's end: all that stands there counts as acknowledged.

    Nothing may be written there meanwhile. Raises Retry when Kafka is away.
    """
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka_servers, enable_auto_commit=False, fetch_max_wait_ms=FETCH_MS
        )
        try:
            _set(admin, group, fetched_ends(consumer, consumer.end_offsets(partitions(settings, topic))))
        finally:
            consumer.close(autocommit=False)
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error


def _set(admin: KafkaAdminClient, group: str, to: Mapping[TopicPartition, int]) -> None:
    results = admin.alter_group_offsets(group, {tp: OffsetAndMetadata(at, "", -1) for tp, at in to.items()})
    if refused := {str(result) for result in results.values() if result is not NoError}:
        raise Retry(f"Kafka does not set consumer group {group}: {', '.join(sorted(refused))}")


def _refuse_members(admin: KafkaAdminClient, group: str) -> None:
    described = admin.describe_groups([group]).get(group) or {}
    state = str(described.get("group_state") or "Dead")
    if state not in _WITHOUT_MEMBERS:
        raise Misconfigured(f"consumer group {group} is being read in ({state}): stop all workers first")


def _rewind(
    settings: Settings, admin: KafkaAdminClient, consumer: KafkaConsumer, group: str, topic: Topic, since: datetime
) -> RewoundTopic:
    every = partitions(settings, topic)
    starts = consumer.beginning_offsets(every)
    ends = fetched_ends(consumer, consumer.end_offsets(every))
    committed = CommittedOffsets(settings)
    try:
        done = committed(group, every)
    finally:
        committed.close()
    wanted = _since(settings, consumer, every, since)
    to = {tp: min(max(done[tp], starts[tp]), max(starts[tp], wanted.get(tp, ends[tp]))) for tp in every}
    _set(admin, group, to)
    oldest = None if topic.compacted else _oldest(consumer, [tp for tp in every if 0 < starts[tp] < ends[tp]], starts)
    records = sum(max(0, ends[tp] - to[tp]) for tp in every)
    return RewoundTopic(topic.name, records, oldest if oldest and oldest > since else None)


def _since(
    settings: Settings, consumer: KafkaConsumer, every: list[TopicPartition], since: datetime
) -> dict[TopicPartition, int]:
    """The first record of each partition written at `since` or later, where there is one.

    On the broker in memory, which can't look records up by time, the first of all.
    """
    if settings.broker_in_memory:
        return dict.fromkeys(every, 0)
    found = consumer.offsets_for_times(dict.fromkeys(every, int(since.timestamp() * 1000)))
    return {tp: at.offset for tp, at in found.items() if at is not None}


def _oldest(
    consumer: KafkaConsumer, trimmed: list[TopicPartition], starts: dict[TopicPartition, int]
) -> datetime | None:
    """When the first record was written that is left in all these partitions, whose beginning Kafka has dropped."""
    consumer.assign(trimmed)
    for tp in trimmed:
        consumer.seek(tp, starts[tp])
    found: dict[TopicPartition, float] = {}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while len(found) < len(trimmed) and time.monotonic() < deadline:
        for tp, records in consumer.poll(timeout_ms=_POLL_MS).items():
            found.setdefault(tp, records[0].timestamp / 1000)
            consumer.pause(tp)
    return datetime.fromtimestamp(max(found.values()), UTC) if found else None
