"""When an email that its mail server didn't take for now is tried again, and when no more."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

# Greylisting ends after minutes, rate limits after hours, a full mailbox after a day if ever.
STEPS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 480))
# Shorter than the four to five days of RFC 5321, 4.5.4.1: a campaign's email is old news by then.
LONGEST = timedelta(hours=48)
# So that what was refused in one burst does not come back in one.
JITTER = 0.2

_MOST_TEXT = 2000  # characters that are read of a refusal
_UNITS = {"s": 1, "m": 60, "h": 3600}
_AFTER = r"(?:try|retry|again|come back|wait|greylisted|delayed|resend|available)[^.;0-9]{0,40}?"
_TOLD = re.compile(
    rf"{_AFTER}\b(?:in|after|for|within|wait)?\s*"
    r"(?:(?P<clock>\d{1,2}:\d\d:\d\d)|(?P<number>\d{1,6})\s*(?P<unit>s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?)?\b)",
    re.IGNORECASE,
)


def retry(attempt: int, text: str, first_at: datetime, now: datetime, random: float) -> datetime | None:
    """When to try again after `attempt` attempts, of which the first was at `first_at`; None: give up.

    `text` is the server's refusal: the wait it tells is honoured. `random` is 0 to 1: up to 20 % of the wait are added.
    """
    if attempt > len(STEPS):
        return None
    wait = requested_delay(text) or STEPS[attempt - 1]
    due = now + wait * (1 + JITTER * random)
    return due if due <= first_at + LONGEST else None


def requested_delay(text: str) -> timedelta | None:
    """How long the server asks us to wait, where it says: `try again in 300 seconds`, `retry in 00:05:00`."""
    found = _TOLD.search(text[:_MOST_TEXT])
    if found is None:
        return None
    if found["clock"]:
        hours, minutes, seconds = map(int, found["clock"].split(":"))
        wait = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    else:
        wait = timedelta(seconds=int(found["number"]) * _UNITS[found["unit"].lower()])
    return wait or None
