"""What `sendlens migrate` does to topics that an earlier version made."""

from __future__ import annotations

from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError

from schemas.settings import Settings, load
from schemas.topics import ALL, ATTEMPTS, DEAD, LEADS, MAIL, Topic
from stream.topic_admin import create_topics, raise_limits
from tests.support.broker import Broker
from tests.support.waiting import wait_until

pytestmark = pytest.mark.every_broker
LIMIT = "max.message.bytes"


@pytest.fixture
def old(broker: Broker) -> Settings:
    """An installation whose topic of mails has Kafka's own limit, and whose dead letters may be larger than ours."""
    settings = load(kafka=broker.bootstrap, topic_prefix=f"old{uuid4().hex[:8]}-", partitions=2)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    admin.create_topics(
        [
            NewTopic(settings.topic(MAIL), 2, 1, topic_configs={LIMIT: "1048588", "retention.ms": "86400000"}),
            NewTopic(settings.topic(DEAD), 1, 1, topic_configs={LIMIT: "20000000"}),
        ]
    )
    admin.close()
    create_topics(settings)
    return settings


def config(settings: Settings, name: str) -> dict[str, str]:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    said = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    admin.close()
    return {key: config["value"] for key, config in said["topic"][name].items()}


def until_raised(settings: Settings) -> None:
    """Kafka says yes before each broker has heard of it."""
    wanted = str(MAIL.max_record_bytes)
    wait_until(lambda: config(settings, settings.topic(MAIL))[LIMIT] == wanted, 20, "the limit")


def test_a_limit_under_the_contract_is_raised_and_nothing_else_changes(old: Settings) -> None:
    mail, dead = old.topic(MAIL), old.topic(DEAD)
    assert raise_limits(old) == [mail]
    until_raised(old)
    assert config(old, mail)["retention.ms"] == "86400000", "the operator's own"
    assert config(old, dead)[LIMIT] == "20000000"
    assert raise_limits(old) == []


def test_a_large_record_fits_afterwards(old: Settings, broker: Broker) -> None:
    def write(size: int) -> None:
        producer = KafkaProducer(bootstrap_servers=old.kafka_servers, max_request_size=8_000_000)
        try:
            producer.send(old.topic(MAIL), b"x" * size, partition=0).get(timeout=20)
        finally:
            producer.close()

    if broker.surroundings["mode"] == "cluster":  # the embedded broker takes what comes
        with pytest.raises(KafkaError):
            write(2_000_000)
    raise_limits(old)
    until_raised(old)
    write(2_000_000)


def test_topics_made_today_need_nothing(broker: Broker) -> None:
    settings = load(kafka=broker.bootstrap, topic_prefix=f"new{uuid4().hex[:8]}-", partitions=2)
    assert len(create_topics(settings)) == len(ALL)
    assert raise_limits(settings) == []


def test_what_a_power_cut_must_not_take_is_on_disk_where_kafka_is_alone(standing_kafka: Broker) -> None:
    prefix = f"alone{uuid4().hex[:8]}-"
    alone = load(kafka=standing_kafka.bootstrap, topic_prefix=prefix, partitions=1, broker="kafka")
    create_topics(alone)

    def written_through() -> set[Topic]:
        return {topic for topic in ALL if config(alone, alone.topic(topic)).get("flush.messages") == "1"}

    # Kafka says yes before a broker has heard of it, and then says nothing of that topic.
    wait_until(lambda: {LEADS, ATTEMPTS} <= written_through(), 20, "what is written through")
    assert written_through() == {LEADS, ATTEMPTS}
