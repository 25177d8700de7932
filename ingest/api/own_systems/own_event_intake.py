"""`POST /v1/events` at work: what the platform's own system reports of its emails becomes their events."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import structlog
from fastapi.responses import Response

from decisions.sending.answers import with_recipient
from decisions.sending.own_events import OwnEvent, events_of
from ingest.api.batches import Record, RejectedItem, batch, declared, publish
from ingest.api.campaigns import FindCampaign
from ingest.api.http import openapi
from ingest.api.requests import MAX_TOLD, batch_decoder, check_told, decode
from ingest.metrics import IngestMetrics
from schemas.errors import Reject
from schemas.events import lines
from schemas.settings import Settings
from schemas.topics import DELIVERIES, EVENTS
from stream.publisher import Publisher

log = structlog.get_logger()

_SHARE = 20  # events handled before hits get the loop again

_decode_events = batch_decoder("events", MAX_TOLD)
_decode_told = msgspec.json.Decoder(OwnEvent).decode


class OwnEventsAnswer(msgspec.Struct):
    """How many were taken, and what was not."""

    accepted: int
    rejected: list[RejectedItem]


class OwnEventIntake:
    """Publishes the events and deliveries that follow from a batch of reports."""

    def __init__(self, settings: Settings, publisher: Publisher, known: FindCampaign, metrics: IngestMetrics) -> None:
        self._keyring = settings.keyring
        self._keep_to = settings.webhooks_to
        self._publisher = publisher
        self._known = known
        self._metrics = metrics

    async def answer(self, body: bytes) -> Response:
        asked = batch(lambda: _decode_events(body), MAX_TOLD)
        rejected: list[RejectedItem] = []
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
                rejected.append(RejectedItem(index, error.reason, error.detail))
                self._metrics.told.labels(kind, error.reason).inc()
        await publish(self._publisher, records)
        for kind in kinds:
            self._metrics.told.labels(kind, "accepted").inc()
        log.info("events told", accepted=len(kinds), rejected=len(rejected))
        return openapi.answer(202 if kinds else 422, OwnEventsAnswer(len(kinds), rejected))

    def _records(self, told: OwnEvent) -> list[Record]:
        events, delivery = events_of(told, self._keyring)
        if self._keep_to and told.to:
            events = with_recipient(events, told.to)
        key = events[0].delivery_id
        records: list[Record] = []
        if delivery is not None:
            records.append((DELIVERIES, key, msgspec.json.encode(delivery)))
        return [*records, (EVENTS, key, lines(events))]
