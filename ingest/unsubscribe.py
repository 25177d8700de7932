"""`/u/{token}`: a page that asks, and a POST that does it. A GET changes nothing, because scanners follow links.

The POST comes from the page's form or from the mail client itself (one-click, RFC 8058), and is answered only when
Kafka has both records: the lead's state and the event.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from ingest.metrics import Metrics
from ingest.pages import Pages
from ingest.problems import MEDIA_TYPE
from ingest.publisher import Publisher
from schemas.errors import Reject, Retry
from schemas.events import Lead, Resubscribed, Unsubscribed, lines
from schemas.settings import Settings
from schemas.tokens import BadToken, Claim, Purpose, event_id
from schemas.topics import EVENTS, LEADS

_Way = Literal["page", "one-click", "undo"]

_BODY_BYTES = 16 * 1024
_METHODS = "GET, HEAD, POST, OPTIONS"
_FORM = {
    "requestBody": {
        "content": {
            kind: {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}
            for kind in ("application/x-www-form-urlencoded", "multipart/form-data")
        }
    }
}
_ANSWERS: dict[int | str, dict[str, object]] = {
    400: {"description": "Neither a confirmation nor a one-click request; nothing was changed."},
    # The problem is for what is no path of ours at all, such as one with a line feed.
    404: {"description": "The token proves nothing.", "content": {"text/html": {}, MEDIA_TYPE: {}}},
    503: {"description": "Kafka did not take it; nothing is promised. Try again after `Retry-After` seconds."},
}


def unsubscribe_routes(settings: Settings, publisher: Publisher, pages: Pages, metrics: Metrics) -> APIRouter:
    """The router of `/u/`."""
    router = APIRouter(tags=["recipients"], default_response_class=HTMLResponse)

    def answer(request: Request, status: int, name: str, more: dict[str, str] | None = None) -> Response:
        page = pages.page(name, request.headers.get("accept-language", ""))
        return HTMLResponse(page, status, headers={**pages.headers, **(more or {})})

    @router.head("/u/{token:path}", include_in_schema=False)
    @router.get(
        "/u/{token:path}",
        summary="Ask whether to unsubscribe",
        responses={404: _ANSWERS[404]},
    )
    async def ask(token: str, request: Request) -> Response:
        """The confirmation page. Changes nothing, however often it is fetched."""
        try:
            settings.keyring.verify(Purpose.UNSUBSCRIBE, token)
        except BadToken as bad:
            metrics.unsubscribes.labels("page", bad.reason).inc()
            return answer(request, 404, "not_found")
        return answer(request, 200, "confirm")

    @router.post(
        "/u/{token:path}",
        summary="Unsubscribe, or take that back",
        responses=_ANSWERS,
        openapi_extra=_FORM,
        max_body_size=_BODY_BYTES,
    )
    async def unsubscribe(token: str, request: Request) -> Response:
        """Suppress the lead for every campaign. Answered once Kafka has it; doing it again is fine.

        The form says `confirm=1` (the page) or `List-Unsubscribe=One-Click` (RFC 8058), urlencoded or multipart;
        `undo=1` takes it back.
        """
        way = await _way(request)
        try:
            claim = settings.keyring.verify(Purpose.UNSUBSCRIBE, token)
        except BadToken as bad:
            metrics.unsubscribes.labels(way or "none", bad.reason).inc()
            return answer(request, 404, "not_found")
        if way is None:
            metrics.unsubscribes.labels("none", "unclear").inc()
            return answer(request, 400, "unclear")
        try:
            await _publish(settings, publisher, claim, way)
        except (Retry, Reject):
            metrics.unsubscribes.labels(way, "unavailable").inc()
            return answer(request, 503, "unavailable", {"Retry-After": "60"})
        metrics.unsubscribes.labels(way, "recorded").inc()
        return answer(request, 200, "resubscribed" if way == "undo" else "unsubscribed")

    @router.api_route(
        "/u/{token:path}", methods=["OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"], include_in_schema=False
    )
    async def other_method(request: Request) -> Response:
        """Which methods there are (RFC 9110, 9.3.7 and 15.5.6); a router asked by method alone would name half."""
        return Response(status_code=204 if request.method == "OPTIONS" else 405, headers={"Allow": _METHODS})

    return router


async def _way(request: Request) -> _Way | None:
    try:
        async with request.form(max_files=0, max_fields=10) as form:
            if form.get("List-Unsubscribe") == "One-Click":
                return "one-click"
            if form.get("undo") == "1":
                return "undo"
            return "page" if form.get("confirm") == "1" else None
    except HTTPException as error:
        if error.status_code == 400:  # a body that is no form says as little as an empty one
            return None
        raise


async def _publish(settings: Settings, publisher: Publisher, claim: Claim, way: _Way) -> None:
    now = datetime.now(UTC)
    delivery = str(claim.delivery_id)
    # Each time is an event of its own, told apart by the second: what comes last holds, and a hasty repeat is one.
    kind = "resubscribe" if way == "undo" else "unsubscribe"
    of: dict[str, Any] = {
        "id": str(event_id(claim.delivery_id, f"{kind}\x1f{int(now.timestamp())}")),
        "at": now,
        "delivery_id": delivery,
        "campaign": claim.campaign,
        "step": claim.step,
        "variant": claim.variant,
        "lead": claim.lead,
    }
    event = Resubscribed(**of) if way == "undo" else Unsubscribed(**of, via=way)
    lead = Lead(lead=claim.lead, fact="unsubscribed", at=now, holds=way != "undo")
    within = settings.answer_within_ms / 1000
    await asyncio.gather(
        publisher.publish(LEADS, lead.key, msgspec.json.encode(lead), within),
        publisher.publish(EVENTS, delivery, lines([event]), within),
    )
