"""What must have happened to single leads, and which of them are looked at: some of every kind and every fate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from tests.world.expected import Said, counts
from tests.world.platform import Lead
from tests.world.truth import Hit, Numbers, Truth

AT_LEAST = 50  # of a campaign
_STATES = {"complained": "Complained", "unsubscribed": "Unsubscribed", "invalid": "Address is dead"}


def of_lead(lead: str, truths: Iterable[Truth], facts: Mapping[str, set[str]]) -> Said:
    """What the lead's board and `/v1` must say of it. A fact is one of the lead and one of its address."""
    emails = [own for truth in truths if (own := _of_one(truth, lead)).sent or own.skipped]
    happened = _happened(emails)
    events = sum(happened.values())
    resubscribed = any(own.resubscribed for own in emails)
    held = [fact for fact in _STATES if lead in facts[fact]]
    for fact in held:
        happened[f"fact {fact}"] += 2
    if resubscribed:
        happened["fact unsubscribed taken back"] += 2
    total: Counter[str] = Counter()
    for own in emails:
        total.update(counts(own))
    summary = ("sent", "delivered", "opened", "raw_opened", "clicked", "raw_clicked", "replied", "complained")
    states = [_STATES[fact] for fact in held] or ["Gets email" if total["sent"] else "Nothing sent yet"]
    return {
        "Lead board": {
            lead: dict(happened),
            f"{lead}, summary": {name: total[name] for name in summary} | {"events": events},
            f"{lead}, state": dict.fromkeys(states, 1),
        },
        "/v1/leads/timeline": {lead: dict(happened)},
    }


def looked_at(leads: Iterable[Lead], happened: Callable[[Lead], Numbers]) -> list[Lead]:
    """The first lead of each fate (which things ever happened to it), and more until there are enough."""
    every = list(leads)
    first: dict[frozenset[str], Lead] = {}
    for lead in every:
        first.setdefault(frozenset(happened(lead)), lead)
    chosen = list(first.values())
    more = (lead for lead in every if lead not in chosen)
    return chosen + [lead for lead, _ in zip(more, range(AT_LEAST - len(chosen)), strict=False)]


def of_all_things(leads: Iterable[Lead], happened: Callable[[Lead], Numbers]) -> list[Lead]:
    """A few of these leads, to whom together happened all that did: those to whom the most did, first."""
    chosen: list[Lead] = []
    seen: set[str] = set()
    for lead in sorted(leads, key=lambda lead: -len(happened(lead))):
        if not happened(lead).keys() <= seen:
            chosen.append(lead)
            seen |= happened(lead).keys()
    return chosen


def _of_one(truth: Truth, lead: str) -> Truth:
    """What of the truth is about one lead."""
    names = "sent taken deferred hard_bounced soft_bounced blocked skipped_twice asked_again openers clickers"
    names += " unsubscribers resubscribed replied auto_replied complained"
    return Truth(
        **{name: getattr(truth, name) & {lead} for name in names.split()},
        skipped={lead: truth.skipped[lead]} if lead in truth.skipped else {},
        done=[hit for hit in truth.done if hit.lead == lead],
    )


def _happened(emails: Iterable[Truth]) -> Counter[str]:
    """Each thing that happened to the lead's emails, and how often. To be asked twice is a skip of the second."""
    found: Counter[str] = Counter()
    for own in emails:
        found["sent"] += len(own.sent)
        found["delivered"] += len(own.taken)
        found["deferred"] += len(own.deferred)
        found["bounce hard"] += len(own.hard_bounced)
        found["bounce soft"] += len(own.soft_bounced)
        found["bounce block"] += len(own.blocked)
        found["skipped duplicate"] += len(own.asked_again)
        for reason in own.skipped.values():
            found[f"skipped {reason}"] += 1 + len(own.skipped_twice)
        found["unsubscribe"] += len(own.unsubscribers | own.resubscribed)
        found["resubscribe"] += len(own.resubscribed)
        found["reply"] += len(own.replied)
        found["auto_reply"] += len(own.auto_replied)
        found["complaint"] += len(own.complained)
        found.update(map(_name, own.done))
    return +found


def _name(hit: Hit) -> str:
    return f"{hit.kind} {hit.verdict}"
