"""What a process saw and ClickHouse may not show yet: kept until it does, and bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agents.guard.unstored import UnstoredEmails

AT = datetime(2026, 11, 23, tzinfo=UTC)


def test_an_email_is_kept_until_it_is_stored() -> None:
    seen = UnstoredEmails(clock=lambda: 0.0)
    for id_ in ("a", "b", "a"):
        seen.sent("spring", id_, AT)
    seen.bounced_hard("spring", "a")
    assert (seen.sent_since("spring", None), seen.hard("spring")) == (["a", "b"], ["a"])
    seen.are_stored("spring", ["a"], [])
    assert (seen.sent_since("spring", None), seen.hard("spring")) == (["b"], ["a"])
    seen.are_stored("spring", ["b"], ["a"])
    seen.are_stored("spring", ["b"], ["a"])
    assert (seen.sent_since("spring", None), seen.hard("spring")) == ([], [])


def test_only_emails_sent_since_a_moment_are_asked_for() -> None:
    seen = UnstoredEmails(clock=lambda: 0.0)
    for seconds in range(3):
        seen.sent("spring", f"at-{seconds}", AT + timedelta(seconds=seconds))
    assert seen.sent_since("spring", AT + timedelta(seconds=1)) == ["at-1", "at-2"]
    assert seen.sent_since("autumn", None) == []


def test_of_many_only_the_young_are_kept_sends_and_bounces_alike() -> None:
    now = 0.0
    seen = UnstoredEmails(clock=lambda: now)
    seen.sent("spring", "old", AT)
    seen.bounced_hard("spring", "old")
    now = 100.0
    for number in range(5_100):
        seen.sent("spring", str(number), AT)
    assert "old" not in seen.sent_since("spring", None)
    assert seen.hard("spring") == []
    assert len(seen.sent_since("spring", None)) == 5_100


def test_campaigns_that_nobody_asks_about_are_forgotten_too() -> None:
    now = 0.0
    seen = UnstoredEmails(clock=lambda: now)
    for number in range(60_000):
        seen.sent(f"campaign-{number % 100}", str(number), AT)
    now = 100.0
    for number in range(40_000):
        seen.sent("busy", str(number), AT)
    assert seen.sent_since("campaign-0", None) == []
    assert len(seen.sent_since("busy", None)) == 40_000
