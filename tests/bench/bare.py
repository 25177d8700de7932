"""The least that judges a topic: an aiokafka loop with the same rules, no framework. `python -m tests.bench.bare [store]`.

It keeps the promise that nothing is lost (commits once a second, after what it wrote was acknowledged), and no other:
no settle delay, no dead letters, no retries, no metrics, and a poison record ends it. With `store` it inserts hits and
events itself.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from clickhouse.store import connect, insert_lines
from decisions.robots.judgement import to_event
from decisions.robots.rules import Rules
from schemas.events import Delivery, Hit, lines
from schemas.settings import Settings, load
from schemas.topics import DELIVERIES, EVENTS, HITS
from stream.state import StateTopic

_COMMIT_SECONDS = 1.0


async def run(settings: Settings, *, store: bool) -> None:
    """Judge what is on the topic, and what comes, until killed."""
    rules, decode = Rules.load(), msgspec.json.Decoder(Hit).decode
    deliveries = await known_deliveries(settings)
    consumer = AIOKafkaConsumer(
        settings.topic(HITS),
        bootstrap_servers=settings.kafka,
        group_id=f"{settings.topic_prefix}bench-bare",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
    )
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    rows: list[tuple[str, bytes]] = []
    await consumer.start()
    await producer.start()
    offsets: dict[TopicPartition, int] = {}
    committed_at = time.monotonic()
    while True:
        polled = await consumer.getmany(timeout_ms=200, max_records=500)
        sent = []
        for at, records in polled.items():
            for record in records:
                events = []
                for line in record.value.split(b"\n"):
                    if line:
                        hit = decode(line)
                        delivery = deliveries.get(hit.delivery_id)
                        judgement = rules.judge(hit, delivery.at if delivery else None)
                        events.append(to_event(hit, judgement, rules.version))
                value = lines(events)
                sent.append(await producer.send(settings.topic(EVENTS), value, partition=at.partition))
                if store:
                    rows += [("hits", record.value), ("events", value)]
            offsets[at] = records[-1].offset + 1
        await asyncio.gather(*sent)
        if offsets and time.monotonic() - committed_at >= _COMMIT_SECONDS:
            for table in ("hits", "events") if rows else ():
                batch = b"".join(value for name, value in rows if name == table)
                await asyncio.to_thread(_insert, settings, table, batch)
            rows.clear()
            await consumer.commit(offsets)
            offsets.clear()
            committed_at = time.monotonic()


async def known_deliveries(settings: Settings) -> StateTopic[Delivery]:
    """The view of deliveries, read to its end."""
    deliveries = StateTopic(settings, DELIVERIES, Delivery, key=lambda delivery: delivery.delivery_id)
    deliveries.start()
    while not deliveries.ready:
        await asyncio.sleep(0.05)
    return deliveries


def _insert(settings: Settings, table: str, batch: bytes) -> None:
    with connect(settings) as client:
        insert_lines(client, table, batch)


if __name__ == "__main__":
    asyncio.run(run(load(), store="store" in sys.argv[1:]))
