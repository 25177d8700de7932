"""What a viewer asks for in the URL: a period, a timezone and choices, checked before anything is run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from schemas.errors import Reject

DEFAULT_SINCE, DEFAULT_UNTIL = "now-30d", "now"
MAX_CHOSEN = 100
MAX_ID = 64  # characters, schemas.events.Name
MAX_ADDRESS = 320  # characters, of a sender or of a lead that is called by its address

# ClickHouse's DateTime ends in 2106; the period before the one asked for must not begin before 1900.
_FIRST, _LAST, _LONGEST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC), timedelta(days=3660)
_RELATIVE = re.compile(r"now(?:-(?P<count>\d{1,6})(?P<unit>[smhdw]))?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Asked:
    """A question's parameters. `since` and `until` are in UTC; none chosen means all of them, but no lead no lead."""

    since: datetime
    until: datetime
    campaigns: tuple[str, ...]
    timezone: str
    steps: tuple[int, ...] = ()
    senders: tuple[str, ...] = ()
    lead: str = ""

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
        }


def ask(
    since: str,
    until: str,
    campaigns: Sequence[str],
    timezone: str,
    now: datetime,
    *,
    steps: Sequence[str] = (),
    senders: Sequence[str] = (),
    lead: str = "",
) -> Asked:
    """Read what a URL says. Times are ISO 8601 (UTC unless they say otherwise) or relative like Grafana's (`now-7d`).

    `now` is the end of the second, so that what happened just now is in. Raises Reject with what to write instead.
    """
    start, end = _moment("since", since or DEFAULT_SINCE, now), _moment("until", until or DEFAULT_UNTIL, now)
    if start >= end:
        raise Reject("range-empty", "since must lie before until")
    if end - start > _LONGEST or start < _FIRST or end > _LAST:
        raise Reject("range-too-long", f"at most {_LONGEST.days} days, from {_FIRST.year} to {_LAST.year}")
    if timezone not in _timezones():
        raise Reject("timezone-unknown", "name one of the IANA database, such as Europe/Paris or UTC")
    places = _chosen("step", "numbers from 0 to 255", steps, 3)
    if any(not re.fullmatch("[0-9]+", place) or int(place) > 255 for place in places):
        raise Reject("step-invalid", "name steps by their numbers, 0 to 255")
    if len(lead) > MAX_ADDRESS:
        raise Reject("lead-invalid", f"a lead's id has at most {MAX_ADDRESS} characters")
    return Asked(
        start,
        end,
        _chosen("campaign", f"campaign ids of 1 to {MAX_ID} characters", campaigns, MAX_ID),
        timezone,
        tuple(map(int, places)),
        _chosen("sender", f"senders of 1 to {MAX_ADDRESS} characters", senders, MAX_ADDRESS),
        lead,
    )


def _chosen(name: str, what: str, given: Sequence[str], longest: int) -> tuple[str, ...]:
    """Each once. Raises Reject when they are too many, or one is too long."""
    chosen = tuple(dict.fromkeys(given))
    if len(chosen) > MAX_CHOSEN or any(not 0 < len(one) <= longest for one in chosen):
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
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Reject("time-invalid", f"{name}: write 2026-01-31, 2026-01-31T12:00:00Z or now-7d") from None


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())
