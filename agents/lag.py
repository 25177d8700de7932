"""How far each stage is behind: records written to its topics and not yet acknowledged by it."""

from __future__ import annotations

import time

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from agents.pipeline import STAGES, Stage
from schemas.errors import Retry
from schemas.settings import Settings

_FETCH_MS = 20
_PATIENCE_SECONDS = 5.0


def group_of(settings: Settings, stage: Stage) -> str:
    """The stage's consumer group."""
    return f"{settings.topic_prefix}sendlens-{stage.name}"


def lag(settings: Settings, stages: tuple[Stage, ...] = STAGES) -> dict[str, int]:
    """Records not yet acknowledged, by stage. Raises Retry when the broker can't be reached."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka_servers, enable_auto_commit=False, fetch_max_wait_ms=_FETCH_MS
        )
        try:
            taken = {stage: _partitions(settings, stage) for stage in stages}
            every = sorted(set().union(*taken.values()))
            starts, ends = consumer.beginning_offsets(every), _ends(consumer, every)
            behind: dict[str, int] = {}
            for stage, partitions in taken.items():
                group = group_of(settings, stage)
                committed = admin.list_group_offsets({group: list(partitions)})[group]
                done = {tp: max(starts[tp], committed[tp].offset if tp in committed else 0) for tp in partitions}
                behind[stage.name] = sum(max(0, ends[tp] - done[tp]) for tp in partitions)
            return behind
        finally:
            consumer.close(autocommit=False)
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error


def _partitions(settings: Settings, stage: Stage) -> set[TopicPartition]:
    return {
        TopicPartition(settings.topic(topic), number)
        for topic in stage.takes
        for number in range(settings.partitions_of(topic))
    }


def _ends(consumer: KafkaConsumer, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Where each partition ends, by a fetch: the embedded broker's list of offsets stops at its last batch's first."""
    listed = consumer.end_offsets(partitions)
    consumer.assign(partitions)
    for tp in partitions:
        consumer.seek(tp, max(0, listed[tp] - 1))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while any(consumer.highwater(tp) is None for tp in partitions):
        if time.monotonic() > deadline:
            raise Retry("Kafka does not say where its partitions end")
        consumer.poll(timeout_ms=10 * _FETCH_MS)
    return {tp: max(listed[tp], consumer.highwater(tp)) for tp in partitions}
