"""Whether a campaign's hard bounces harm its sender so much that it must stop."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from schemas.events import Campaign


@dataclass(frozen=True, slots=True)
class BounceCounts:
    """Emails sent since the campaign runs, and those of them that bounced hard; each counts once."""

    sent: int
    hard_bounced: int


def share_is_over(campaign: Campaign, counts: BounceCounts) -> bool:
    """Whether hard bounces are a larger share of the emails sent than the campaign allows; exactly that share is not.

    Decimal, because 0.07 * 100 as a float is more than 7.
    """
    return counts.hard_bounced > Decimal(str(campaign.bounce_limit)) * counts.sent


def must_pause(campaign: Campaign, counts: BounceCounts) -> bool:
    """Too many hard bounces, and enough emails sent for the share to mean something."""
    return counts.sent >= campaign.bounce_min_sends and share_is_over(campaign, counts)


def may_be_near(campaign: Campaign, counts: BounceCounts) -> bool:
    """Whether further sends alone may pause it: its share is over already, and only too few were sent so far."""
    return counts.sent < campaign.bounce_min_sends and share_is_over(campaign, counts)


def detail(campaign: Campaign, counts: BounceCounts) -> str:
    """Why it was paused, for people."""
    limit = f"{Decimal(str(campaign.bounce_limit)) * 100:f}"
    limit = limit.rstrip("0").rstrip(".") if "." in limit else limit
    share = 100 * counts.hard_bounced / counts.sent
    return f"{counts.hard_bounced} of {counts.sent} emails bounced hard: {share:.1f} %, more than {limit} %"
