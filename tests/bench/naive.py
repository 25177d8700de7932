"""The route that one writes first: FastAPI, one Kafka record a hit, answered after its acknowledgement (aiokafka).

It checks the same tokens, keeps the same hit in the same encoding, and waits for the same acknowledgement (acks=all) as
the hot path does. It is not idempotent, which is cheaper: aiokafka's idempotent producer can't start on the embedded
broker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request, Response

from ingest.hits.hits import PIXEL
from schemas.events import Hit
from schemas.settings import load
from schemas.tokens import BadToken, Purpose
from schemas.topics import HITS, delivery_partition

_HEADERS = {"Cache-Control": "no-store, no-cache, must-revalidate, private, max-age=0"}


def app() -> FastAPI:
    """For `uvicorn --factory`."""
    settings = load()
    topic, partitions = settings.topic(HITS), settings.partitions_of(HITS)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
        await producer.start()
        app.state.producer = producer
        yield
        await producer.stop()

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.get("/o/{token}.gif")
    async def pixel(token: str, request: Request) -> Response:
        try:
            claim = settings.keyring.verify(Purpose.OPEN, token)
        except BadToken:
            return Response(PIXEL, media_type="image/gif", headers=_HEADERS)
        delivery = str(claim.delivery_id)
        hit = Hit(
            id=str(uuid4()),
            kind="open",
            at=datetime.now(UTC),
            delivery_id=delivery,
            campaign=claim.campaign,
            step=claim.step,
            variant=claim.variant,
            lead=claim.lead,
            minted_at=datetime.fromtimestamp(claim.minted_at, UTC),
            user_agent=request.headers.get("user-agent", ""),
            ip=request.client.host if request.client else "",
        )
        line = msgspec.json.encode(hit) + b"\n"
        partition = delivery_partition(delivery, partitions)
        await request.app.state.producer.send_and_wait(topic, line, partition=partition)
        return Response(PIXEL, media_type="image/gif", headers=_HEADERS)

    return app
