"""Faust as its own pages show it: one hit a record, an agent that judges it and sends the event on. Same rules.

`python -m tests.bench.stock`. Only the session timeout differs from the defaults, so that it joins its group sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust
import msgspec

from decisions.robots.judgement import to_event
from decisions.robots.rules import Rules
from schemas.events import Hit, lines
from schemas.settings import Settings, load
from schemas.topics import EVENTS, HITS
from tests.bench.bare import known_deliveries


async def run(settings: Settings) -> None:
    """Judge what is on the topic, and what comes, until killed."""
    rules, decode = Rules.load(), msgspec.json.Decoder(Hit).decode
    deliveries = await known_deliveries(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = faust.App(
        f"{settings.topic_prefix}bench-stock",
        broker=[f"kafka://{server}" for server in settings.kafka_servers],
        value_serializer="raw",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        datadir=str(settings.data_dir / "faust-stock"),
    )
    hits, events = (app.topic(settings.topic(topic), value_serializer="raw") for topic in (HITS, EVENTS))

    @app.agent(hits)
    async def judge(stream: Any) -> AsyncIterator[None]:
        async for value in stream:
            hit = decode(value)
            delivery = deliveries.get(hit.delivery_id)
            judgement = rules.judge(hit, delivery.at if delivery else None)
            await events.send(value=lines([to_event(hit, judgement, rules.version)]))
        return
        yield  # an async generator, so that Faust adds no reply sink

    app.finalize()
    await app.start()
    await app.wait_until_stopped()


if __name__ == "__main__":
    asyncio.run(run(load()))
