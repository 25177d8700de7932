"""Which numbers of a board lead to the emails behind them, on the board `recipients`."""

from __future__ import annotations

# Views that count the emails sent in the period, by the choices that the board of recipients knows.
_QUERIES = frozenset(
    {"headline", "campaign_headline", "by_campaign", "by_variant", "followed_links", "campaign_stop_requests"}
)
# A column of theirs: the outcome that its emails have in common (clickhouse/outcomes.py).
_OUTCOMES = {
    "sent": "sent",
    "delivered": "delivered",
    "delivery_rate": "delivered",
    "opened": "opened",
    "open_rate": "opened_with_pixel",
    "machine_open_rate": "machine_opened",
    "clicked": "clicked",
    "click_rate": "clicked",
    "click_to_open_rate": "clicked",
    "replied": "replied",
    "reply_rate": "replied",
    "asked_to_stop": "asked_to_stop",
    "hard_bounce_rate": "hard_bounced",
    "soft_bounce_rate": "soft_bounced",
    "block_rate": "blocked",
    "unsubscribe_rate": "unsubscribed",
    "complaint_rate": "complained",
}


def outcome_of(query: str, column: str) -> str:
    """The outcome of the emails that a column of a view counts; empty where they can't be listed."""
    return _OUTCOMES.get(column, "") if query in _QUERIES else ""
