"""What a broker says of itself and of our topics: versions, replicas, what is in sync, how topics are configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import ALL, Topic


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Where one partition is. `leader` is None while it has none, which is while nothing can be read or written."""

    number: int
    leader: int | None
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is. `config` is in Kafka's own words; what the broker does not say is not in it."""

    partitions: tuple[PartitionState, ...]
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BrokerState:
    """How many brokers there are, the oldest's version as far as it can be told from what it speaks, and our topics
    that are there."""

    brokers: int
    version: str
    topics: Mapping[Topic, TopicState]


def broker_state(settings: Settings) -> BrokerState:
    """Ask the broker. Raises Retry when it can't be reached, or does not let us ask."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
        try:
            brokers = [int(one["broker_id"]) for one in admin.describe_cluster()["brokers"]]
            versions = [admin.get_broker_version_data(broker).broker_version for broker in brokers]
            names = {settings.topic(topic): topic for topic in ALL}
            there = [one for one in admin.describe_topics() if one["name"] in names]
            asked = [ConfigResource(ConfigResourceType.TOPIC, one["name"]) for one in there]
            configs = admin.describe_configs(asked, config_filter="all")["topic"] if asked else {}
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error
    topics = {
        names[one["name"]]: TopicState(
            tuple(
                PartitionState(
                    number=int(part["partition_index"]),
                    leader=part["leader_id"] if part["leader_id"] >= 0 else None,
                    replicas=len(part["replica_nodes"]),
                    in_sync=len(part["isr_nodes"]),
                )
                for part in sorted(one["partitions"], key=lambda part: int(part["partition_index"]))
            ),
            {key: str(said["value"]) for key, said in configs.get(one["name"], {}).items() if said.get("value")},
        )
        for one in there
    }
    return BrokerState(len(brokers), ".".join(map(str, min(versions))) if versions else "", topics)
