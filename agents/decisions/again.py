"""Judges the stored hits of one email again, knowing of each hit what the judge knew when it was new."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta

from agents.decisions.company import LATENESS, RecentClicks
from agents.decisions.judge import Rules
from agents.decisions.judgement import to_event
from schemas.events import Clicked, Hit, Opened

# A mail server may take 10 minutes to answer (RFC 5321, 4.5.3.2.6): a younger email without a delivery is still on its
# way, an older one has a delivery that nobody knows.
LONGEST_TRANSACTION = timedelta(minutes=10)


def judge_again(
    hits: Sequence[Hit],
    delivered_at: datetime | None,
    rules: Rules,
    *,
    settle: float,
    scanner_window: timedelta,
    honeypots: Callable[[str], Collection[str]],
) -> Iterator[Opened | Clicked]:
    """The events of one email's hits, in the hits' order, which is that of their times.

    What came more than the settle delay after a hit was not known to its judge, and is not known here either: under the
    same rules the same events come out. The moment of a hit stands for that of its record.
    """
    recent = RecentClicks(settle, honeypots)
    ahead = max(0.0, settle - LATENESS)
    coming = 0
    for hit in hits:
        at = hit.at.timestamp()
        while coming < len(hits) and hits[coming].at.timestamp() <= at + ahead:
            recent.add(0, hits[coming].at.timestamp(), [hits[coming]])
            coming += 1
        known = delivered_at if delivered_at is not None and delivered_at.timestamp() <= at + ahead else None
        judgement = rules.judge(
            hit,
            known,
            undelivered=known is None and hit.at - hit.minted_at < LONGEST_TRANSACTION,
            scanner_window=scanner_window,
            company=recent.company(0, at, hit),
        )
        recent.forget(0, at)
        yield to_event(hit, judgement, rules.version)
