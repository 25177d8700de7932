"""Whether an email may go out, asked right before it does. A `skipped` event tells why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.attempts import Attempt
from schemas.events import Campaign, Pause, Send, lead_key
from schemas.ownsystem import Fact

SkipReason = Literal[
    "unknown-campaign", "paused", "unsubscribed", "invalid", "complained", "erased", "replied", "duplicate"
]
_FACTS: tuple[SkipReason, ...] = ("erased", "unsubscribed", "complained", "invalid")


@dataclass(frozen=True, slots=True)
class Already:
    """The email was put to its mail server before, or waits to be, asked for by `request_id`; None when nobody
    remembers by which."""

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


@dataclass(frozen=True, slots=True)
class Unclear:
    """It was put to its mail server, and nobody knows what came of that: an operator decides."""

    attempt: Attempt


def gate(
    send: Send,
    campaign: Campaign | None,
    pause: Pause | None,
    fact: Callable[[str], Fact | None],
    addresses: Sequence[str],
    already: Already | None,
    open_attempt: Attempt | None = None,
    lead_ids: Sequence[str] = (),
) -> Go | Skip | Replay | Unclear:
    """Decide. What has been sent stays sent, so that is asked first: a later pause makes no skip of it.

    `open_attempt` is one whose outcome nobody wrote.
    `fact` finds what is known under a `lead_key`; `addresses` are the keyed hashes of the recipient's address,
    `lead_ids` those of the lead's id: of one who was erased nothing else is kept.
    """

    def holds(key: str) -> bool:
        found = fact(key)
        return found is not None and found.holds

    if already is not None:
        return Replay() if already.request_id == send.request_id else Skip("duplicate")
    if open_attempt is not None:
        return Unclear(open_attempt)
    if campaign is None:
        return Skip("unknown-campaign")
    if pause is not None and pause.paused:
        return Skip("paused")
    if any(holds(lead_key(hashed, "erased", of="hashed-lead")) for hashed in lead_ids):
        return Skip("erased")
    for reason in _FACTS:
        if holds(lead_key(send.lead, reason)) or any(holds(lead_key(a, reason, of="address")) for a in addresses):
            return Skip(reason)
    if campaign.check_reply and holds(lead_key(send.lead, "replied", campaign=send.campaign)):
        return Skip("replied")
    return Go()
