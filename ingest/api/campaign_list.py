"""`GET /v1/campaigns`: every campaign, page by page, with its numbers of a period."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi import Query as Parameter
from fastapi.responses import Response
from msgspec import Meta, Struct

from clickhouse.columns import ABOUT
from clickhouse.outcomes import Place
from clickhouse.queries import get
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, read_parameters
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem
from ingest.api.http.query_route import QueryRoute
from ingest.api.named_queries import (
    ASKED_OTHERWISE,
    UNANSWERED,
    Cursor,
    NamedQueries,
    Since,
    Until,
    cursor_of,
    mark_of,
    read,
    utc_now,
)
from ingest.api.stats import Stats
from schemas.errors import Reject
from schemas.events import Time
from schemas.settings import Settings

MAX_ROWS = 500  # by_campaign gives no more


class ListedCampaign(Struct, frozen=True, kw_only=True):
    """A campaign, and what became of its emails sent in the period."""

    id: Annotated[str, Meta(description=ABOUT["campaign"])]
    name: Annotated[str, Meta(description=ABOUT["name"])]
    state: Annotated[str, Meta(description=ABOUT["state"])]
    created_at: Annotated[Time, Meta(description="When it was first declared.")]
    stats: Stats


class CampaignsAnswer(Struct, frozen=True, kw_only=True):
    """A page of campaigns by their ids, and where the next one begins, if there is one."""

    since: Time
    until: Time
    campaigns: list[ListedCampaign]
    next: str | None


class _CampaignsCursor(Struct, frozen=True, array_like=True):
    """The period that the first page was asked for, and the last campaign of the page before."""

    since: Time
    until: Time
    campaign: Annotated[str, Meta(max_length=320)]


_PAGE, _NUMBERS = get("campaigns_page"), get("by_campaign")
# What a campaign has of which nothing was sent.
_NONE_SENT = {name: None if name.endswith("_rate") else 0 for name in Stats.__struct_fields__}
_EXAMPLE = {
    "since": "2026-03-02T00:00:00Z",
    "until": "2026-03-09T00:00:00Z",
    "campaigns": [
        {
            **{"id": "spring-launch", "name": "Spring launch", "state": "Active"},
            **{"created_at": "2026-02-20T08:00:00Z", "stats": _NONE_SENT},
        }
    ],
    "next": None,
}


def campaign_list_routes(settings: Settings, named_queries: NamedQueries) -> APIRouter:
    """The router of `GET /v1/campaigns`."""
    router = APIRouter(route_class=QueryRoute, tags=["numbers"], dependencies=[Depends(caller_of(settings, "read"))])

    @router.get(
        "/campaigns",
        summary="All campaigns, with their numbers",
        responses={200: openapi.content(CampaignsAnswer, _EXAMPLE), **ASKED_OTHERWISE, **UNANSWERED},
    )
    async def campaigns(
        since: Since = DEFAULT_SINCE,
        until: Until = DEFAULT_UNTIL,
        limit: Annotated[int, Parameter(ge=1, le=MAX_ROWS, description="Rows of a page.")] = 100,
        cursor: Cursor = "",
    ) -> Response:
        """Those of which nothing was sent in the period are there too, with zeros. A campaign that was declared in the
        last second may be missing still."""
        after = ""
        if cursor:
            mark = mark_of(cursor, _CampaignsCursor)
            since, until, after = mark.since.isoformat(), mark.until.isoformat(), mark.campaign
        try:
            asked = read_parameters(since, until, [], "UTC", utc_now(), limit=limit + 1)
        except Reject as reject:
            if cursor:
                raise Problem(422, "The cursor is not one of ours.", reason="cursor-invalid") from reject
            raise
        listed = (await named_queries.rows([_PAGE], replace(asked, after=Place(campaign=after))))[_PAGE.name]
        page = listed[:limit]
        ids = tuple(row["id"] for row in page)
        counted = (await named_queries.rows([_NUMBERS], replace(asked, campaigns=ids)))[_NUMBERS.name] if ids else []
        numbers = {row["campaign_id"]: row for row in counted}
        rows = [row | {"stats": numbers.get(row["id"], _NONE_SENT)} for row in page]
        end = _CampaignsCursor(asked.since, asked.until, ids[-1]) if len(listed) > limit else None
        answer = CampaignsAnswer(
            since=asked.since,
            until=asked.until,
            campaigns=read(rows, ListedCampaign),
            next=cursor_of(end) if end else None,
        )
        return openapi.answer(200, answer)

    return router
