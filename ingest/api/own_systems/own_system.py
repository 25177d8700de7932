"""`/v1` for platforms that send through a system of their own: emails to send, and what became of them.

Answered when Kafka has every link, and every event.
"""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from decisions.sending.own_events import OwnEvent
from ingest.api.campaigns import Key, finder
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.idempotency import Idempotency
from ingest.api.http.problems import MEDIA_TYPE, described
from ingest.api.instrument.instrument_pool import InstrumentPool
from ingest.api.instrument.instrumenting import InstrumentAnswer, InstrumentHandler
from ingest.api.own_systems.own_event_intake import OwnEventIntake, OwnEventsAnswer
from ingest.api.requests import (
    MAX_BODY_BYTES,
    MAX_INSTRUMENTED,
    MAX_TOLD,
    InstrumentRequest,
    OwnEventsRequest,
    SendsRequest,
)
from ingest.metrics import IngestMetrics
from schemas.events import Campaign, Link, Pause
from schemas.settings import Settings
from stream.facts import ActiveFacts
from stream.publisher import Publisher
from stream.state import StateTopic

_INSTRUMENT = {"type": "array", "minItems": 1, "maxItems": MAX_INSTRUMENTED, "items": openapi.schema(InstrumentRequest)}
_TOLD = {"type": "array", "minItems": 1, "maxItems": MAX_TOLD, "items": openapi.schema(OwnEvent)}


def own_system_routes(
    settings: Settings,
    pool: InstrumentPool,
    publisher: Publisher,
    campaigns: StateTopic[Campaign],
    pauses: StateTopic[Pause],
    facts: ActiveFacts,
    links: StateTopic[Link],
    metrics: IngestMetrics,
) -> tuple[APIRouter, ...]:
    """The routers of `/v1/instrument` and `/v1/events`."""
    known = finder(campaigns)
    instrumenting = InstrumentHandler(settings.keyring, pool, publisher, known, pauses, facts, links, metrics)
    telling = OwnEventIntake(settings, publisher, known, metrics)
    router, idempotency = APIRouter(), Idempotency()
    may_send = [Depends(caller_of(settings, "sends"))]
    responses: dict[int | str, dict[str, object]] = {
        **described(400, "The body is no batch of so many, or `Idempotency-Key` is no such key."),
        **described(409, "The same request is being worked on."),
    }

    def refused(answer: type[msgspec.Struct]) -> dict[int | str, dict[str, object]]:
        text = "All were rejected; see `rejected`. Or `Idempotency-Key` came with another body before."
        return {
            422: {
                "description": text,
                "content": openapi.content(answer)["content"] | {MEDIA_TYPE: {"schema": openapi.PROBLEM}},
            }
        }

    @router.post(
        "/instrument",
        dependencies=may_send,
        summary="Instrument emails that you send yourself",
        max_body_size=MAX_BODY_BYTES,
        openapi_extra=openapi.body(SendsRequest, InstrumentRequest, sends=_INSTRUMENT),
        responses={200: openapi.content(InstrumentAnswer), **responses, **refused(InstrumentAnswer)},
    )
    async def instrument(request: Request, idempotency_key: Key = None) -> Response:
        """Up to 100 emails in one request, each instrumented, skipped or rejected by itself.

        Send `html` and `text` with the `headers` given, and `return_path` as MAIL FROM, soon: an unsubscribe that comes
        in between is not known to your system. DKIM must cover both List-Unsubscribe headers. Then tell
        `POST /v1/events` what became of it: an email that nobody says was sent is in no rate. Asking again is fine.
        """
        body = await request.body()
        return await idempotency.once(request, body, lambda: instrumenting.answer(request, body))

    @router.post(
        "/events",
        dependencies=may_send,
        summary="Tell what became of emails that you send yourself",
        status_code=202,
        max_body_size=MAX_BODY_BYTES,
        openapi_extra=openapi.body(OwnEventsRequest, events=_TOLD),
        responses={202: openapi.content(OwnEventsAnswer), **responses, **refused(OwnEventsAnswer)},
    )
    async def tell(request: Request, idempotency_key: Key = None) -> Response:
        """Up to 1,000 events in one request, each taken or rejected by itself. Telling one again changes nothing.

        Tell `delivered` at once: within seconds, the judge knows by it who opened sooner than a person can. A hard
        bounce or a complaint has its consequences, for the lead and for the campaign, as if we had sent the email.
        """
        body = await request.body()
        return await idempotency.once(request, body, lambda: telling.answer(body))

    return (router,)
