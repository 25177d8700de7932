"""How far back the clicks matter by which the judge decides on a hit."""

from __future__ import annotations

from decisions.robots.co_occurrence import HONEYPOT_SECONDS, REMEMBERED_SECONDS


def look_back_seconds(honeypot: bool) -> float:
    """For how many seconds, by when a record was written; `honeypot`: mails have a link that no person sees."""
    return REMEMBERED_SECONDS + (HONEYPOT_SECONDS if honeypot else 0.0)
