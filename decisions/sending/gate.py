"""Whether an email may go out, asked right before it does. A `skipped` event tells why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal, Protocol

from schemas.events import Campaign, Pause, Send, lead_key
from schemas.state.attempts import Attempt

SkipReason = Literal[
    "unknown-campaign",
    "paused",
    "unsubscribed",
    "invalid",
    "complained",
    "suppressed",
    "snoozed",
    "left",
    "erased",
    "replied",
    "duplicate",
]
_ASKED_AGAIN = 500  # leads: each is asked for when its email is made, and right before it goes
_FACTS: tuple[SkipReason, ...] = ("erased", "unsubscribed", "complained", "invalid", "suppressed", "snoozed")


class Fact(Protocol):
    """What is known under a `lead_key`: whether it holds."""

    def holds_at(self, now: datetime) -> bool: ...


@dataclass(frozen=True, slots=True)
class PriorSend:
    """The email was handed to its mail server before, or waits to be, for the request `request_id`; None when that is
    unknown. `taken_at` is when the server took it, where its delivery's record is still there."""

    request_id: str | None = None
    taken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Proceed:
    """Send it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The same request was redelivered (at-least-once delivery) after it was carried out: do nothing."""


@dataclass(frozen=True, slots=True)
class AcceptedUnrecorded:
    """The server took it, and the worker died before its events were written: write them again."""

    attempt: Attempt
    at: datetime


@dataclass(frozen=True, slots=True)
class Skip:
    """Don't send it, and say why."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """It was handed to its mail server and the outcome is unknown: an operator decides."""

    attempt: Attempt


def gate(
    send: Send,
    campaign: Campaign | None,
    pause: Pause | None,
    fact: Callable[[str], Fact | None],
    addresses: Sequence[str],
    already: PriorSend | None,
    open_attempt: Attempt | None = None,
    lead_ids: Sequence[str] = (),
    domains: Sequence[str] = (),
    *,
    now: datetime,
) -> Proceed | Skip | Replay | AcceptedUnrecorded | OutcomeUnknown:
    """Decide. What has been sent stays sent, so that is asked first: a later pause makes no skip of it.

    `open_attempt` is one whose outcome nobody wrote.
    `fact` finds what is known under a `lead_key`; `addresses` are the keyed hashes of the recipient's address,
    `lead_ids` those of the lead's id: of one who was erased nothing else is kept; `domains` those of its domain and of
    the domains above it. A pause that a lead asked for is over at its end, by `now`.
    """

    if already is not None:
        return _again(send, already, open_attempt)
    if open_attempt is not None:
        return OutcomeUnknown(open_attempt)
    if campaign is None:
        return Skip("unknown-campaign")
    if pause is not None and pause.paused:
        return Skip("paused")

    for key, reason in _facts_against(send.lead, tuple(addresses), tuple(lead_ids), tuple(domains)):
        found = fact(key)
        if found is not None and found.holds_at(now):
            return Skip(reason)

    def holds(key: str) -> bool:
        found = fact(key)
        return found is not None and found.holds_at(now)

    if send.lists and all(_left(name, send.lead, addresses, holds) for name in send.lists):
        return Skip("left")
    if campaign.check_reply and holds(lead_key(send.lead, "replied", campaign=send.campaign)):
        return Skip("replied")
    return Proceed()


@lru_cache(maxsize=_ASKED_AGAIN)
def _facts_against(
    lead: str, addresses: tuple[str, ...], lead_ids: tuple[str, ...], domains: tuple[str, ...]
) -> tuple[tuple[str, SkipReason], ...]:
    """The keys of the facts for which a lead gets no email of any campaign, in the order they are asked for."""
    asked: list[tuple[str, SkipReason]] = [
        (lead_key(hashed, "erased", of="hashed-lead"), "erased") for hashed in lead_ids
    ]
    for reason in _FACTS:
        asked.append((lead_key(lead, reason), reason))
        asked += [(lead_key(address, reason, of="address"), reason) for address in addresses]
    asked += [(lead_key(domain, "suppressed", of="domain"), "suppressed") for domain in domains]
    return tuple(asked)


def _left(name: str, lead: str, addresses: Sequence[str], holds: Callable[[str], bool]) -> bool:
    """Whether the lead, or who has its address, left the list of that name."""
    return holds(lead_key(lead, "left", campaign=name)) or any(
        holds(lead_key(address, "left", of="address", campaign=name)) for address in addresses
    )


def _again(send: Send, already: PriorSend, open_attempt: Attempt | None) -> Skip | Replay | AcceptedUnrecorded:
    """What a request is when its email was sent before, by it or by another."""
    if already.request_id != send.request_id:
        return Skip("duplicate")
    if already.taken_at is not None and open_attempt is not None and open_attempt.request_id == send.request_id:
        return AcceptedUnrecorded(open_attempt, already.taken_at)
    return Replay()
