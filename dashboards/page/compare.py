"""What a board is compared with: the period before, the same weekdays before, the same dates a year before, or another
campaign in the same period."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from clickhouse.query_parameters import MAX_ID, QueryParameters

COMPARE = rf"(before|weekdays|year|campaign:.{{1,{MAX_ID}}})?"
"""What `compare` may be; a campaign is named by its id."""
CAMPAIGN = "campaign:"

_WEEK = timedelta(weeks=1)


def other(asked: QueryParameters, compare: str) -> QueryParameters | None:
    """The same question of the other period or campaign; None where nothing is compared. Days are those of the
    question's timezone, so that a midnight stays one when clocks change in between."""
    if compare.startswith(CAMPAIGN):
        return replace(asked, campaigns=(compare.removeprefix(CAMPAIGN),))
    length = asked.until - asked.since
    if compare == "before":
        return replace(asked, since=asked.since - length, until=asked.since)
    if compare == "weekdays":
        back = math.ceil(length / _WEEK) * _WEEK
        return replace(
            asked,
            since=_moved(asked.since, asked.timezone, lambda at: at - back),
            until=_moved(asked.until, asked.timezone, lambda at: at - back),
        )
    if compare == "year":
        return replace(
            asked,
            since=_moved(asked.since, asked.timezone, _a_year_before),
            until=_moved(asked.until, asked.timezone, _a_year_before),
        )
    return None


def _moved(moment: datetime, timezone: str, by: Callable[[datetime], datetime]) -> datetime:
    """The moment moved as the clocks and calendars of the timezone show it."""
    zone = ZoneInfo(timezone)
    return by(moment.astimezone(zone).replace(tzinfo=None)).replace(tzinfo=zone).astimezone(UTC)


def _a_year_before(at: datetime) -> datetime:
    is_leap_day = (at.month, at.day) == (2, 29)
    return at.replace(year=at.year - 1, day=28 if is_leap_day else at.day)
