"""Makes the topics, and says what is wrong with those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings
from schemas.topics import ALL

_LIMIT = "max.message.bytes"


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


def raise_limits(settings: Settings) -> list[str]:
    """Let topics that were made under an earlier contract take records as large as today's; returns their names.

    A higher limit than ours stays. Raises Retry when the broker can't be reached, Misconfigured when it won't have it.
    """
    wanted = {settings.topic(topic): topic.max_record_bytes for topic in ALL if topic.max_record_bytes is not None}
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        try:
            there = sorted(wanted.keys() & set(admin.list_topics()))
            asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
            said = admin.describe_configs(asked, config_filter="all")["topic"] if asked else {}
            small = [name for name in there if _limit_of(said[name]) < wanted[name]]
            changes = [ConfigResource(ConfigResourceType.TOPIC, name, {_LIMIT: str(wanted[name])}) for name in small]
            results = admin.alter_configs(changes)["topic"] if changes else {}
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error
    for name, result in results.items():
        if result != "OK":
            raise Misconfigured(f"topic {name}: set {_LIMIT} to {wanted[name]}; Kafka does not let us: {result}")
    return small


def _limit_of(config: Mapping[str, Mapping[str, Any]]) -> int:
    """What a topic takes now; 0 when the broker does not say."""
    return int(config.get(_LIMIT, {}).get("value") or 0)


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
            faults.append(f"topic {name} is not there yet: `sendlens migrate` makes it")
        elif found[name] != expected:
            faults.append(
                f"topic {name} has {found[name]} partitions, not {expected}: set SENDLENS_PARTITIONS to match"
            )
    return faults
