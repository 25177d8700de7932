"""The day or the week that a report is about, and the one before it, by the calendar of its timezone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from clickhouse.query_parameters import QueryParameters

Rhythm = Literal["weekly", "daily"]

_DAYS: dict[Rhythm, int] = {"weekly": 7, "daily": 1}
_UNITS: dict[Rhythm, str] = {"weekly": "week", "daily": "day"}


@dataclass(frozen=True)
class ReportPeriod:
    """A day, or a week from Monday. `first` is its first day, in `timezone`."""

    rhythm: Rhythm
    first: date
    timezone: str

    @property
    def since(self) -> datetime:
        return self._midnight(0)

    @property
    def until(self) -> datetime:
        return self._midnight(_DAYS[self.rhythm])

    @property
    def unit(self) -> str:
        """`week` or `day`."""
        return _UNITS[self.rhythm]

    @property
    def when(self) -> str:
        """`in this week` or `on this day`."""
        return f"in this {self.unit}" if self.rhythm == "weekly" else f"on this {self.unit}"

    @property
    def asked(self) -> QueryParameters:
        """As the views take it."""
        return QueryParameters(self.since, self.until, (), self.timezone)

    @property
    def before(self) -> ReportPeriod:
        """The day or the week before it."""
        return ReportPeriod(self.rhythm, self.first - timedelta(days=_DAYS[self.rhythm]), self.timezone)

    @property
    def title(self) -> str:
        """`2 to 8 March 2026`, `30 March to 5 April 2026`, or `Monday, 2 March 2026`."""
        last = self.first + timedelta(days=_DAYS[self.rhythm] - 1)
        if self.rhythm == "daily":
            return f"{self.first:%A}, {_day(self.first)}"
        if self.first.year != last.year:
            return f"{_day(self.first)} to {_day(last)}"
        if self.first.month != last.month:
            return f"{self.first.day} {self.first:%B} to {_day(last)}"
        return f"{self.first.day} to {_day(last)}"

    def _midnight(self, days: int) -> datetime:
        return datetime.combine(self.first + timedelta(days=days), time(), ZoneInfo(self.timezone)).astimezone(UTC)


def holding(day: date, rhythm: Rhythm, timezone: str) -> ReportPeriod:
    """The day itself, or the week that it lies in."""
    first = day - timedelta(days=day.weekday()) if rhythm == "weekly" else day
    return ReportPeriod(rhythm, first, timezone)


def last_ended(now: datetime, rhythm: Rhythm, timezone: str) -> ReportPeriod:
    """The last day or week that is over."""
    return holding(now.astimezone(ZoneInfo(timezone)).date(), rhythm, timezone).before


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
