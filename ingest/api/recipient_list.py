"""`GET /v1/recipients`: the emails behind a number, one by one, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi import Query as Parameter
from fastapi.responses import Response
from msgspec import Meta, Struct

from clickhouse.columns import ABOUT
from clickhouse.outcomes import OUTCOMES, Place, read_place
from clickhouse.queries import get
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, QueryParameters, read_parameters
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem
from ingest.api.http.query_route import QueryRoute
from ingest.api.named_queries import (
    ASKED_OTHERWISE,
    UNANSWERED,
    Campaigns,
    Cursor,
    NamedQueries,
    Since,
    Until,
    cursor_of,
    mark_of,
    read,
    utc_now,
)
from schemas.errors import Reject
from schemas.events import Time
from schemas.settings import Settings

MAX_ROWS = 1000

Steps = Annotated[list[str] | None, Parameter(description="Of these steps alone; may be repeated. None: all.")]
Variants = Annotated[list[str] | None, Parameter(description="Of these variants alone; may be repeated. None: all.")]
Links = Annotated[
    list[str] | None,
    Parameter(description="Emails in which a person followed one of these links, by their ids; may be repeated."),
]
Outcomes = Annotated[
    list[str] | None,
    Parameter(
        description="What became of the emails; may be repeated, and then all of it did. None: sent. "
        + " ".join(f"`{name}`: {about}" for name, about in OUTCOMES.items()),
        examples=[["delivered", "not_opened"]],
    ),
]


class ListedRecipient(Struct, frozen=True, kw_only=True):
    """An email: to whom, and when each thing first happened to it; null for never. What lists and exports share."""

    lead: Annotated[str, Meta(description=ABOUT["lead"])]
    campaign: Annotated[str, Meta(description=ABOUT["campaign"])]
    step: Annotated[int, Meta(ge=0, le=255, description=ABOUT["step"])]
    variant: Annotated[str, Meta(description=ABOUT["variant"])]
    delivery_id: Annotated[str, Meta(description=ABOUT["delivery_id"])]
    sender: Annotated[str, Meta(description=ABOUT["sender"])]
    recipient_domain: Annotated[str, Meta(description=ABOUT["recipient_domain"])]
    sent_at: Annotated[Time | None, Meta(description=ABOUT["sent_at"])]
    skipped_at: Annotated[Time | None, Meta(description=ABOUT["skipped_at"])]
    delivered_at: Annotated[Time | None, Meta(description=ABOUT["delivered_at"])]
    opened_at: Annotated[Time | None, Meta(description=ABOUT["opened_at"])]
    clicked_at: Annotated[Time | None, Meta(description=ABOUT["clicked_at"])]
    replied_at: Annotated[Time | None, Meta(description=ABOUT["replied_at"])]
    bounced_at: Annotated[Time | None, Meta(description=ABOUT["bounced_at"])]
    unsubscribed_at: Annotated[Time | None, Meta(description=ABOUT["unsubscribed_at"])]
    complained_at: Annotated[Time | None, Meta(description=ABOUT["complained_at"])]


class RecipientEntry(ListedRecipient, frozen=True, kw_only=True):
    """An email: to whom, and when each thing first happened to it; null for never."""

    links: Annotated[list[str], Meta(description=ABOUT["links"])]
    why: Annotated[str, Meta(description="Why it was not sent, or what the mail server said when it bounced.")]


class RecipientsAnswer(Struct, frozen=True, kw_only=True):
    """A page of recipients, by the hour of sending, and where the next one begins, if there is one."""

    since: Time
    until: Time
    recipients: list[RecipientEntry]
    next: str | None


class _RecipientsCursor(Struct, frozen=True, array_like=True):
    """The period that the first page was asked for, and where the page before ended."""

    since: Time
    until: Time
    place: Place


_PAGE = get("recipients_page")
_PERIOD = {"since": "2026-03-02T00:00:00Z", "until": "2026-03-09T00:00:00Z"}
_EXAMPLE = {
    **_PERIOD,
    "recipients": [
        {
            **{"lead": "lead-4711", "campaign": "spring-launch", "step": 2, "variant": "A"},
            **{"delivery_id": "f3172b6e-0efb-5dfa-af6f-86d780383df8", "sender": "news@example.net"},
            **{"recipient_domain": "example.com", "sent_at": "2026-03-02T09:00:00Z", "skipped_at": None},
            **{"delivered_at": "2026-03-02T09:00:00Z", "opened_at": None, "clicked_at": None, "replied_at": None},
            **{"bounced_at": None, "unsubscribed_at": None, "complained_at": None, "links": [], "why": ""},
        }
    ],
    "next": None,
}


def recipient_routes(settings: Settings, named_queries: NamedQueries) -> APIRouter:
    """The router of `/v1/recipients`."""
    router = APIRouter(route_class=QueryRoute, tags=["numbers"], dependencies=[Depends(caller_of(settings, "read"))])

    @router.get(
        "/recipients",
        summary="Who opened, who did not, who clicked",
        responses={200: openapi.content(RecipientsAnswer, _EXAMPLE), **ASKED_OTHERWISE, **UNANSWERED},
    )
    async def recipients(
        since: Since = DEFAULT_SINCE,
        until: Until = DEFAULT_UNTIL,
        campaign: Campaigns = None,
        step: Steps = None,
        variant: Variants = None,
        link: Links = None,
        outcome: Outcomes = None,
        limit: Annotated[int, Parameter(ge=1, le=MAX_ROWS, description="Rows of a page.")] = 100,
        cursor: Cursor = "",
    ) -> Response:
        """The emails behind a number of `/v1/campaigns/{id}/stats`: as many, of the same period. A row is an email, so
        a lead that got several has several. What comes true of an email while you read shows it on a page to come, or
        not at all; no email comes twice."""
        first = read_parameters(
            since,
            until,
            campaign,
            "UTC",
            utc_now(),
            steps=step,
            variants=variant,
            links=link,
            outcomes=outcome,
            limit=limit + 1,
        )
        asked = _after(first, cursor)
        rows = (await named_queries.rows([_PAGE], asked))[_PAGE.name]
        page = rows[:limit]
        mark = _RecipientsCursor(asked.since, asked.until, read_place(page[-1]["place"])) if len(rows) > limit else None
        answer = RecipientsAnswer(
            since=asked.since,
            until=asked.until,
            recipients=read(list(map(_named, page)), RecipientEntry),
            next=cursor_of(mark) if mark else None,
        )
        return openapi.answer(200, answer)

    return router


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "campaign": row["campaign_id"], "links": row["followed"]}


def _after(first: QueryParameters, cursor: str) -> QueryParameters:
    """The question of the page after the one that gave the cursor: of the first page's period, whatever time it is."""
    if not cursor:
        return first
    mark = mark_of(cursor, _RecipientsCursor)
    try:
        period = read_parameters(mark.since.isoformat(), mark.until.isoformat(), [], "UTC", utc_now())
    except Reject as reject:
        raise Problem(422, "The cursor is not one of ours.", reason="cursor-invalid") from reject
    return replace(first, since=period.since, until=period.until, after=mark.place)
