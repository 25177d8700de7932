"""How long a record waits at the broker for a stage that has nothing else to do."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from statistics import median

from kafka import KafkaProducer

from agents.pipeline import STORE
from agents.runtime.wiring import StageApp
from schemas.settings import load
from schemas.topics import EVENTS
from stream.records import Handler, HandleResult, Record
from stream.topic_admin import create_topics
from tests.support.broker import start_broker
from tests.support.waiting import until


class Seen(Handler):
    """Notes how old each record is when it joins the line."""

    def __init__(self) -> None:
        self.ages: list[float] = []

    def arrived(self, record: Record) -> None:
        self.ages.append(time.time() - record.written_at)

    async def handle(self, records: object) -> HandleResult:
        return HandleResult()


async def test_on_the_embedded_broker_a_record_is_fetched_soon(tmp_path: Path) -> None:
    """With Faust's own patience half of them wait for 0.4 s and more."""
    broker = start_broker()
    settings = load(kafka=broker.bootstrap, data_dir=tmp_path, store_seconds=0.0)
    await asyncio.to_thread(create_topics, settings)
    seen, producer = Seen(), KafkaProducer(bootstrap_servers=broker.bootstrap)
    app = StageApp(STORE, seen, settings)
    try:
        await app.start()
        for number in range(60):
            partition = number % settings.partitions_of(EVENTS)
            await asyncio.to_thread(producer.send(settings.topic(EVENTS), b"{}\n", partition=partition).get, 30)
        await until(lambda: len(seen.ages) >= 60, 30)
        assert median(seen.ages[20:]) < 0.25  # the first ones wait for the group
    finally:
        await app.stop()
        producer.close()
        broker.stop()
