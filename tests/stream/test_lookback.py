"""Reading back what came before a record, on a real broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka import KafkaProducer

from schemas.settings import Settings, load
from schemas.topics import HITS
from stream.lookback import records_before
from tests.support.broker import create_topics, start_broker

COUNT = 1200


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """A broker whose partition 1 of `hits` holds a record a second, from second 1,000,000 on."""
    broker = start_broker()
    try:
        settings = load(kafka=broker.bootstrap, partitions=2)
        create_topics(settings)
        producer = KafkaProducer(bootstrap_servers=settings.kafka_servers)
        for n in range(COUNT):
            producer.send(settings.topic(HITS), b"%d" % n, partition=1, timestamp_ms=(1_000_000 + n) * 1000)
        producer.flush(timeout=30)
        producer.close()
        yield settings
    finally:
        broker.kill()


@pytest.mark.parametrize(("offset", "since"), [(1100, 1095), (1100, 1100), (1100, 300), (1100, 0), (3, 0), (1, -99)])
def test_the_records_before_an_offset_since_a_time_come_in_order(settings: Settings, offset: int, since: int) -> None:
    found = records_before(settings, HITS, 1, offset, 1_000_000.0 + since)
    assert [int(record.value) for record in found] == list(range(max(0, since), offset))
    assert [record.offset for record in found] == list(range(max(0, since), offset))
    assert all(record.written_at == 1_000_000 + record.offset for record in found)


def test_before_the_first_record_there_is_nothing(settings: Settings) -> None:
    assert records_before(settings, HITS, 1, 0, 0.0) == []
    assert records_before(settings, HITS, 0, 0, 0.0) == []
