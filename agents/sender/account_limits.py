"""What each account has sent within a day, by every worker: read from the topic `attempts`, which has them all."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from decisions.sending.rate_limit import DAY, opens_at
from schemas.senders import Account
from schemas.state.attempts import Attempt


class AccountLimits:
    """Counts the emails of accounts that have a limit. Those of other workers are known a moment after they left, so a
    limit may be exceeded by what is on its way at other workers, and by no more."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._limited = {a.address: a for a in accounts if a.hourly_limit is not None or a.daily_limit is not None}
        self._at: dict[str, dict[tuple[str, int], float]] = {address: {} for address in self._limited}
        self._lock = threading.Lock()

    def saw(self, attempt: Attempt) -> None:
        """Take note of an attempt, from whichever worker; from any thread."""
        with self._lock:
            of = self._at.get(attempt.sender.lower())
            if of is not None:
                key = attempt.delivery_id, attempt.attempt
                if attempt.outcome == "deferred":  # the server did not take it, so it counts for nothing
                    of.pop(key, None)
                else:
                    of[key] = attempt.at.timestamp()

    def take(self, account: Account, delivery_id: str, attempt: int, now: float) -> float | None:
        """Count one more; None if it may leave, else when it may (epoch seconds), and nothing is counted."""
        if account.address not in self._limited:
            return None
        with self._lock:
            opens = self._opens_at(account, now)
            if opens > now:
                return opens
            self._at[account.address][delivery_id, attempt] = now
            return None

    def give_back(self, account: Account, delivery_id: str, attempt: int) -> None:
        """It did not leave after all."""
        with self._lock:
            self._at.get(account.address, {}).pop((delivery_id, attempt), None)

    def room(self, account: Account, now: float) -> int | None:
        """How many may leave now; None for no limit."""
        if account.address not in self._limited:
            return None
        with self._lock:
            times = self._times(account, now)
            rooms = [
                limit - sum(1 for at in times if at > now - window)
                for limit, window in ((account.hourly_limit, 3600.0), (account.daily_limit, DAY))
                if limit is not None
            ]
            return max(0, min(rooms))

    def _opens_at(self, account: Account, now: float) -> float:
        return opens_at(self._times(account, now), account.hourly_limit, account.daily_limit, now)

    def _times(self, account: Account, now: float) -> list[float]:
        of = self._at[account.address]
        for key in [key for key, at in of.items() if at <= now - DAY]:
            del of[key]
        return sorted(of.values())
