"""For which facts a lead or its address gets no more mail, and which event makes each known.

A fact of the lead holds for that id of the platform; a fact of the address holds for every lead with it, in every list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from schemas.events import (
    Bounced,
    Campaign,
    Complained,
    EmailEvent,
    FactOwner,
    Lead,
    LeftList,
    Replied,
    Resubscribed,
    Snoozed,
    Unsubscribed,
)
from schemas.tokens import event_id


def of_lead(event: EmailEvent) -> Lead | None:
    """The fact that an event makes known of its lead. Those of unsubscribing, or of a pause, over HTTP,
    ingest has written before it answered."""
    match event:
        case Bounced(bounce_class="hard"):
            return Lead(lead=event.lead, fact="invalid", at=event.at, source="bounce")
        case Complained():
            return Lead(lead=event.lead, fact="complained", at=event.at, source="complaint")
        case Replied():
            return Lead(lead=event.lead, fact="replied", at=event.at, campaign=event.campaign, source="reply")
        case Unsubscribed(via="mail" | "provider" | "reply"):
            return Lead(lead=event.lead, fact="unsubscribed", at=event.at, source=event.via)
        case _:
            return None


def unsubscribe_of(event: EmailEvent, campaign: Campaign | None) -> Unsubscribed | None:
    """The unsubscribing that follows from a reply which asks for no more mail, where its campaign says so. Its id is
    derived from the reply's: the same reply again is the same unsubscribing."""
    if not (isinstance(event, Replied) and event.asks_to_stop and campaign and campaign.unsubscribe_on_reply):
        return None
    return Unsubscribed(
        id=str(event_id(event.delivery_id, f"unsubscribe\x1f{event.id}")),
        at=event.at,
        delivery_id=event.delivery_id,
        campaign=event.campaign,
        step=event.step,
        variant=event.variant,
        lead=event.lead,
        via="reply",
    )


def concerns_address(event: EmailEvent) -> bool:
    """Whether the event makes something known of the address that the email went to.

    A bounce that is soft or a block says nothing lasting of it: a listed IP makes every address look dead.
    """
    match event:
        case Bounced():
            return event.bounce_class == "hard"
        case Complained() | Unsubscribed() | Resubscribed() | Snoozed() | LeftList():
            return True
        case _:
            return False


def of_address(event: EmailEvent, address: str) -> Lead | None:
    """The fact that an event makes known of the address, which is a keyed hash. None when there is none."""
    match event:
        case Bounced(bounce_class="hard"):
            return Lead(lead=address, fact="invalid", at=event.at, of="address", source="bounce")
        case Complained():
            return Lead(lead=address, fact="complained", at=event.at, of="address", source="complaint")
        case Unsubscribed():
            return Lead(lead=address, fact="unsubscribed", at=event.at, of="address", source=event.via)
        case Resubscribed():
            return Lead(lead=address, fact="unsubscribed", at=event.at, of="address", holds=False, source="page")
        case Snoozed():
            return snoozed(event.at, event.until, address, of="address")
        case LeftList():
            return left(event.at, event.list_name, address, back=event.back, of="address")
        case _:
            return None


def snoozed(at: datetime, until: datetime, whose: str, *, of: FactOwner = "lead") -> Lead:
    """The fact of a pause that a lead asked for; one that ends when it begins takes the pause back."""
    return Lead(lead=whose, fact="snoozed", at=at, of=of, holds=until > at, source="page", until=until)


def left(at: datetime, list_name: str, whose: str, *, back: bool, of: FactOwner = "lead") -> Lead:
    """The fact that a list was left, or joined again."""
    return Lead(lead=whose, fact="left", at=at, of=of, campaign=list_name, holds=not back, source="page")


def news(facts: Iterable[Lead], known: Callable[[str], Lead | None]) -> list[Lead]:
    """The facts that change something, the last word on each: what is known already, or known better since, is not
    said again. `known` finds a fact under its key."""
    last: dict[str, Lead] = {}
    for fact in facts:
        before = last.get(fact.key) or known(fact.key)
        if before is None or (_differ(before, fact) and fact.at > before.at):
            last[fact.key] = fact
    return [fact for fact in last.values() if (was := known(fact.key)) is None or _differ(was, fact)]


def _differ(one: Lead, other: Lead) -> bool:
    return (one.holds, one.until) != (other.holds, other.until)
