"""How much an account may send: so many emails within the last hour, so many within the last 24."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

HOUR = 3600.0
DAY = 24 * HOUR


def opens_at(sent_at: Sequence[float], hourly: int | None, daily: int | None, now: float) -> float:
    """When one more email may leave: `now`, or later. `sent_at` are the times of those that left, oldest first.

    Times in epoch seconds. Windows slide, so that a limit holds for any hour and any 24 hours.
    """
    opens = now
    for limit, window in ((hourly, HOUR), (daily, DAY)):
        if limit is None:
            continue
        within = len(sent_at) - bisect_right(sent_at, now - window)
        if within >= limit:
            opens = max(opens, sent_at[-limit] + window)
    return opens
