"""A query's parameters from a URL: a period, a timezone and choices, checked before anything is run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from clickhouse.outcomes import OUTCOMES, START, Place, read_place
from schemas.errors import Reject

DEFAULT_SINCE, DEFAULT_UNTIL = "now-30d", "now"
MAX_CHOSEN = 100
MAX_ID = 64  # characters, schemas.events.Name
MAX_ADDRESS = 320  # characters, of a sender or of a lead that is called by its address
LINK = 64  # characters: 32 bytes in hexadecimal
PAGE = 100  # rows, unless more or fewer are asked for

# ClickHouse's DateTime ends in 2106; the period before the one asked for must not begin before 1900.
_FIRST, _LAST, _LONGEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), timedelta(days=3660)
_RELATIVE = re.compile(r"now(?:-(?P<count>\d{1,6})(?P<unit>[smhdw]))?")
# As Grafana has it, but for an end, which is the beginning too: yesterday is from now-1d/d to now/d.
_WHOLE = re.compile(r"now(?:-(?P<count>\d{1,5})(?P<unit>[dwM]))?/(?P<start>[dwM])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class QueryParameters:
    """A question's parameters. `since` and `until` are in UTC; none chosen means all of them, but no lead no lead."""

    since: datetime
    until: datetime
    campaigns: tuple[str, ...]
    timezone: str
    steps: tuple[int, ...] = ()
    senders: tuple[str, ...] = ()
    lead: str = ""
    variants: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    after: Place = START
    limit: int = PAGE

    def parameters(self) -> dict[str, Any]:
        """As the queries take them."""
        return {
            "since": self.since.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "until": self.until.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
            "campaigns": list(self.campaigns),
            "timezone": self.timezone,
            "steps": list(self.steps),
            "senders": list(self.senders),
            "lead": self.lead,
            "variants": list(self.variants),
            "links": list(self.links),
            "outcomes": list(self.outcomes),
            "limit": self.limit,
            **self.after.parameters(),
        }


def read_parameters(
    since: str,
    until: str,
    campaigns: Sequence[str] | None,
    timezone: str,
    now: datetime,
    *,
    steps: Sequence[str] | None = (),
    senders: Sequence[str] | None = (),
    lead: str = "",
    variants: Sequence[str] | None = (),
    links: Sequence[str] | None = (),
    outcomes: Sequence[str] | None = (),
    place: str = "",
    limit: int = PAGE,
) -> QueryParameters:
    """Parse a URL's parameters. Times are ISO 8601 (UTC by default) or relative like Grafana's: `now-7d`, or `now/d`,
    `now/w` and `now-1M/M`, where a day, week or month of the timezone begins.

    `now` is the end of the second, so that what happened just now is in. Raises Reject with what to write instead.
    """
    if timezone not in _timezones():
        raise Reject("timezone-unknown", "name one of the IANA database, such as Europe/Paris or UTC")
    here = now.astimezone(ZoneInfo(timezone))
    start, end = _moment("since", since or DEFAULT_SINCE, here), _moment("until", until or DEFAULT_UNTIL, here)
    if start >= end:
        raise Reject("range-empty", "since must lie before until")
    if end - start > _LONGEST or start < _FIRST or end > _LAST:
        raise Reject("range-too-long", f"at most {_LONGEST.days} days, from {_FIRST.year} to {_LAST.year}")
    places = _chosen("step", "numbers from 0 to 255", steps, 3)
    if any(not re.fullmatch("[0-9]+", place) or int(place) > 255 for place in places):
        raise Reject("step-invalid", "name steps by their numbers, 0 to 255")
    if len(lead) > MAX_ADDRESS:
        raise Reject("lead-invalid", f"a lead's id has at most {MAX_ADDRESS} characters")
    return QueryParameters(
        start,
        end,
        _chosen("campaign", f"campaign ids of 1 to {MAX_ID} characters", campaigns, MAX_ID),
        timezone,
        tuple(map(int, places)),
        _chosen("sender", f"senders of 1 to {MAX_ADDRESS} characters", senders, MAX_ADDRESS),
        lead,
        _chosen("variant", f"variants of at most {MAX_ADDRESS} characters", variants, MAX_ADDRESS, shortest=0),
        _links(links),
        _outcomes(outcomes),
        read_place(place),
        limit,
    )


def _links(given: Sequence[str] | None) -> tuple[str, ...]:
    if not all(re.fullmatch(f"[0-9a-f]{{{LINK}}}", link) for link in given or ()):
        raise Reject("link-invalid", f"name links by their ids, {LINK} hexadecimal digits")
    return _chosen("link", "ids of links", given, LINK)


def _outcomes(given: Sequence[str] | None) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(given or ()))
    if unknown := [outcome for outcome in chosen if outcome not in OUTCOMES]:
        raise Reject("outcome-invalid", f"there is no outcome {unknown[0][:40]!r}; there are: {', '.join(OUTCOMES)}")
    return chosen


def _chosen(name: str, what: str, given: Sequence[str] | None, longest: int, *, shortest: int = 1) -> tuple[str, ...]:
    """Each once. Raises Reject when they are too many, or one is too long."""
    chosen = tuple(dict.fromkeys(given or ()))
    if len(chosen) > MAX_CHOSEN or any(not shortest <= len(one) <= longest for one in chosen):
        raise Reject(f"{name}-invalid", f"at most {MAX_CHOSEN} {what}")
    return chosen


def _moment(name: str, text: str, now: datetime) -> datetime:
    if relative := _RELATIVE.fullmatch(text):
        end_of_second = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        if relative["count"] is None:
            return end_of_second
        try:
            return end_of_second - timedelta(**{_UNITS[relative["unit"]]: int(relative["count"])})
        except OverflowError:
            raise Reject("time-invalid", f"{name} lies too far back") from None
    if whole := _WHOLE.fullmatch(text):
        try:
            return _beginning(now, whole["start"], int(whole["count"] or 0), whole["unit"] or "d")
        except (OverflowError, ValueError):
            raise Reject("time-invalid", f"{name} lies too far back") from None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Reject("time-invalid", f"{name}: write 2026-01-31, 2026-01-31T12:00:00Z or now-7d") from None


def _beginning(now: datetime, start: str, count: int, unit: str) -> datetime:
    """Where the day, week (on Monday) or month of `now` begins, so many units before it, in `now`'s timezone."""
    day = now.date()
    if unit == "M":
        months = 12 * day.year + day.month - 1 - count
        day = day.replace(year=months // 12, month=months % 12 + 1, day=1)
    else:
        day -= timedelta(days=count if unit == "d" else 7 * count)
    if start == "w":
        day -= timedelta(days=day.weekday())
    elif start == "M":
        day = day.replace(day=1)
    return datetime.combine(day, time(), now.tzinfo).astimezone(UTC)


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())
