"""`/u/{token}`: a page that asks, and a POST that does it. A GET changes nothing, because scanners follow links.

The page may ask for a reason, and offer a pause instead; one click (RFC 8058) knows neither and unsubscribes.

The POST comes from the page's form or from the mail client itself (one-click, RFC 8058), and is answered only when
Kafka has both records: the lead's state and the event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from decisions.effects.suppress import left, snoozed
from ingest.api.http import openapi
from ingest.api.http.problems import MEDIA_TYPE
from ingest.metrics import IngestMetrics
from ingest.pages.pages import Pages
from schemas.errors import Reject, Retry
from schemas.events import Event, Lead, LeftList, Resubscribed, Snoozed, Unsubscribed, lines, to_ms
from schemas.settings import Settings
from schemas.tokens import BadToken, Claim, Purpose, event_id
from schemas.topics import EVENTS, LEADS
from stream.publisher import Publisher

_Way = Literal["page", "one-click", "undo", "pause", "unpause", "list", "rejoin"]


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a POST asks for; `reason` is one that the page offers, or empty; `list_name` is whatever it says."""

    way: _Way
    reason: str = ""
    list_name: str = ""


# The page that answers each, once it is done.
_DONE: Mapping[_Way, str] = {
    "page": "unsubscribed",
    "one-click": "unsubscribed",
    "undo": "resubscribed",
    "pause": "paused",
    "unpause": "unpaused",
    "list": "left",
    "rejoin": "rejoined",
}
_MARKS: Mapping[str, _Way] = {"confirm": "page", "undo": "undo", "pause": "pause", "unpause": "unpause"}
_LIST_MARKS: Mapping[str, _Way] = {"list": "list", "rejoin": "rejoin"}  # which name the list

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

    def answer(
        request: Request,
        status: int,
        name: str,
        more: dict[str, str] | None = None,
        *,
        until: date | None = None,
        lists: Sequence[str] = (),
        of_list: str = "",
    ) -> Response:
        wish = request.headers.get("accept-language", "")
        page = pages.page(name, wish, until=until, lists=lists, left=of_list)
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
            claim = settings.keyring.verify_published(Purpose.UNSUBSCRIBE, token)
        except BadToken as bad:
            metrics.unsubscribes.labels("page", bad.reason).inc()
            return answer(request, 404, "not_found")
        return answer(request, 200, "confirm", lists=claim.lists)

    @router.post(
        "/u/{token:path}",
        summary="Unsubscribe or pause, or take that back",
        responses=_ANSWERS,
        openapi_extra=_FORM,
        max_body_size=_BODY_BYTES,
    )
    async def unsubscribe(token: str, request: Request) -> Response:
        """Suppress the lead for every campaign. Answered once Kafka has it; doing it again is fine.

        The form says `confirm=1` (the page) or `List-Unsubscribe=One-Click` (RFC 8058), urlencoded, multipart or as
        plain text; `undo=1` takes it back. `reason` may stand beside `confirm`: one of those that the page offers,
        any other is left out. `pause=1` asks for no email for some days, `unpause=1` ends that. `list` leaves one of
        the email's lists, `rejoin` takes that back. A POST without a body is a mail client's, and unsubscribes.
        """
        wish = await _wish(request, settings)
        way = wish.way if wish else None
        try:
            claim = settings.keyring.verify_published(Purpose.UNSUBSCRIBE, token)
        except BadToken as bad:
            metrics.unsubscribes.labels(way or "none", bad.reason).inc()
            return answer(request, 404, "not_found")
        if wish is None or (wish.list_name and wish.list_name not in claim.lists):
            metrics.unsubscribes.labels("none", "unclear").inc()
            return answer(request, 400, "unclear")
        try:
            until = await _publish(settings, publisher, claim, wish)
        except (Retry, Reject):
            metrics.unsubscribes.labels(wish.way, "unavailable").inc()
            return answer(request, 503, "unavailable", {"Retry-After": "60"})
        metrics.unsubscribes.labels(wish.way, "recorded").inc()
        return answer(request, 200, _DONE[wish.way], until=until, of_list=wish.list_name)

    @router.api_route(
        "/u/{token:path}", methods=["OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"], include_in_schema=False
    )
    async def other_method(request: Request) -> Response:
        """Which methods there are (RFC 9110, 9.3.7 and 15.5.6); a router asked by method alone would name half."""
        return Response(status_code=204 if request.method == "OPTIONS" else 405, headers={"Allow": _METHODS})

    return router


async def _wish(request: Request, settings: Settings) -> _Wish | None:
    """What the POST asks for. Mail clients send the words of RFC 8058 as a form, as plain text, as nothing that they
    name, with a line end or without, and some send nothing at all: the address alone says it (RFC 8058, 3.2)."""
    body = await request.body()
    if not body.strip():
        return _Wish("one-click")
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return _asked(_fields(body), settings)
    try:
        async with request.form(max_files=0, max_fields=_FIELDS) as form:
            return _asked({name: value for name, value in form.items() if isinstance(value, str)}, settings)
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


def _asked(form: Mapping[str, str], settings: Settings) -> _Wish | None:
    said = {name.strip(): value.strip() for name, value in form.items()}
    if said.get("List-Unsubscribe", "").lower() == "one-click":
        return _Wish("one-click")
    ways = [way for name, way in _MARKS.items() if said.get(name) == "1"]
    for name, of_list in _LIST_MARKS.items():
        if said.get(name) and not ways:
            return _Wish(of_list, list_name=said[name])
    if len(ways) != 1 or (ways == ["pause"] and not settings.unsubscribe_pause_days):
        return None
    reason = said.get("reason", "")
    return _Wish(ways[0], reason if ways == ["page"] and reason in settings.reasons else "")


async def _publish(settings: Settings, publisher: Publisher, claim: Claim, wish: _Wish) -> date | None:
    """Write the fact and the event. Returns the day on which a pause ends."""
    now = datetime.now(UTC)
    fact, event = _effects(claim, wish, now, timedelta(days=settings.unsubscribe_pause_days))
    within = settings.answer_within_ms / 1000
    await asyncio.gather(
        publisher.publish(LEADS, fact.key, msgspec.json.encode(fact), within),
        publisher.publish(EVENTS, event.delivery_id, lines([event]), within),
    )
    return fact.until.date() if wish.way == "pause" and fact.until else None


def _effects(claim: Claim, wish: _Wish, now: datetime, pause: timedelta) -> tuple[Lead, Event]:
    delivery = str(claim.delivery_id)

    def of(kind: str) -> dict[str, Any]:
        # Each time is an event of its own, told apart by the second: what comes last holds, and a hasty repeat is one.
        return {
            "id": str(event_id(claim.delivery_id, f"{kind}\x1f{int(now.timestamp())}")),
            "at": now,
            "delivery_id": delivery,
            "campaign": claim.campaign,
            "step": claim.step,
            "variant": claim.variant,
            "lead": claim.lead,
        }

    match wish.way:
        case "page" | "one-click" as way:
            lead = Lead(lead=claim.lead, fact="unsubscribed", at=now, source=way)
            return lead, Unsubscribed(**of("unsubscribe"), via=way, reason=wish.reason)
        case "undo":
            lead = Lead(lead=claim.lead, fact="unsubscribed", at=now, holds=False, source="page")
            return lead, Resubscribed(**of("resubscribe"))
        case "pause" | "unpause" as way:
            until = to_ms(now + pause) if way == "pause" else now
            return snoozed(now, until, claim.lead), Snoozed(**of(f"snooze\x1f{way}"), until=until)
        case "list" | "rejoin" as way:
            name, back = wish.list_name, way == "rejoin"
            event = LeftList(**of(f"leave\x1f{name}\x1f{back}"), list_name=name, back=back)
            return left(now, name, claim.lead, back=back), event
