"""`/v1` for those who read numbers: of a campaign, and day by day. The boards' own queries, as JSON with types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path
from fastapi import Query as Parameter
from fastapi.responses import Response
from msgspec import Meta, Struct

from clickhouse.columns import ABOUT
from clickhouse.queries import get
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, read_parameters
from ingest.api.campaigns import FindCampaign
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem, described
from ingest.api.http.query_route import QueryRoute
from ingest.api.named_queries import (
    ASKED_OTHERWISE,
    UNANSWERED,
    Campaigns,
    Cursor,
    NamedQueries,
    Since,
    Timezone,
    Until,
    cursor_of,
    mark_of,
    read,
    utc_now,
)
from schemas.events import Time
from schemas.settings import Settings

MAX_DAYS = 400

_Count = Annotated[int, Meta(ge=0)]


class OutcomeCounts(Struct, frozen=True, kw_only=True):
    """What became of the emails that were sent in the period, whenever it did; each email counts once."""

    sent: Annotated[int, Meta(ge=0, description=ABOUT["sent"])]
    delivered: Annotated[int, Meta(ge=0, description=ABOUT["delivered"])]
    hard_bounced: Annotated[int, Meta(ge=0, description=ABOUT["hard_bounced"])]
    soft_bounced: Annotated[int, Meta(ge=0, description=ABOUT["soft_bounced"])]
    blocked: Annotated[int, Meta(ge=0, description=ABOUT["blocked"])]
    opened: Annotated[int, Meta(ge=0, description=ABOUT["opened"])]
    raw_opened: Annotated[int, Meta(ge=0, description=ABOUT["raw_opened"])]
    machine_opened: Annotated[int, Meta(ge=0, description=ABOUT["machine_opened"])]
    clicked: Annotated[int, Meta(ge=0, description=ABOUT["clicked"])]
    raw_clicked: Annotated[int, Meta(ge=0, description=ABOUT["raw_clicked"])]
    unsubscribed: Annotated[int, Meta(ge=0, description=ABOUT["unsubscribed"])]
    replied: Annotated[int, Meta(ge=0, description=ABOUT["replied"])]
    raw_replied: Annotated[int, Meta(ge=0, description=ABOUT["raw_replied"])]
    complained: Annotated[int, Meta(ge=0, description=ABOUT["complained"])]
    pixel_opened: Annotated[int, Meta(ge=0, description=ABOUT["pixel_opened"])]
    opened_with_pixel: Annotated[int, Meta(ge=0, description=ABOUT["opened_with_pixel"])]
    raw_opened_with_pixel: Annotated[int, Meta(ge=0, description=ABOUT["raw_opened_with_pixel"])]
    delivered_with_pixel: Annotated[int, Meta(ge=0, description=ABOUT["delivered_with_pixel"])]
    delivered_with_links: Annotated[int, Meta(ge=0, description=ABOUT["delivered_with_links"])]


class Stats(OutcomeCounts, frozen=True, kw_only=True):
    """The counts, and their rates, 0 to 1; null where there is nothing to divide by, as where no email can show it."""

    delivery_rate: Annotated[float | None, Meta(description=ABOUT["delivery_rate"])]
    hard_bounce_rate: Annotated[float | None, Meta(description=ABOUT["hard_bounce_rate"])]
    soft_bounce_rate: Annotated[float | None, Meta(description=ABOUT["soft_bounce_rate"])]
    block_rate: Annotated[float | None, Meta(description=ABOUT["block_rate"])]
    open_rate: Annotated[float | None, Meta(description=ABOUT["open_rate"])]
    raw_open_rate: Annotated[float | None, Meta(description=ABOUT["raw_open_rate"])]
    machine_open_rate: Annotated[float | None, Meta(description=ABOUT["machine_open_rate"])]
    click_rate: Annotated[float | None, Meta(description=ABOUT["click_rate"])]
    raw_click_rate: Annotated[float | None, Meta(description=ABOUT["raw_click_rate"])]
    click_to_open_rate: Annotated[float | None, Meta(description=ABOUT["click_to_open_rate"])]
    raw_click_to_open_rate: Annotated[float | None, Meta(description=ABOUT["raw_click_to_open_rate"])]
    unsubscribe_rate: Annotated[float | None, Meta(description=ABOUT["unsubscribe_rate"])]
    reply_rate: Annotated[float | None, Meta(description=ABOUT["reply_rate"])]
    raw_reply_rate: Annotated[float | None, Meta(description=ABOUT["raw_reply_rate"])]
    complaint_rate: Annotated[float | None, Meta(description=ABOUT["complaint_rate"])]


class VariantStats(Stats, frozen=True, kw_only=True):
    """A variant of a step, and what became of its emails."""

    step: Annotated[int, Meta(ge=0, le=255)]
    variant: str


class CampaignStats(Struct, frozen=True, kw_only=True):
    """A campaign's numbers of a period, of the period of equal length before it, and of each variant of each step (at
    most 500)."""

    campaign: str
    name: str
    since: Time
    until: Time
    stats: Stats
    before: Stats
    variants: list[VariantStats]


class Activity(Struct, frozen=True, kw_only=True):
    """What happened on the day, whenever the emails were sent: how many emails for the first time."""

    sent: _Count = 0
    opened: _Count = 0
    clicked: _Count = 0
    replied: _Count = 0
    unsubscribed: _Count = 0


class Day(Stats, frozen=True, kw_only=True):
    """A day: what became of the emails sent on it (whenever it did), and what happened on it."""

    day: date
    happened: Activity


class DailyAnswer(Struct, frozen=True, kw_only=True):
    """The days of the period, the oldest first, and where the next page begins, if there is one."""

    since: Time
    until: Time
    timezone: str
    days: list[Day]
    next: str | None


class _DayCursor(Struct, frozen=True, array_like=True):
    """Where the next page of days begins, and the period that the first page was asked for."""

    at: Time
    since: Time
    until: Time


_HEADLINE, _VARIANTS = get("headline"), get("by_variant")
_DAILY, _ACTIVITY = get("daily"), get("daily_activity")
_STATS = {
    **{"sent": 1000, "delivered": 980, "hard_bounced": 12, "soft_bounced": 6, "blocked": 2, "opened": 441},
    **{"raw_opened": 702, "machine_opened": 220, "clicked": 98, "raw_clicked": 260, "unsubscribed": 4, "replied": 31},
    **{"pixel_opened": 430, "opened_with_pixel": 441, "raw_opened_with_pixel": 702},
    **{"delivered_with_pixel": 980, "delivered_with_links": 980},
    **{"raw_replied": 52, "complained": 1, "delivery_rate": 0.98, "hard_bounce_rate": 0.012, "soft_bounce_rate": 0.006},
    **{"block_rate": 0.002, "open_rate": 0.45, "raw_open_rate": 0.7163265, "machine_open_rate": 0.2244898},
    **{"click_rate": 0.1, "raw_click_rate": 0.2653061, "click_to_open_rate": 0.2222222},
    **{"raw_click_to_open_rate": 0.3703704, "unsubscribe_rate": 0.0040816, "reply_rate": 0.0316327},
    **{"raw_reply_rate": 0.0530612, "complaint_rate": 0.0010204},
}
_PERIOD = {"since": "2026-03-02T00:00:00Z", "until": "2026-03-09T00:00:00Z"}
_CAMPAIGN_EXAMPLE = {
    **{"campaign": "spring-launch", "name": "Spring launch", **_PERIOD},
    **{"stats": _STATS, "before": _STATS, "variants": [{"step": 1, "variant": "A", **_STATS}]},
}
_DAY_EXAMPLE = {
    **{"day": "2026-03-02", **_STATS},
    "happened": {"sent": 1000, "opened": 380, "clicked": 77, "replied": 19, "unsubscribed": 2},
}
_DAILY_EXAMPLE = {**_PERIOD, "timezone": "UTC", "days": [_DAY_EXAMPLE], "next": None}


def stats_routes(settings: Settings, named_queries: NamedQueries, known: FindCampaign) -> APIRouter:
    """The router of `/v1/campaigns/{id}/stats` and `/v1/stats/daily`."""
    router = APIRouter(
        route_class=QueryRoute,
        tags=["numbers"],
        dependencies=[Depends(caller_of(settings, "read"))],
        responses={
            **ASKED_OTHERWISE,
            **UNANSWERED,
        },
    )

    @router.get(
        "/campaigns/{id}/stats",
        summary="A campaign's numbers",
        responses={
            200: openapi.content(CampaignStats, _CAMPAIGN_EXAMPLE),
            **described(404, "There is none of this id."),
        },
    )
    async def campaign_stats(
        id: Annotated[str, Path(examples=["spring-launch"])],
        since: Since = DEFAULT_SINCE,
        until: Until = DEFAULT_UNTIL,
    ) -> Response:
        """The Overview's numbers of one campaign. A rate is of the emails sent in the period, whenever they were opened
        or answered, so the rates of the last days still grow."""
        asked = read_parameters(since, until, [id], "UTC", utc_now())
        found = await known(id)
        if found is None:
            raise Problem(404, "There is no campaign of this id.")
        rows = await named_queries.rows([_HEADLINE, _VARIANTS], asked)
        before, now = read(rows["headline"], Stats)
        answer = CampaignStats(
            campaign=id,
            name=found.name,
            since=asked.since,
            until=asked.until,
            stats=now,
            before=before,
            variants=read(rows["by_variant"], VariantStats),
        )
        return openapi.answer(200, answer)

    @router.get(
        "/stats/daily",
        summary="Numbers day by day",
        responses={200: openapi.content(DailyAnswer, _DAILY_EXAMPLE)},
    )
    async def daily(
        since: Since = DEFAULT_SINCE,
        until: Until = DEFAULT_UNTIL,
        campaign: Campaigns = None,
        timezone: Timezone = "UTC",
        limit: Annotated[int, Parameter(ge=1, le=MAX_DAYS, description="Days of a page.")] = 100,
        cursor: Cursor = "",
    ) -> Response:
        """Every day of the period is there, quiet ones with zeros. The counts of the days add up to the period's.
        `happened` counts by the time of what happened instead, so it never changes once its day is over."""
        asked = read_parameters(since, until, campaign or [], timezone, utc_now())
        mark = mark_of(cursor, _DayCursor) if cursor else _DayCursor(asked.since, asked.since, asked.until)
        if not mark.since <= mark.at < mark.until:
            raise Problem(422, "The cursor is not one of ours.", reason="cursor-invalid")
        page = read_parameters(mark.at.isoformat(), mark.until.isoformat(), asked.campaigns, timezone, utc_now())
        end = min(_midnight_after(page.since, timezone, limit), page.until)
        rows = await named_queries.rows([_DAILY, _ACTIVITY], replace(page, until=end))
        answer = DailyAnswer(
            since=mark.since,
            until=mark.until,
            timezone=timezone,
            days=_days(rows),
            next=cursor_of(_DayCursor(end, mark.since, mark.until)) if end < mark.until else None,
        )
        return openapi.answer(200, answer)

    return router


def _days(rows: Mapping[str, list[dict[str, Any]]]) -> list[Day]:
    happened = {row["day"]: row for row in rows["daily_activity"]}
    return read([row | {"happened": happened.get(row["day"], {})} for row in rows["daily"]], Day)


def _midnight_after(moment: datetime, timezone: str, days: int) -> datetime:
    """The end of the so many days of which the moment's is the first."""
    zone = ZoneInfo(timezone)
    day = moment.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(day, time(), zone).astimezone(UTC)
