"""Emails that this process saw sent, or bounce hard, and that ClickHouse may not show yet.

A stage reads an event milliseconds after it was written. ClickHouse has it a second or two later, or an hour if the
store is behind. A count that must be exact at once is ClickHouse's plus these. Each email counts once, whichever of the
two holds it, so a duplicate event changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile

_MANY = 5_000  # ids of one campaign; beyond this number a query to ClickHouse names only the young ones
_MANY_IN_ALL = 100_000  # after so many, what is not young is forgotten of all: about 30 MB
_YOUNG_SECONDS = 60.0  # a store that lags more than this makes the count one of the stored and the young


@dataclass(slots=True)
class _Emails:
    """By delivery id: when it was seen (monotonic), and when the email was sent."""

    sent: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    hard: dict[str, float] = field(default_factory=dict)


class UnstoredEmails:
    """By campaign, in the order in which they were seen."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of: dict[str, _Emails] = {}
        self._seen = 0

    def sent(self, campaign: str, delivery_id: str, at: datetime) -> None:
        emails = self._of.setdefault(campaign, _Emails())
        emails.sent.setdefault(delivery_id, (self._clock(), at))
        if len(emails.sent) > _MANY and len(emails.sent) % 100 == 0:
            self._forget_old(emails)
        self._seen += 1
        if self._seen % _MANY_IN_ALL == 0:
            for each in list(self._of):
                self._forget_old(self._of[each])
                self._drop_if_empty(each)

    def bounced_hard(self, campaign: str, delivery_id: str) -> None:
        self._of.setdefault(campaign, _Emails()).hard.setdefault(delivery_id, self._clock())

    def sent_since(self, campaign: str, since: datetime | None) -> list[str]:
        """The emails of a campaign that were sent at this moment or later, None for all."""
        emails = self._of.get(campaign, _Emails())
        return [id_ for id_, (_, at) in emails.sent.items() if since is None or at >= since]

    def hard(self, campaign: str) -> list[str]:
        return list(self._of.get(campaign, _Emails()).hard)

    def are_stored(self, campaign: str, sent: Iterable[str], hard: Iterable[str]) -> None:
        """ClickHouse shows these now."""
        emails = self._of.get(campaign)
        if emails is None:
            return
        for id_ in sent:
            emails.sent.pop(id_, None)
        for id_ in hard:
            emails.hard.pop(id_, None)
        self._drop_if_empty(campaign)

    def _drop_if_empty(self, campaign: str) -> None:
        if not self._of[campaign].sent and not self._of[campaign].hard:
            del self._of[campaign]

    def _forget_old(self, emails: _Emails) -> None:
        """Sends and bounces of the same age, so that their share stays true."""
        old = self._clock() - _YOUNG_SECONDS
        for id_ in [id_ for id_, _ in takewhile(lambda item: item[1][0] < old, emails.sent.items())]:
            del emails.sent[id_]
        for id_ in [id_ for id_, _ in takewhile(lambda item: item[1] < old, emails.hard.items())]:
            del emails.hard[id_]
