"""When an email is tried again: later and later, as the server wishes, and not for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.sending.retry import LONGEST, STEPS, requested_delay, retry
from tests.agents.mails import NOW


def test_the_waits_grow_from_a_minute_to_eight_hours() -> None:
    waits = [retry(attempt, "451 later", NOW, NOW, 0.0) for attempt in range(1, 6)]
    assert waits == [NOW + timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 480)]


def test_after_five_retries_it_is_given_up() -> None:
    assert retry(6, "451 later", NOW, NOW, 0.0) is None


def test_nothing_is_tried_after_two_days() -> None:
    late = NOW + LONGEST - timedelta(minutes=4)
    assert retry(1, "451 later", NOW, late, 0.0) is not None
    assert retry(2, "451 later", NOW, late, 0.0) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 Greylisted, please try again in 300 seconds", 300),
        ("4.2.0 <ada@example.net>: Recipient address rejected: Greylisted, try again in 00:05:00", 300),
        ("retry after 5 minutes", 300),
        ("Try again in 1 second", 1),
        ("greylisted for 5 min", 300),
        ("Please wait 60s and try again", 60),
        ("Too many connections, try again in 2 hours", 7200),
        ("Service busy. Try again later in 10 secs", 10),
    ],
)
def test_the_wait_that_a_server_tells_is_honoured(text: str, seconds: int) -> None:
    assert requested_delay(text) == timedelta(seconds=seconds)
    assert retry(1, text, NOW, NOW, 0.0) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend later.",
        "Resources temporarily unavailable - Please try again later [#4.16.1]",
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
        "try again in 0 seconds",
        "552 5 messages",
        "",
    ],
)
def test_a_text_that_tells_no_wait_tells_none(text: str) -> None:
    assert requested_delay(text) is None


def test_a_server_that_asks_for_more_than_two_days_is_not_asked_again() -> None:
    assert retry(1, "try again in 72 hours", NOW, NOW, 0.0) is None


@given(st.integers(1, 5), st.floats(0, 1))
def test_chance_lengthens_a_wait_by_a_fifth_at_the_most_and_never_shortens_it(attempt: int, chance: float) -> None:
    due = retry(attempt, "451 later", NOW, NOW, chance)
    assert due is not None
    assert STEPS[attempt - 1] <= due - NOW <= STEPS[attempt - 1] * 1.2
