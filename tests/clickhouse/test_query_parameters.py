"""What a URL may ask for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.query_parameters import read_parameters
from schemas.errors import Reject

NOW = datetime(2026, 3, 9, 12, 0, 0, 250_000, tzinfo=UTC)
END = datetime(2026, 3, 9, 12, 0, 1, tzinfo=UTC)


def test_now_is_the_end_of_this_second_so_that_what_just_happened_is_in() -> None:
    assert read_parameters("now-1h", "now", [], "UTC", NOW).until == END


@pytest.mark.parametrize(
    ("since", "back"),
    [
        ("now-90s", timedelta(seconds=90)),
        ("now-15m", timedelta(minutes=15)),
        ("now-6h", timedelta(hours=6)),
        ("now-7d", timedelta(days=7)),
        ("now-2w", timedelta(weeks=2)),
        ("", timedelta(days=30)),
    ],
)
def test_relative_times_are_grafanas(since: str, back: timedelta) -> None:
    assert read_parameters(since, "", [], "UTC", NOW).since == END - back


@pytest.mark.parametrize("since", ["2026-03-01", "2026-03-01T00:00:00Z", "2026-03-01T01:00:00+01:00"])
def test_absolute_times_are_iso_8601_in_utc_unless_they_say_otherwise(since: str) -> None:
    assert read_parameters(since, "now", [], "UTC", NOW).since == datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "until", "timezone", "begins", "ends"),
    [
        ("now/d", "now", "UTC", datetime(2026, 3, 9, tzinfo=UTC), END),
        ("now-1d/d", "now/d", "UTC", datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)),
        # Its clocks went forward on the 8th, at two: a day of 23 hours.
        (
            "now-1d/d",
            "now/d",
            "America/New_York",
            datetime(2026, 3, 8, 5, tzinfo=UTC),
            datetime(2026, 3, 9, 4, tzinfo=UTC),
        ),
        ("now/w", "now", "UTC", datetime(2026, 3, 9, tzinfo=UTC), END),
        ("now-1w/w", "now/w", "UTC", datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)),
        (
            "now-1M/M",
            "now/M",
            "Asia/Tokyo",
            datetime(2026, 1, 31, 15, tzinfo=UTC),
            datetime(2026, 2, 28, 15, tzinfo=UTC),
        ),
        ("now-14M/M", "now-13M/M", "UTC", datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)),
    ],
)
def test_days_weeks_and_months_begin_as_the_timezone_has_them(
    since: str, until: str, timezone: str, begins: datetime, ends: datetime
) -> None:
    asked = read_parameters(since, until, [], timezone, NOW)
    assert (asked.since, asked.until) == (begins, ends)


@pytest.mark.parametrize("since", ["now/h", "now-1M", "now-1h/d", "now-99999M/M", "now//d"])
def test_other_beginnings_are_refused(since: str) -> None:
    with pytest.raises(Reject) as refused:
        read_parameters(since, "now", [], "UTC", NOW)
    assert refused.value.reason == "time-invalid"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"outcomes": ["loved"]}, "outcome-invalid"),
        ({"links": ["F" * 64]}, "link-invalid"),
        ({"links": ["f" * 63]}, "link-invalid"),
        ({"variants": ["x" * 321]}, "variant-invalid"),
        ({"place": "x"}, "cursor-invalid"),
    ],
)
def test_what_no_recipient_has_is_refused(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(Reject) as refused:
        read_parameters("now-1h", "now", [], "UTC", NOW, **more)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("since", "until", "campaigns", "timezone", "reason"),
    [
        ("yesterday", "now", [], "UTC", "time-invalid"),
        ("now-1y", "now", [], "UTC", "time-invalid"),
        ("now-999999w", "now", [], "UTC", "time-invalid"),
        ("0001-01-01T00:00:00+14:00", "now", [], "UTC", "time-invalid"),
        ("now", "now-1h", [], "UTC", "range-empty"),
        ("now", "now", [], "UTC", "range-empty"),
        ("1980-01-01", "now", [], "UTC", "range-too-long"),
        ("2099-12-31", "2100-01-02", [], "UTC", "range-too-long"),
        ("now-1h", "now", [], "Mars/Olympus", "timezone-unknown"),
        ("now-1h", "now", [], "../../etc/passwd", "timezone-unknown"),
        ("now-1h", "now", ["x" * 65], "UTC", "campaign-invalid"),
        ("now-1h", "now", [""], "UTC", "campaign-invalid"),
        ("now-1h", "now", [str(n) for n in range(101)], "UTC", "campaign-invalid"),
    ],
)
def test_anything_else_is_refused_with_its_reason(
    since: str, until: str, campaigns: list[str], timezone: str, reason: str
) -> None:
    with pytest.raises(Reject) as refused:
        read_parameters(since, until, campaigns, timezone, NOW)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"steps": ["one"]}, "step-invalid"),
        ({"steps": ["256"]}, "step-invalid"),
        ({"steps": ["\u0661"]}, "step-invalid"),  # a digit of another script
        ({"senders": [""]}, "sender-invalid"),
        ({"senders": ["x" * 321]}, "sender-invalid"),
        ({"lead": "x" * 321}, "lead-invalid"),
    ],
)
def test_other_choices_are_checked_too(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(Reject) as refused:
        read_parameters("now-1h", "now", [], "UTC", NOW, **given)
    assert refused.value.reason == reason


def test_what_is_chosen_reaches_the_queries() -> None:
    asked = read_parameters(
        "now-1h", "now", ["b", "a", "b"], "UTC", NOW, steps=["2", "1"], senders=["x@example.com"], lead="l"
    )
    given = asked.parameters()
    assert (given["campaigns"], given["steps"], given["senders"], given["lead"]) == (
        ["b", "a"],
        [2, 1],
        ["x@example.com"],
        "l",
    )


@given(st.text(max_size=40), st.text(max_size=40), st.lists(st.text(max_size=70)), st.text(max_size=40))
def test_whatever_comes_is_answered_or_refused(since: str, until: str, campaigns: list[str], timezone: str) -> None:
    try:
        asked = read_parameters(since, until, campaigns, timezone, NOW)
    except Reject:
        return
    assert asked.since < asked.until
