"""Weeks of three campaigns, paused as the guard pauses them: what the Campaign board is counted against. Always the same."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

from clickhouse.store import insert_lines
from schemas.events import (
    AnyEvent,
    AutoReplied,
    Bounced,
    CampaignPaused,
    CampaignResumed,
    Complained,
    Link,
    Replied,
    lines,
)
from schemas.tokens import event_id
from tests.dashboards.data import Email


@dataclass(frozen=True)
class Plan:
    """A campaign: when it ran, and how often people do what. `first` is in days before the end."""

    id: str
    name: str
    first: int
    days: int
    daily: int
    steps: int
    opens: float
    clicks: float  # of those opened
    replies: tuple[float, float]  # of those opened, by variant
    hard: float
    links: tuple[str, ...]


PLANS = (
    Plan(
        "spring-launch", "Spring launch", 50, 51, 90, 2, 0.44, 0.31, (0.04, 0.14), 0.012,
        ("https://example.com/spring", "https://example.com/spring/pricing?plan=team", "https://example.com/demo"),
    ),
    Plan(
        "webinar-follow-up", "Webinar follow-up", 24, 25, 60, 3, 0.52, 0.24, (0.05, 0.05), 0.008,
        ("https://example.com/webinar/recording", "https://example.com/webinar/slides.pdf"),
    ),
    Plan(
        "dormant-accounts", "Dormant accounts", 16, 10, 45, 1, 0.19, 0.14, (0.03, 0.02), 0.058,
        ("https://example.com/come-back",),
    ),
)  # fmt: skip

_STOPS = {"asks_to_stop": True, "stop_phrase": "take us off your list", "stop_line": 1}
_WORDS = (
    "Yes, Thursday at ten works for me. Send an invitation, please.",
    "Thanks, but we have just signed with somebody else. Please take us off your list.",
    "Can you send me the prices for forty people?",
    "Not me, my colleague decides this. I have forwarded it.",
    "Interesting. How long does it take to set up?",
)


def weeks(end: datetime) -> Iterator[AnyEvent]:
    """Everything that happened in the weeks up to `end`, people and machines."""
    chance = random.Random(2026)
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    number = 0
    for plan in PLANS:
        run = Run(plan.id)
        for day in range(plan.days):
            date = midnight - timedelta(days=plan.first - day)
            if date.weekday() >= 5:
                continue
            yield from run.resumed(date + timedelta(hours=8))
            daily = int(plan.daily * chance.uniform(0.75, 1.2))
            for second in sorted(chance.randrange(9 * 3600) for _ in range(daily)):
                number += 1
                step = chance.randrange(plan.steps) + 1
                variant = chance.choice("AB")
                at = date + timedelta(hours=8, seconds=second)
                story = list(_story(chance, Email(plan.id, step, variant, f"lead-{number}", at), plan))
                if not run.is_paused:
                    yield from story
                    yield from run.after(story)


@dataclass
class Run:
    """A campaign between two pauses, as the guard sees it: more than 5 % of at least 20 emails, and it is paused."""

    campaign: str
    sent: int = 0
    hard: int = 0
    is_paused: bool = False

    def after(self, story: list[AnyEvent]) -> Iterator[AnyEvent]:
        last = story[-1]
        self.sent += 1
        self.hard += isinstance(last, Bounced) and last.bounce_class == "hard"
        if self.sent >= 20 and self.hard / self.sent > 0.05:
            self.is_paused = True
            share = f"{100 * self.hard / self.sent:.1f} %"
            yield CampaignPaused(
                id=str(event_id(self.campaign, f"paused {last.at}")),
                at=last.at + timedelta(seconds=1),
                campaign=self.campaign,
                reason="bounces",
                detail=f"{self.hard} of {self.sent} emails bounced hard: {share}, more than 5 %",
                sent=self.sent,
                hard_bounced=self.hard,
            )

    def resumed(self, at: datetime) -> Iterator[AnyEvent]:
        if self.is_paused:
            self.sent, self.hard, self.is_paused = 0, 0, False
            yield CampaignResumed(id=str(event_id(self.campaign, f"resumed {at}")), at=at, campaign=self.campaign)


def _story(chance: random.Random, email: Email, plan: Plan) -> Iterator[AnyEvent]:
    yield email.sent()
    fate, hard = chance.random(), plan.hard
    if fate < hard + 0.012 + 0.004:
        yield email.bounced("hard" if fate < hard else "soft" if fate < hard + 0.012 else "block")
        return
    yield email.delivered()
    second = timedelta(seconds=1)
    scanner = chance.random()
    if scanner < 0.16:
        yield email.opened(second, "bot", "too-quick")
        for link in plan.links:
            yield email.clicked(second, "bot", "too-quick", link_id(plan.id, link))
    elif scanner < 0.21:
        yield email.opened(40 * second, "bot", "crawler")
    elif scanner < 0.25:
        yield email.clicked(90 * second, "bot", "http-library", link_id(plan.id, plan.links[0]))
    if chance.random() < 0.23:
        yield email.opened(chance.randrange(10, 900) * second, "machine", "privacy-prefetch")
    is_b = email.variant == "B"
    if chance.random() < plan.opens * (1.16 if is_b else 1.0):
        after = _waking(email.at, timedelta(minutes=min(chance.expovariate(1 / 400), 8000)))
        reason = chance.choices(("mail-client", "browser", "mail-proxy"), (5, 3, 4))[0]
        for n in range(chance.choice((1, 1, 1, 2, 3))):
            yield email.opened(after * (1 + n), "human", reason)
        if chance.random() < plan.clicks:
            link = chance.choices(plan.links, range(len(plan.links), 0, -1))[0]
            yield email.clicked(after + timedelta(minutes=2), "human", "browser", link_id(plan.id, link))
        if chance.random() < 0.012:
            yield email.unsubscribed(after + timedelta(minutes=1))
        if chance.random() < plan.replies[is_b]:
            text = chance.choice(_WORDS)
            asked = _STOPS if text.endswith("off your list.") else {}
            yield email.answered(Replied, after + timedelta(minutes=5), subject=f"Re: {plan.name}", text=text, **asked)
        if chance.random() < 0.001:
            yield email.answered(Complained, after + timedelta(minutes=1))
    if chance.random() < 0.01:
        yield email.answered(AutoReplied, timedelta(minutes=1))


def _waking(sent: datetime, after: timedelta) -> timedelta:
    """People sleep: what would be opened at night is opened after breakfast."""
    at = sent + after
    return after if 6 <= at.hour < 23 else after + timedelta(hours=(7 - at.hour) % 24)


def link_id(campaign: str, url: str) -> str:
    """As a link's id looks."""
    return hashlib.sha256(f"{campaign} {url}".encode()).hexdigest()


def insert_weeks(client: Client, end: datetime) -> None:
    events = [event for event in weeks(end) if event.at < end]
    insert_lines(client, "events", lines(events))
    insert_lines(
        client,
        "links",
        lines(Link(link_id=link_id(plan.id, url), campaign=plan.id, url=url) for plan in PLANS for url in plan.links),
    )
    client.insert(
        "campaigns",
        [[plan.id, plan.name, end] for plan in PLANS],
        column_names=["id", "name", "created_at"],
    )
    for event in events:
        if isinstance(event, CampaignPaused | CampaignResumed):
            row = [event.campaign, isinstance(event, CampaignPaused), event.at, event.at]
            client.insert("pauses", [row], column_names=["campaign", "paused", "at", "stored_at"])
