"""Fills the state topics of a new broker from ClickHouse, the system of record.

The embedded broker keeps topics in memory, and a cluster's may be lost: campaigns, suppressed leads, links and the
recent deliveries then come back from here. A topic that holds anything is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from clickhouse_connect.driver.client import Client
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from schemas.errors import Retry
from schemas.events import Campaign, Delivery, Lead, Link
from schemas.settings import Settings
from schemas.topics import CAMPAIGNS, DELIVERIES, LEADS, LINKS, Topic, delivery_partition, text_partition

_READ = {
    CAMPAIGNS: "SELECT id, name, created_at, paused FROM campaigns FINAL",
    LEADS: "SELECT lead, unsubscribed_at FROM leads FINAL",
    LINKS: "SELECT toString(link_id), campaign, url FROM links FINAL",
    DELIVERIES: """
        SELECT toString(delivery_id), any(request_id), min(at)
        FROM events
        WHERE kind = 'delivered' AND at > now() - INTERVAL 2 DAY
        GROUP BY delivery_id
    """,
}


def restore(settings: Settings, client: Client) -> dict[str, int]:
    """Publish what ClickHouse knows to each state topic that is empty; returns how many records, by topic.

    Raises Retry when the broker can't be reached, or has not taken every record.
    """
    restored: dict[str, int] = {}
    refused: list[Exception] = []
    try:
        producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, acks="all")
        try:
            for topic in _READ:
                if not _is_empty(settings, topic):
                    continue
                for key, value in _records(client, topic):
                    partition = _partition(settings, topic, key)
                    sent = producer.send(settings.topic(topic), key=key.encode(), value=value, partition=partition)
                    sent.add_errback(refused.append)
                    restored[topic.name] = restored.get(topic.name, 0) + 1
                producer.flush(timeout=60)  # says nothing about the records that failed
                if refused:
                    raise Retry(f"Kafka did not take {len(refused)} records of {topic.name}: {refused[0]!r}")
        finally:
            producer.close()
    except KafkaError as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error
    return restored


def _records(client: Client, topic: Topic) -> Iterator[tuple[str, bytes]]:
    """Key and value of each record, as the topic's own writers make them."""
    with client.query_rows_stream(_READ[topic]) as rows:
        for row in rows:
            yield str(row[0]), msgspec.json.encode(_struct(topic, row))


def _struct(topic: Topic, row: tuple[object, ...]) -> msgspec.Struct:
    def time(value: object) -> datetime:
        if not isinstance(value, datetime):
            raise TypeError(f"not a time: {value!r}")
        return value.replace(tzinfo=value.tzinfo or UTC)  # clickhouse-connect leaves UTC out

    if topic is CAMPAIGNS:
        return Campaign(id=str(row[0]), name=str(row[1]), created_at=time(row[2]), paused=bool(row[3]))
    if topic is LEADS:
        return Lead(lead=str(row[0]), unsubscribed_at=time(row[1]) if row[1] else None)
    if topic is LINKS:
        return Link(link_id=str(row[0]), campaign=str(row[1]), url=str(row[2]))
    return Delivery(delivery_id=str(row[0]), request_id=str(row[1]), at=time(row[2]))


def _partition(settings: Settings, topic: Topic, key: str) -> int:
    count = settings.partitions_of(topic)
    return delivery_partition(key, count) if topic is DELIVERIES else text_partition(key, count)


def _is_empty(settings: Settings, topic: Topic) -> bool:
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_servers, enable_auto_commit=False)
    try:
        partitions = [TopicPartition(settings.topic(topic), p) for p in range(settings.partitions_of(topic))]
        ends = consumer.end_offsets(partitions)
        starts = consumer.beginning_offsets(partitions)
        return all(ends[tp] == starts[tp] for tp in partitions)
    finally:
        consumer.close(autocommit=False)
