"""Reads again what stood on a partition before a record: how a judge that has just started knows what came before."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from agents.records import Record
from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import Topic

_FIRST_STEP = 256  # records back at first; four times as many each time that is not enough
_POLL_MS = 200
_PATIENCE_SECONDS = 10.0


def records_before(settings: Settings, topic: Topic, partition: int, offset: int, since: float) -> list[Record]:
    """The records of a partition before `offset` that were written at `since` (epoch seconds) or later, in order.

    Steps back by offset, because a lookup by time is no use on the embedded broker. Raises Retry when the broker does
    not answer.
    """
    tp = TopicPartition(settings.topic(topic), partition)
    try:
        consumer = KafkaConsumer(bootstrap_servers=settings.kafka_servers, enable_auto_commit=False)
        try:
            consumer.assign([tp])
            beginning = consumer.beginning_offsets([tp])[tp]
            start, step = offset, _FIRST_STEP
            while start > beginning:
                start = max(beginning, offset - step)
                if next(_read(consumer, topic, tp, start, offset)).written_at < since:
                    break
                step *= 4
            if start >= offset:
                return []
            return [record for record in _read(consumer, topic, tp, start, offset) if record.written_at >= since]
        finally:
            consumer.close(autocommit=False)
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka}: {error!r}") from error


def _read(consumer: KafkaConsumer, topic: Topic, tp: TopicPartition, start: int, end: int) -> Iterator[Record]:
    """Records from `start` up to and without `end`, at least one of which is there."""
    consumer.seek(tp, start)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while consumer.position(tp) < end:
        if time.monotonic() > deadline:
            raise Retry(f"{tp.topic}/{tp.partition} can't be read back from {end} to {start}")
        for found in consumer.poll(timeout_ms=_POLL_MS).get(tp, ()):
            deadline = time.monotonic() + _PATIENCE_SECONDS
            if found.offset >= end:
                return
            yield Record(
                topic, tp.partition, found.offset, found.key or b"", found.value or b"", found.timestamp / 1000
            )
