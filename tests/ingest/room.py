"""An ingest application in the test's own process, on a real broker, and what a test asks of it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec
from fastapi import APIRouter
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from ingest.app import create_app
from ingest.hits.hits import App
from schemas import senders
from schemas.events import Hit, Link
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from schemas.topics import HITS, LINKS, Topic, text_partition
from tests.support.waiting import until

T = TypeVar("T")
PATIENCE = 20.0
CLAIM = Claim(delivery_id("spring", 1, "lead-1"), "spring", 1, "A", "lead-1", 1_790_000_000)


@dataclass
class Room:
    """A running application: `client` speaks HTTP to it, `app` is for requests that no HTTP client would make."""

    settings: Settings
    app: App
    client: httpx.AsyncClient

    def token(self, purpose: Purpose, claim: Claim = CLAIM) -> str:
        return self.settings.keyring.sign(purpose, claim)

    async def counted(self, metric: str, **labels: str) -> float:
        """The value of a metric now; 0 when it was never counted."""
        return metric_of((await self.client.get("/metrics")).text, metric, **labels)

    async def until_ready(self) -> None:
        async def ready() -> bool:
            return (await self.client.get("/readyz")).status_code == 200

        await until(ready, what="ready")

    async def ask(self, path: str, method: str = "GET", headers: list[tuple[bytes, bytes]] | None = None) -> Answer:
        """One request with exactly this path and these headers, as the server would hand it on."""
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "query_string": b"",
            "headers": headers or [],
            "client": ("192.0.2.7", 4711),
            "server": ("127.0.0.1", 80),
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
            "state": {},
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return Answer(
            sent[0]["status"],
            {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]},
            b"".join(message.get("body", b"") for message in sent[1:]),
        )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@asynccontextmanager
async def running(settings: Settings, *routers: APIRouter) -> AsyncIterator[Room]:
    """Start the application, and stop it as its server would."""
    app = create_app(settings, senders.load(settings), *routers)
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    lifespan = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    assert (await from_app.get())["type"] == "lifespan.startup.complete"
    transport = httpx.ASGITransport(app=app, client=("192.0.2.7", 4711))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=PATIENCE) as client:
            yield Room(settings, app, client)
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
        await lifespan


def metric_of(text: str, metric: str, **labels: str) -> float:
    """A sample's value in Prometheus' text format; 0 when there is none."""
    for line in text.splitlines():
        found = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? ([0-9.e+-]+)", line)
        if found and found[1] == metric and dict(re.findall(r'(\w+)="([^"]*)"', found[2] or "")) == labels:
            return float(found[3])
    return 0.0


def records(settings: Settings, topic: Topic) -> list[Any]:
    """Every record on the topic now, as kafka-python gives them, oldest first in each partition."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_servers, enable_auto_commit=False)
    try:
        partitions = [TopicPartition(settings.topic(topic), n) for n in range(settings.partitions_of(topic))]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        deadline = time.monotonic() + PATIENCE
        # The embedded broker's ends are too small when the last batch has several records; its fetches say right.
        while any(consumer.position(tp) < max(ends[tp], consumer.highwater(tp) or 0) for tp in partitions):
            assert time.monotonic() < deadline, "the topic could not be read to its end"
            for polled in consumer.poll(timeout_ms=100).values():
                found.extend(polled)
        return found
    finally:
        consumer.close(autocommit=False)


def hits(settings: Settings) -> list[Hit]:
    """Every hit on the topic now."""
    decode = msgspec.json.Decoder(Hit).decode
    return [decode(line) for record in records(settings, HITS) for line in record.value.splitlines()]


def add_link(settings: Settings, url: str, campaign: str = "spring") -> str:
    """Put a link on its topic, as the sender does, and return its id."""
    link = Link(link_id=settings.keyring.link_id(campaign, url), campaign=campaign, url=url)
    put(settings, LINKS, link.link_id, link)
    return link.link_id


def put(settings: Settings, topic: Topic, key: str, record: msgspec.Struct | bytes | None) -> None:
    """Write one record to a topic keyed by text, and wait for the broker to have it."""
    producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, acks="all")
    value = record if isinstance(record, bytes | None) else msgspec.json.encode(record)
    partition = text_partition(key, settings.partitions_of(topic))
    producer.send(settings.topic(topic), value, key.encode(), partition=partition).get(timeout=PATIENCE)
    producer.close()
