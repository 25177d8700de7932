"""Whether an email may go out, asked right before it does. A `skipped` event tells why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.events import Campaign, Lead, Send

SkipReason = Literal["unknown-campaign", "paused", "unsubscribed", "duplicate"]


@dataclass(frozen=True, slots=True)
class Already:
    """The email was put to its mail server before, asked for by `request_id`; None when nobody remembers by which."""

    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Go:
    """Send it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The very same request came again (at-least-once delivery) and has been carried out: nothing is to happen."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Don't send it, and say why."""

    reason: SkipReason


def gate(send: Send, campaign: Campaign | None, lead: Lead | None, already: Already | None) -> Go | Skip | Replay:
    """Decide. What has been sent stays sent, so that is asked first: a later pause makes no skip of it."""
    if already is not None:
        return Replay() if already.request_id == send.request_id else Skip("duplicate")
    if campaign is None:
        return Skip("unknown-campaign")
    if campaign.paused:
        return Skip("paused")
    if lead is not None and lead.unsubscribed_at is not None:
        return Skip("unsubscribed")
    return Go()
