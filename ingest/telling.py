"""`POST /v1/events` at work: what a system that is not ours tells of its deliveries becomes their events."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import structlog
from fastapi.responses import Response

from ingest import openapi
from ingest.batches import Record, Rejected, batch, declared, publish
from ingest.campaigns import Known
from ingest.metrics import Metrics
from ingest.publisher import Publisher
from ingest.requests import MAX_TOLD, OwnEventsRequest, check_told, decode
from schemas.errors import Reject
from schemas.events import lines
from schemas.ownsystem import OwnEvent, OwnSystem
from schemas.topics import DELIVERIES, EVENTS

log = structlog.get_logger()

_SHARE = 20  # events handled before hits get the loop again

_decode_events = msgspec.json.Decoder(OwnEventsRequest).decode
_decode_told = msgspec.json.Decoder(OwnEvent).decode


class OwnEventsAnswer(msgspec.Struct):
    """How many were taken, and what was not."""

    accepted: int
    rejected: list[Rejected]


class Telling:
    """Publishes what follows from what was told."""

    def __init__(self, own: OwnSystem, publisher: Publisher, known: Known, metrics: Metrics) -> None:
        self._own = own
        self._publisher = publisher
        self._known = known
        self._metrics = metrics

    async def answer(self, body: bytes) -> Response:
        asked = batch(lambda: decode(_decode_events, body).events, MAX_TOLD)
        rejected: list[Rejected] = []
        records: list[Record] = []
        kinds: list[str] = []
        now = datetime.now(UTC)
        for index, raw in enumerate(asked):
            if index % _SHARE == _SHARE - 1:
                await asyncio.sleep(0)
            kind = "unknown"
            try:
                told = decode(_decode_told, raw)
                kind = told.kind
                check_told(told, now)
                await declared(self._known, told.campaign)
                records += self._records(told)
                kinds.append(kind)
            except Reject as error:
                rejected.append(Rejected(index, error.reason, error.detail))
                self._metrics.told.labels(kind, error.reason).inc()
        await publish(self._publisher, records)
        for kind in kinds:
            self._metrics.told.labels(kind, "accepted").inc()
        log.info("events told", accepted=len(kinds), rejected=len(rejected))
        return openapi.answer(202 if kinds else 422, OwnEventsAnswer(len(kinds), rejected))

    def _records(self, told: OwnEvent) -> list[Record]:
        events, delivery = self._own.tell(told)
        key = events[0].delivery_id
        records: list[Record] = []
        if delivery is not None:
            records.append((DELIVERIES, key, msgspec.json.encode(delivery)))
        return [*records, (EVENTS, key, lines(events))]
