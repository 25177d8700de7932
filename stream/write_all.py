"""Writes records to Kafka outside the stream: for commands and for the restore, which have no stage's producer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from kafka import KafkaProducer
from kafka.errors import KafkaError

from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import DEAD
from stream.gate.broker_gate import through_gate
from stream.records import OutRecord
from stream.wakeup.wake_ups import wake_ups

_SECONDS = 60.0


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
            sent, topics = [], set()
            for one in records:
                topics.add(one.topic)
                name = settings.topic(one.topic)
                sent.append(producer.send(name, key=one.key or None, value=one.value, partition=one.partition))
            producer.flush(timeout=_SECONDS)
            for answer in sent:
                answer.get(timeout=0)
        finally:
            producer.close()
    except (KafkaError, OSError) as error:
        raise Retry(f"Kafka at {settings.kafka} did not take every record: {error!r}") from error
    wake_ups(settings).wake(topics)
    return len(sent)
