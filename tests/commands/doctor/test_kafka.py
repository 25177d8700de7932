"""What `sendlens doctor` says of a broker, with faults made on a real one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.settings import Settings, load
from schemas.topics import ALL, DEAD, DELIVERIES, EVENTS, HITS, LINKS, MAIL, SENDS, Topic
from stream.records import OutRecord, PoisonRecord, Record, dead_letter
from stream.topic_admin import create_topics, topics_at_fault
from stream.write_all import write_all
from tests.commands.doctor.running import KEYS, doctor, environment
from tests.support.broker import Broker, drop_topics
from tests.support.kafka import a_kafka
from tests.support.waiting import wait_until

_NAMES = ("kafka", "topic_prefix", "partitions", "replication")


def settings_on(broker: Broker, **more: object) -> Settings:
    prefix = f"doctor{uuid4().hex[:8]}-"
    return load(kafka=broker.bootstrap, topic_prefix=prefix, partitions=2, token_keys=KEYS, **more)


def env_of(settings: Settings, folder: Path, **more: object) -> dict[str, str]:
    return environment(folder, **{name: getattr(settings, name) for name in _NAMES} | more)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A node of Apache Kafka: the embedded broker keeps few of these settings."""
    broker = a_kafka(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture
def settings(kafka: Broker) -> Iterator[Settings]:
    settings = settings_on(kafka)
    create_topics(settings)
    wait_until(lambda: not topics_at_fault(settings), 30, "the broker to have heard of every topic")
    yield settings
    drop_topics(settings)


def configure(settings: Settings, topic: Topic, **config: object) -> None:
    """Set it, and wait until the broker says so."""
    name, wanted = settings.topic(topic), {key.replace("_", "."): str(value) for key, value in config.items()}
    resource = ConfigResource(ConfigResourceType.TOPIC, name, wanted)
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    try:
        assert set(admin.alter_configs([resource])["topic"].values()) == {"OK"}

        def holds() -> bool:
            said = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
            return all(said["topic"][name][key]["value"] == value for key, value in wanted.items())

        wait_until(holds, 20, "the configuration")
    finally:
        admin.close()


def test_a_broker_as_it_should_be(settings: Settings, tmp_path: Path) -> None:
    told = doctor(env_of(settings, tmp_path), "kafka", "lag", "dead letters", "unanswered")
    assert [verdict for _, verdict, _, _ in told.findings] == ["ok"] * 5, told.findings
    assert (told.code, told.verdict) == (0, "ok")
    assert told.of("kafka")[0][1].endswith(f" {len(ALL)} of {len(ALL)} topics")


def test_topics_that_lose_what_they_are_to_keep(settings: Settings, tmp_path: Path) -> None:
    configure(settings, SENDS, max_message_bytes=1_000_000)
    configure(settings, LINKS, cleanup_policy="delete")
    configure(settings, EVENTS, retention_ms=3_600_000)
    configure(settings, DELIVERIES, message_timestamp_type="CreateTime")
    configure(settings, HITS, min_insync_replicas=2)
    told = doctor(env_of(settings, tmp_path), "kafka")
    prefix = settings.topic_prefix
    assert told.code == 2
    assert sorted((verdict, said) for _, verdict, said, _ in told.findings[1:]) == [
        ("fail", f"{prefix}deliveries has message.timestamp.type=CreateTime: clocks of ours say what was first"),
        ("fail", f"{prefix}events keeps records for 1 hours"),
        ("fail", f"{prefix}hits: fewer in sync than min.insync.replicas (2): nothing can be written"),
        ("fail", f"{prefix}links has cleanup.policy=delete"),
        ("fail", f"{prefix}sends takes records of 1,000,000 bytes, not 6,291,456"),
    ]
    assert all(todo for _, _, _, todo in told.findings[1:])


def test_fewer_replicas_than_are_set_is_a_line_for_all_topics(settings: Settings, tmp_path: Path) -> None:
    told = doctor(env_of(settings, tmp_path, replication=3), "kafka")
    ((verdict, said, todo),) = told.of("replicas")
    assert verdict == "warn"
    assert said.endswith(": 1 replica, not 3")
    assert said.count(settings.topic_prefix) == len(ALL)
    assert "reassign" in todo
    assert told.code == 1


def test_what_waits_for_hours_and_what_was_set_aside(settings: Settings, tmp_path: Path) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka_servers)
    two_hours_ago = int((time.time() - 7200) * 1000)
    producer.send(settings.topic(MAIL), b"{}", partition=1, timestamp_ms=two_hours_ago).get(20)
    producer.close()
    poison = PoisonRecord(Record(HITS, 0, 0, b"", b"?", 0.0), "unreadable", "no JSON")
    letter = dead_letter("judge", poison, datetime.now(UTC))
    write_all(settings, [OutRecord(DEAD, 0, b"judge", letter)] * 3)
    told = doctor(env_of(settings, tmp_path), "lag", "dead letters")
    assert told.code == 2
    late = [(verdict, said) for verdict, said, _ in told.of("lag")]
    assert late == [("fail", "reader: 1 records wait, the oldest for 2 h")]
    ((verdict, said, todo),) = told.of("dead letters")
    assert (verdict, said) == ("warn", "3 (judge unreadable 3)")
    assert "sendlens dead list" in todo


def test_topics_that_are_not_there_are_said_and_none_is_made(broker: Broker, tmp_path: Path) -> None:
    """The embedded broker makes topics for whoever asks for one."""
    settings = settings_on(broker)
    told = doctor(env_of(settings, tmp_path), "kafka", "lag", "dead letters", "unanswered")
    assert told.code == 2
    assert told.of("topics")[0][2] == "run `sendlens migrate`"
    assert "`sendlens migrate`" in told.of("lag")[0][1]
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    try:
        assert [name for name in admin.list_topics() if name.startswith(settings.topic_prefix)] == []
    finally:
        admin.close()


def test_a_broker_that_is_away(tmp_path: Path) -> None:
    told = doctor(environment(tmp_path), "kafka", "lag", "dead letters", "unanswered")
    assert [verdict for _, verdict, _, _ in told.findings] == ["fail"] * 4
    assert told.code == 2
