"""`/u/{token}`: a page that asks, and a POST that does it. A GET changes nothing, because scanners follow links.

The POST comes from the page's form or from the mail client itself (one-click, RFC 8058), and is answered only when
Kafka has both records: the lead's state and the event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from ingest.api.http import openapi
from ingest.api.http.problems import MEDIA_TYPE
from ingest.metrics import IngestMetrics
from ingest.pages.pages import Pages
from schemas.errors import Reject, Retry
from schemas.events import Lead, Resubscribed, Unsubscribed, lines
from schemas.settings import Settings
from schemas.tokens import BadToken, Claim, Purpose, event_id
from schemas.topics import EVENTS, LEADS
from stream.publisher import Publisher

_Way = Literal["page", "one-click", "undo"]

_FIELDS = 10
_BODY_BYTES = 16 * 1024
_METHODS = "GET, HEAD, POST, OPTIONS"
_FORM = {
    "requestBody": {
        "content": {
            kind: {"schema": {"type": "object", "additionalProperties": {"type": "string"}}}
            for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
        }
    }
}
_ANSWERS: dict[int | str, dict[str, object]] = {
    400: {"description": "Neither a confirmation nor a one-click request; nothing was changed."},
    # The problem is for what is no path of ours at all, such as one with a line feed.
    404: {
        "description": "The token proves nothing.",
        "content": {"text/html": {}, MEDIA_TYPE: {"schema": openapi.PROBLEM}},
    },
    503: {"description": "Kafka did not take it; nothing is promised. Try again after `Retry-After` seconds."},
}


def unsubscribe_routes(settings: Settings, publisher: Publisher, pages: Pages, metrics: IngestMetrics) -> APIRouter:
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
            settings.keyring.verify_published(Purpose.UNSUBSCRIBE, token)
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

        The form says `confirm=1` (the page) or `List-Unsubscribe=One-Click` (RFC 8058), urlencoded, multipart or as
        plain text; `undo=1` takes it back. A POST without a body is a mail client's, and unsubscribes.
        """
        way = await _way(request)
        try:
            claim = settings.keyring.verify_published(Purpose.UNSUBSCRIBE, token)
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
    """What the POST asks for. Mail clients send the words of RFC 8058 as a form, as plain text, as nothing that they
    name, with a line end or without, and some send nothing at all: the address alone says it (RFC 8058, 3.2)."""
    body = await request.body()
    if not body.strip():
        return "one-click"
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return _asked(_fields(body))
    try:
        async with request.form(max_files=0, max_fields=_FIELDS) as form:
            return _asked({name: value for name, value in form.items() if isinstance(value, str)})
    except HTTPException as error:
        if error.status_code == 400:  # a body that is no form says as little as an empty one
            return None
        raise


def _fields(body: bytes) -> dict[str, str]:
    """The fields of an urlencoded form; any other body has no known fields."""
    try:
        return dict(parse_qsl(body.decode("latin-1").strip(), max_num_fields=_FIELDS))
    except ValueError:
        return {}


def _asked(form: Mapping[str, str]) -> _Way | None:
    said = {name.strip(): value.strip() for name, value in form.items()}
    if said.get("List-Unsubscribe", "").lower() == "one-click":
        return "one-click"
    if said.get("undo") == "1":
        return "undo"
    return "page" if said.get("confirm") == "1" else None


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
    lead = Lead(
        lead=claim.lead, fact="unsubscribed", at=now, holds=way != "undo", source="page" if way == "undo" else way
    )
    within = settings.answer_within_ms / 1000
    await asyncio.gather(
        publisher.publish(LEADS, lead.key, msgspec.json.encode(lead), within),
        publisher.publish(EVENTS, delivery, lines([event]), within),
    )
