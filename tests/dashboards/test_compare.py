"""The period, or the campaign, that a board is compared with."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clickhouse.query_parameters import QueryParameters
from dashboards.page.compare import COMPARE, other


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("compare", "since", "until", "timezone", "begins", "ends"),
    [
        ("before", "2026-03-02", "2026-03-09", "UTC", "2026-02-23", "2026-03-02"),
        ("weekdays", "2026-03-02", "2026-03-09", "UTC", "2026-02-23", "2026-03-02"),
        # Ten days: of two weeks before, so that a Monday lies beside a Monday.
        ("weekdays", "2026-03-02", "2026-03-12", "UTC", "2026-02-16", "2026-02-26"),
        # Midnights stay midnights, though the clocks went forward on 8 March.
        (
            "weekdays",
            "2026-03-09T04:00",
            "2026-03-10T04:00",
            "America/New_York",
            "2026-03-02T05:00",
            "2026-03-03T05:00",
        ),
        ("year", "2026-03-02", "2026-03-09", "UTC", "2025-03-02", "2025-03-09"),
        ("year", "2028-02-29", "2028-03-01", "UTC", "2027-02-28", "2027-03-01"),
    ],
)
def test_the_other_period(compare: str, since: str, until: str, timezone: str, begins: str, ends: str) -> None:
    found = other(QueryParameters(at(since), at(until), ("spring",), timezone), compare)
    assert found == QueryParameters(at(begins), at(ends), ("spring",), timezone)


def test_nothing_is_compared_unasked() -> None:
    assert other(QueryParameters(at("2026-03-02"), at("2026-03-09"), (), "UTC"), "") is None


def test_another_campaign_is_asked_of_the_same_period() -> None:
    asked = QueryParameters(at("2026-03-02"), at("2026-03-09"), ("spring",), "UTC", steps=(1,))
    assert other(asked, "campaign:owner's pick") == replace(asked, campaigns=("owner's pick",))


@pytest.mark.parametrize("compare", ["yesterday", "campaign:", f"campaign:{'x' * 65}", "year "])
def test_what_else_is_asked_for_is_refused(compare: str) -> None:
    assert re.fullmatch(COMPARE, compare) is None
