"""How far each stage is behind: records written to its topics and not yet acknowledged by it."""

from __future__ import annotations

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from agents.pipeline import STAGES, Stage
from schemas.errors import Retry
from schemas.settings import Settings


def group_of(settings: Settings, stage: Stage) -> str:
    """The stage's consumer group."""
    return f"{settings.topic_prefix}sendlens-{stage.name}"


def lag(settings: Settings, stages: tuple[Stage, ...] = STAGES) -> dict[str, int]:
    """Records not yet acknowledged, by stage. Raises Retry when the broker can't be reached."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        consumer = KafkaConsumer(bootstrap_servers=settings.kafka_servers, enable_auto_commit=False)
        try:
            behind: dict[str, int] = {}
            for stage in stages:
                partitions = [
                    TopicPartition(settings.topic(topic), number)
                    for topic in stage.takes
                    for number in range(settings.partitions_of(topic))
                ]
                group = group_of(settings, stage)
                committed = admin.list_group_offsets({group: partitions})[group]
                starts, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
                done = {tp: max(starts[tp], committed[tp].offset if tp in committed else 0) for tp in partitions}
                behind[stage.name] = sum(max(0, ends[tp] - done[tp]) for tp in partitions)
            return behind
        finally:
            consumer.close(autocommit=False)
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error
