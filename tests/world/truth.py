"""What really happened, counted by those who did it, and which numbers that makes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

Part = str  # which part of the play a row of numbers is about, such as "step 1, A"
Numbers = dict[str, int]

# For what a lead may get no more mail, in the order in which the reason is given.
FACTS = ("unsubscribed", "complained", "invalid", "replied")
SKIPS = (*FACTS, "paused")


@dataclass(frozen=True)
class Hit:
    """A pixel fetched or a link followed, by whose doing. `link` is where a click was led to."""

    lead: str
    kind: Literal["open", "click"]
    verdict: str
    agent: str
    link: str = ""


@dataclass
class Truth:
    """What became of the emails of one step and variant. An email is its lead's id, so each counts once."""

    sent: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    deferred: set[str] = field(default_factory=set)
    hard_bounced: set[str] = field(default_factory=set)
    soft_bounced: set[str] = field(default_factory=set)
    blocked: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    skipped_twice: set[str] = field(default_factory=set)
    asked_again: set[str] = field(default_factory=set)
    openers: set[str] = field(default_factory=set)
    clickers: set[str] = field(default_factory=set)
    unsubscribers: set[str] = field(default_factory=set)
    resubscribed: set[str] = field(default_factory=set)
    replied: set[str] = field(default_factory=set)
    auto_replied: set[str] = field(default_factory=set)
    complained: set[str] = field(default_factory=set)
    hits: int = 0
    bot_hits: int = 0
    machine_hits: int = 0
    done: list[Hit] = field(default_factory=list)  # the hits, one by one
    bounced_for: dict[str, str] = field(default_factory=dict)  # what was wrong with the email of a lead

    @property
    def settled(self) -> set[str]:
        """Emails to which the mail server gave its final answer."""
        return self.taken | self.refused

    @property
    def refused(self) -> set[str]:
        """Emails that the mail server refused for good, in session or by a report."""
        return self.hard_bounced | self.soft_bounced | self.blocked

    def numbers(self) -> Numbers:
        """`taken` is what the server said yes to, `delivered` what did not come back either."""
        reasons = list(self.skipped.values())
        return {
            "sent": len(self.sent),
            "taken": len(self.taken),
            "delivered": len(self.sent - self.refused),
            "hard_bounced": len(self.hard_bounced),
            "soft_bounced": len(self.soft_bounced),
            "blocked": len(self.blocked),
            "deferred": len(self.deferred),
            "skipped": len(reasons),
            **{f"skipped_{reason}": reasons.count(reason) for reason in SKIPS},
            "duplicates": len(self.asked_again),
            "openers": len(self.openers),
            "clickers": len(self.clickers),
            "unsubscribers": len(self.unsubscribers),
            "resubscribed": len(self.resubscribed),
            "replied": len(self.replied),
            "auto_replied": len(self.auto_replied),
            "complained": len(self.complained),
            "hits": self.hits,
            "bot_hits": self.bot_hits,
            "machine_hits": self.machine_hits,
        }


def new_truths() -> defaultdict[Part, Truth]:
    return defaultdict(Truth)


def part(step: int, variant: str) -> Part:
    return f"step {step}, {variant}"


def differences(truths: dict[Part, Numbers], said: dict[str, dict[Part, Numbers]]) -> list[str]:
    """Every number that differs, a line each. `said` is by who says it; nobody needs to say all numbers."""
    wrong = []
    every = next(iter(truths.values()), {})
    for source, parts in said.items():
        names = list(next(iter(parts.values()), every))
        for where in sorted(set(truths) | set(parts)):
            true, found = truths.get(where, {}), parts.get(where, {})
            for name in names:
                if found.get(name, 0) != true.get(name, 0):
                    wrong.append(f"{where}: {name} is {true.get(name, 0)}, {source} say {found.get(name, 0)}")
    return wrong
