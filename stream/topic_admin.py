"""Creates the topics, and reports what is wrong with existing ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from time import monotonic, sleep
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings
from schemas.topics import ALL, BROKER_TIME, TIMESTAMP_TYPE, Topic

_LIMIT = "max.message.bytes"
_IN_SYNC = "min.insync.replicas"
# Copies that must have a record before it is acknowledged, where a topic has 3 or more: the loss of one broker then
# loses nothing acknowledged and stops nothing. With fewer copies a second would make every broker indispensable.
_WANTED_IN_SYNC = 2
# Kafka says that a topic was made before each broker has heard of it.
_HEARD_SECONDS = 10.0
_PAUSE_SECONDS = 0.1


def create_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing; returns their names. Raises Retry when the broker can't be reached."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        try:
            there = set(admin.list_topics())
            missing = {settings.topic(topic): topic for topic in ALL if settings.topic(topic) not in there}
            wanted = [
                NewTopic(
                    name, settings.partitions_of(topic), settings.replication, topic_configs=_config(settings, topic)
                )
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


def _config(settings: Settings, topic: Topic) -> dict[str, str]:
    """The topic's configuration on this deployment's Kafka."""
    config = topic.config()
    if settings.replication > _WANTED_IN_SYNC:
        config[_IN_SYNC] = str(_WANTED_IN_SYNC)
    if topic.on_disk and settings.mode == "embedded" and not settings.broker_in_memory:
        config["flush.messages"] = "1"
    return config


def raise_limits(settings: Settings) -> list[str]:
    """Let topics take records as large as our contract says, where they take less, acknowledge none that only one of
    three copies has, and be timed by the broker's clock where ours is not to be; returns the names of those changed.

    They were made under an earlier contract, or somebody or the broker's own setting made them so. A higher limit than
    ours stays. Raises Retry when the broker can't be reached, Misconfigured when it won't have it.
    """
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        try:
            wanted = _wanted(admin, settings)
            changes = [ConfigResource(ConfigResourceType.TOPIC, name, config) for name, config in wanted.items()]
            results = admin.alter_configs(changes)["topic"] if changes else {}
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error
    for name, result in results.items():
        if result != "OK":
            want = ", ".join(f"{key} to {value}" for key, value in wanted[name].items())
            raise Misconfigured(f"topic {name}: set {want}; Kafka does not let us: {result}")
    return sorted(wanted)


def _wanted(admin: KafkaAdminClient, settings: Settings) -> dict[str, dict[str, str]]:
    """What must be set of which topic, by name."""
    names = {settings.topic(topic): topic for topic in ALL}
    found = [topic for topic in admin.describe_topics() if topic["name"] in names]
    said = _configs(admin, [topic["name"] for topic in found])
    ends = monotonic() + _HEARD_SECONDS
    # The broker in memory says nothing of any topic.
    while any(said.values()) and not all(said.values()) and monotonic() < ends:
        sleep(_PAUSE_SECONDS)
        said = _configs(admin, list(said))
    wanted: dict[str, dict[str, str]] = {}
    for described in found:
        name = described["name"]
        copies = min((len(partition["replica_nodes"]) for partition in described["partitions"]), default=0)
        if change := _change(names[name], said[name], copies):
            wanted[name] = change
    return wanted


def _change(topic: Topic, config: Mapping[str, Any], copies: int) -> dict[str, str]:
    """What must be set of a topic that has this configuration and so many copies."""
    change = {}
    # Of one that we set the limit of, a broker that says nothing has none yet.
    limit = _number(config, _LIMIT) or (0 if topic.max_record_bytes else topic.record_bytes)
    if limit < topic.record_bytes:
        change[_LIMIT] = str(topic.record_bytes)
    if topic.broker_time and config.get(TIMESTAMP_TYPE, {}).get("value", BROKER_TIME) != BROKER_TIME:
        change[TIMESTAMP_TYPE] = BROKER_TIME
    if copies > _WANTED_IN_SYNC and (_number(config, _IN_SYNC) or _WANTED_IN_SYNC) < _WANTED_IN_SYNC:
        change[_IN_SYNC] = str(_WANTED_IN_SYNC)
    return change


def limits_of(settings: Settings, topics: Sequence[Topic]) -> dict[Topic, int]:
    """How large a record each of these topics takes, of those that the broker says it of.

    Raises Retry when the broker can't be reached, or does not let us ask.
    """
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        try:
            return {topic: limit for topic, limit in _limits(admin, settings, topics).items() if limit is not None}
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error


def too_small(settings: Settings, limits: Mapping[Topic, int]) -> list[str]:
    """Which of these limits are under our contract, a sentence each."""
    return [
        f"topic {settings.topic(topic)} takes records of {limit} bytes, not {topic.record_bytes}: `sendlens migrate` "
        f"raises its {_LIMIT}"
        for topic, limit in limits.items()
        if limit < topic.record_bytes
    ]


def _limits(admin: KafkaAdminClient, settings: Settings, topics: Sequence[Topic]) -> dict[Topic, int | None]:
    """What the topics that are there take now; None when the broker does not say."""
    there = set(admin.list_topics())
    names = {settings.topic(topic): topic for topic in topics if settings.topic(topic) in there}
    said = _configs(admin, names)
    return {topic: _number(said[name], _LIMIT) for name, topic in sorted(names.items())}


def _configs(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Each topic's configuration, by its name; empty of one that the asked broker has not heard of yet."""
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(names)]
    said = admin.describe_configs(asked, config_filter="all")["topic"] if asked else {}
    return {name: said.get(name, {}) for name in names}


def _number(config: Mapping[str, Mapping[str, Any]], name: str) -> int | None:
    return int(config.get(name, {}).get("value") or 0) or None


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
