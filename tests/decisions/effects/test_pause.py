"""When a campaign's hard bounces pause it: strictly above its limit, and not before enough was sent."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.effects.pause import BounceCounts, detail, may_be_near, must_pause
from schemas.events import Campaign

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def a_campaign(limit: float = 0.05, min_sends: int = 20) -> Campaign:
    return Campaign(id="spring", name="Spring", created_at=NOW, bounce_limit=limit, bounce_min_sends=min_sends)


@pytest.mark.parametrize(
    ("sent", "hard", "pauses"),
    [
        (20, 1, False),  # exactly 5 %
        (20, 2, True),
        (19, 19, False),  # too few to say
        (100, 5, False),
        (100, 6, True),
        (119, 6, True),
        (120, 6, False),
        (0, 0, False),
    ],
)
def test_the_default_is_more_than_five_percent_of_at_least_twenty(sent: int, hard: int, pauses: bool) -> None:
    assert must_pause(a_campaign(), BounceCounts(sent, hard)) is pauses


@given(hundredths=st.integers(0, 100), sent=st.integers(1, 100_000), hard=st.integers(0, 100_000))
def test_the_share_is_compared_as_the_numbers_are_written(hundredths: int, sent: int, hard: int) -> None:
    campaign = a_campaign(hundredths / 100, min_sends=1)
    assert must_pause(campaign, BounceCounts(sent, hard)) is (Fraction(hard, sent) > Fraction(hundredths, 100))


def test_only_a_campaign_that_is_over_its_limit_too_early_can_be_paused_by_further_sends() -> None:
    assert may_be_near(a_campaign(), BounceCounts(10, 1))
    assert not may_be_near(a_campaign(), BounceCounts(10, 0))
    assert not may_be_near(a_campaign(), BounceCounts(20, 2))  # it is paused, not near


@pytest.mark.parametrize(("limit", "said"), [(0.05, "5 %"), (0.025, "2.5 %"), (0.1, "10 %"), (1, "100 %"), (0, "0 %")])
def test_it_says_why_in_words_for_people(limit: float, said: str) -> None:
    text = detail(a_campaign(limit), BounceCounts(40, 3))
    assert text == f"3 of 40 emails bounced hard: 7.5 %, more than {said}"
