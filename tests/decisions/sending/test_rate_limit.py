"""An account's limits hold for every hour and every 24 hours."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from decisions.sending.rate_limit import DAY, HOUR, opens_at

NOW = 1_800_000_000.0


def test_without_a_limit_the_window_is_open() -> None:
    assert opens_at([NOW] * 1000, None, None, NOW) == NOW


def test_the_window_opens_when_the_oldest_of_the_hour_is_an_hour_old() -> None:
    assert opens_at([NOW - 1800, NOW - 60], 2, None, NOW) == NOW + 1800
    assert opens_at([NOW - 3600, NOW - 60], 2, None, NOW) == NOW


def test_the_stricter_of_the_two_limits_decides() -> None:
    assert opens_at([NOW - 7200, NOW - 60], 5, 2, NOW) == NOW - 7200 + DAY


@given(st.integers(1, 5), st.integers(1, 20), st.lists(st.floats(0, 3 * HOUR), max_size=60))
def test_whoever_asks_and_waits_never_exceeds_the_limits(hourly: int, daily: int, gaps: list[float]) -> None:
    sent: list[float] = []
    now = NOW
    for gap in gaps:
        now = opens_at(sent, hourly, daily, now + gap)
        sent.append(now)
        assert sum(at > now - HOUR for at in sent) <= hourly
        assert sum(at > now - DAY for at in sent) <= daily
