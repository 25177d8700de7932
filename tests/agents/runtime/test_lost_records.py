"""Records that Faust's streams lost on a real broker are handled all the same, and nothing lags for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kafka import KafkaProducer

from agents.pipeline import STORE, BatchPolicy
from agents.runtime.lag_monitor import lag
from agents.runtime.wiring import StageApp
from schemas.settings import load
from schemas.topics import EVENTS
from stream.records import Handler, HandleResult, Record
from stream.topic_admin import create_topics
from tests.support.broker import start_broker
from tests.support.waiting import until

ONE_AT_A_TIME = replace(STORE, takes=(EVENTS,), policy=BatchPolicy(batch=1, max_in_flight=1))
_RECORDS = 20


class Waits(Handler):
    """Notes what it handles, and waits in the middle of the first until it is let go."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.handled: list[int] = []

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        await self.go_on.wait()
        self.handled += [record.offset for record in records]
        return HandleResult()


async def test_what_a_stream_lost_is_read_again_and_committed(tmp_path: Path) -> None:
    broker = start_broker()
    settings = load(kafka=broker.bootstrap, data_dir=tmp_path, store_seconds=0.0)
    await asyncio.to_thread(create_topics, settings)
    waits, producer = Waits(), KafkaProducer(bootstrap_servers=broker.bootstrap)
    app = StageApp(ONE_AT_A_TIME, waits, settings)
    try:
        await app.start()
        for _ in range(_RECORDS):
            await asyncio.to_thread(producer.send(settings.topic(EVENTS), b"{}\n", partition=0).get, 30)
        streams = [channel.queue for channel in app._app.topics]
        # One with the handler, one in line and one that waits for room.
        await until(lambda: sum(stream.qsize() for stream in streams) == _RECORDS - 3, 60)
        app._app.flow_control.clear()
        waits.go_on.set()
        await until(lambda: len(waits.handled) >= _RECORDS, 60)
        assert waits.handled == list(range(_RECORDS))
        await until(lambda: lag(settings, (ONE_AT_A_TIME,)) == {STORE.name: 0}, 30)
    finally:
        await app.stop()
        producer.close()
        broker.stop()
