"""Writes records to Kafka outside the stream: for commands and for the restore, which have no stage's producer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import DEAD
from stream.gate.broker_gate import through_gate
from stream.records import OutRecord
from stream.wakeup.wake_ups import wake_ups

_SECONDS = 60.0
# Written before more is taken: the producer holds what it has not written, without a bound of its own.
_UNWRITTEN_BYTES = 32 * 1024 * 1024
_RECORD_BYTES = 1024  # what it holds of a record beside its value, about


def write_all(settings: Settings, records: Iterable[OutRecord]) -> int:
    """Write them all and return how many, when Kafka has them (acks=all); those of a partition in their order.

    Waits while the broker in memory is replaced. Raises Retry when the broker did not take them all; some may have been
    written.
    """
    left = iter(records)
    first = next(left, None)
    if first is None:
        return 0
    with through_gate(settings):
        return fill(settings, chain((first,), left))


def fill(settings: Settings, records: Iterable[OutRecord]) -> int:
    """As `write_all`, for who makes a new broker what it should be: waits for nobody."""
    try:
        producer = KafkaProducer(
            bootstrap_servers=settings.kafka_servers, acks="all", max_request_size=DEAD.max_record_bytes
        )
        try:
            count, size, topics = 0, 0, set()
            sent: list[Any] = []
            for one in records:
                topics.add(one.topic)
                name = settings.topic(one.topic)
                sent.append(producer.send(name, key=one.key or None, value=one.value, partition=one.partition))
                count += 1
                size += _RECORD_BYTES + len(one.value or b"")
                if size > _UNWRITTEN_BYTES:
                    _see_written(producer, sent)
                    size = 0
            _see_written(producer, sent)
        finally:
            producer.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka} did not take every record: {error!r}") from error
    wake_ups(settings).wake(topics)
    return count


def _see_written(producer: KafkaProducer, sent: list[Any]) -> None:
    """Wait until the broker has all of them, and forget them. Raises KafkaError."""
    producer.flush(timeout=_SECONDS)
    for answer in sent:
        answer.get(timeout=0)
    sent.clear()
