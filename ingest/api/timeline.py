"""`GET /v1/leads/{id}/timeline`: everything that ever happened to one lead, page by page, the newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi import Query as Parameter
from fastapi.responses import Response
from msgspec import Meta, Struct

from clickhouse.columns import ABOUT
from clickhouse.queries import get
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, read_parameters
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem, described
from ingest.api.http.query_route import QueryRoute
from ingest.api.named_queries import (
    ASKED_OTHERWISE,
    UNANSWERED,
    Cursor,
    NamedQueries,
    cursor_of,
    mark_of,
    read,
    utc_now,
)
from schemas.events import Time
from schemas.settings import Settings

MAX_ROWS = 500


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """One thing that happened to the lead, or holds of it."""

    at: Annotated[Time, Meta(description=ABOUT["at"])]
    kind: Annotated[
        str,
        Meta(
            description="An event's kind (sent, delivered, open, ...); `fact`: since then it gets no more mail, or "
            "gets it again; `waiting`: an email waits to be sent."
        ),
    ]
    happened: Annotated[str, Meta(description="The same in words.")]
    campaign: Annotated[str, Meta(description="The campaign's id; empty for what is of none.")]
    step: Annotated[int | None, Meta(description=ABOUT["step"])]
    variant: str
    verdict: Annotated[str, Meta(description=ABOUT["verdict"])]
    reason: Annotated[str, Meta(description=ABOUT["reason"])]
    what: Annotated[str, Meta(description="What there is to tell of it: a link's address, a server's answer, ...")]
    wrote: Annotated[str, Meta(description="What a person wrote in reply, its first 1,000 characters.")]
    client: Annotated[str, Meta(description=ABOUT["client"])]
    device: Annotated[str, Meta(description=ABOUT["device"])]
    country: Annotated[str, Meta(description=ABOUT["country"])]
    ip: Annotated[str, Meta(description=ABOUT["ip"])]
    user_agent: Annotated[str, Meta(description="What the client of a hit called itself.")]
    rules_version: Annotated[str, Meta(description="The version of the rules that judged.")]


class _TimelineRow(TimelineEntry, frozen=True, kw_only=True):
    place: int
    id: str


class _TimelineCursor(Struct, frozen=True, array_like=True):
    """Where the page before ended."""

    lead: str
    at: Time
    place: Annotated[int, Meta(ge=0, le=100)]
    id: Annotated[str, Meta(max_length=500)]


class TimelineAnswer(Struct, frozen=True, kw_only=True):
    """A page of the timeline, the newest first, and where the next one begins, if there is one."""

    lead: str
    happenings: list[TimelineEntry]
    next: str | None


_PAGE = get("lead_timeline_page")
_TOP = datetime(2100, 1, 1, tzinfo=UTC)
_EXAMPLE = {
    "lead": "lead-4711",
    "happenings": [
        {
            **{"at": "2026-03-02T10:00:00Z", "kind": "open", "happened": "Opened", "campaign": "spring-launch"},
            **{"step": 1, "variant": "A", "verdict": "human", "reason": "mail-client"},
            **{"what": "Thunderbird, desktop, DE, 203.0.113.0/24", "wrote": "", "client": "Thunderbird"},
            **{"device": "desktop", "country": "DE", "ip": "203.0.113.0/24"},
            **{"user_agent": "Mozilla/5.0 ... Thunderbird/128.5.0", "rules_version": "2026-11-20"},
        }
    ],
    "next": None,
}


def timeline_routes(settings: Settings, named_queries: NamedQueries) -> APIRouter:
    """The router of `/v1/leads`."""
    router = APIRouter(route_class=QueryRoute, tags=["numbers"], dependencies=[Depends(caller_of(settings, "read"))])

    @router.get(
        "/leads/{id:path}/timeline",  # an id is any text, a slash may be in it
        summary="Everything that happened to a lead",
        responses={
            200: openapi.content(TimelineAnswer, _EXAMPLE),
            **described(404, "Nothing is known of a lead of this id."),
            **ASKED_OTHERWISE,
            **UNANSWERED,
        },
    )
    async def timeline(
        id: Annotated[str, Path(examples=["lead-4711"])],
        limit: Annotated[int, Parameter(ge=1, le=MAX_ROWS, description="Rows of a page.")] = 100,
        cursor: Cursor = "",
    ) -> Response:
        """Of all campaigns, hits with the verdict on them and the rule that gave it included. What happens while you
        read is at the top of a later first page, and moves no other."""
        mark = mark_of(cursor, _TimelineCursor) if cursor else _TimelineCursor(id, _TOP, 0, "")
        if mark.lead != id:
            raise Problem(422, "The cursor is another lead's.", reason="cursor-invalid")
        asked = read_parameters(DEFAULT_SINCE, DEFAULT_UNTIL, [], "UTC", utc_now(), lead=id)
        before = {
            "before": mark.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "before_place": mark.place,
            "before_id": mark.id,
            "limit": limit + 1,
        }
        rows = read((await named_queries.rows([_PAGE], asked, before))[_PAGE.name], _TimelineRow)
        if not rows and not cursor:
            raise Problem(404, "Nothing is known of a lead of this id.")
        page = rows[:limit]
        last = page[-1] if len(rows) > limit else None
        answer = TimelineAnswer(
            lead=id,
            happenings=[_shown(row) for row in page],
            next=cursor_of(_TimelineCursor(id, last.at, last.place, last.id)) if last else None,
        )
        return openapi.answer(200, answer)

    return router


def _shown(row: _TimelineRow) -> TimelineEntry:
    return TimelineEntry(**{name: getattr(row, name) for name in TimelineEntry.__struct_fields__})
