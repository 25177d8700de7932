"""Makes the topics, and says what is wrong with those that are there."""

from __future__ import annotations

from contextlib import suppress

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import ALL


def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing; returns their names. Raises Retry when the broker can't be reached."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        try:
            there = set(admin.list_topics())
            missing = {settings.topic(topic): topic for topic in ALL if settings.topic(topic) not in there}
            wanted = [
                NewTopic(name, settings.partitions_of(topic), settings.replication, topic_configs=topic.config())
                for name, topic in missing.items()
            ]
            with suppress(TopicAlreadyExistsError):  # another migrate was quicker; the others are made all the same
                if wanted:
                    admin.create_topics(wanted)
            return list(missing)
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error


def topics_at_fault(settings: Settings) -> list[str]:
    """What must be mended before a stage may read, a sentence each. Raises Retry when the broker can't be reached."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        try:
            found = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error
    faults = []
    for topic in ALL:
        name, expected = settings.topic(topic), settings.partitions_of(topic)
        if name not in found:
            faults.append(f"topic {name} is missing: run `sendlens migrate`")
        elif found[name] != expected:
            faults.append(
                f"topic {name} has {found[name]} partitions, not {expected}: set SENDLENS_PARTITIONS to match"
            )
    return faults
