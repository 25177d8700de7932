"""Weeks of three campaigns, large enough to look at: what the pictures in `docs/img/` show. The same every time.

The stories: of `Spring launch` variant B gets twice the replies of A in its first step, and as many in its second.
`Webinar follow-up` tries three variants on too few leads. `Dormant accounts` has a bad list: it pauses itself, is resumed
twice, and ruins its sender. Microsoft blocks more than others; scanners sit before company domains.
`SHOWN_LEAD` met nearly everything that can happen.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse.store import insert_lines
from decisions.clients.naming import named
from schemas.events import (
    AnyEvent,
    AutoReplied,
    BounceClass,
    Bounced,
    CampaignPaused,
    CampaignResumed,
    Clicked,
    Complained,
    Deferred,
    Delivered,
    Opened,
    Replied,
    Sent,
    Skipped,
    Unsubscribed,
    lines,
)
from schemas.tokens import event_id
from tests.dashboards.data import Email
from tests.dashboards.month_cast import (
    ANSWERS,
    APPLE,
    BROWSER,
    CLIENTS,
    COMPANIES,
    DOMAINS,
    GMAIL,
    MICROSOFT,
    NAMES,
    REASONS,
    REFUSALS,
    ROBOTS,
    STOPS,
)

SHOWN_LEAD = "L-20417"
NEWSLETTER = Path(__file__).with_name("newsletter.html")
_PAGES = {"/pricing": 9, "/tour": 6, "/customers/story": 3, "/book-a-call": 4}  # by how much people want to see them
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


@dataclass(frozen=True)
class Plan:
    """A campaign. Leads enter it day by day and get its steps every four days; rates are of delivered, bounces of sent."""

    id: str
    name: str
    sender: str
    first: int  # days before the end
    days: int
    daily: int
    variants: str
    steps: int
    opens: float
    clicks: float
    hard: float
    replies: dict[tuple[int, str], float]
    bounce_min_sends: int = 20

    @property
    def links(self) -> tuple[str, ...]:
        return tuple(map(_url, _PAGES))


PLANS = (
    Plan("spring-launch", "Spring launch", "hello@example.com", 52, 53, 86, "AB", 3, 0.46, 0.3, 0.0012,
         {(1, "A"): 0.024, (1, "B"): 0.058, (2, "A"): 0.022, (2, "B"): 0.023}),
    Plan("webinar-follow-up", "Webinar follow-up", "events@example.com", 24, 25, 26, "ABC", 2, 0.55, 0.24, 0.002,
         {(1, "A"): 0.03, (1, "B"): 0.045, (1, "C"): 0.038}),
    Plan("dormant-accounts", "Dormant accounts", "winback@example.net", 17, 12, 58, "A", 1, 0.19, 0.14, 0.066, {}, 100),
)  # fmt: skip


def _url(page: str) -> str:
    return f"https://example.com{page}"


def link_id(campaign: str, url: str) -> str:
    return hashlib.sha256(f"{campaign} {url}".encode()).hexdigest()


class Letter:
    """One email of a plan, and its events."""

    def __init__(self, plan: Plan, step: int, variant: str, lead: str, at: datetime, domain: str) -> None:
        self.plan, self.at, self.domain = plan, at, domain
        self._email = Email(plan.id, step, variant, lead, at)

    def make(self, kind: type[Any], name: str, after: timedelta, **more: Any) -> Any:
        if kind in (Sent, Delivered, Deferred, Bounced, Replied, AutoReplied, Complained):
            more["sender"] = self.plan.sender
        if kind in (Replied, AutoReplied, Complained):
            more |= {"message_id": f"{name}-{self._email.id}@example.net", "matched_by": "in-reply-to"}
        return kind(**self._email.common(name, self.at + after), **more)

    def choose(self, choices: Sequence[str]) -> str:
        """One of them, always the same for this email, and without a draw that would change what comes after it."""
        return choices[self._email.id.int % len(choices)]

    def sent(self) -> AnyEvent:
        message_id = f"<{self._email.id}@example.com>"
        sent: AnyEvent = self.make(Sent, "sent", 0 * SECOND, recipient_domain=self.domain, message_id=message_id)
        return sent

    def bounced(self, chance: random.Random, bounce_class: BounceClass) -> AnyEvent:
        category, status, said = chance.choice(REFUSALS[bounce_class])
        bounce: AnyEvent = self.make(
            Bounced, "bounce", SECOND, bounce_class=bounce_class, category=category, status=status, diagnostic=said
        )
        return bounce

    def hit(
        self, kind: type[Opened | Clicked], after: timedelta, by: tuple[str, ...], page: str = "/pricing"
    ) -> AnyEvent:
        verdict, reason, user_agent, agent, network = by
        said: dict[str, Any] = {
            "verdict": verdict,
            "reason": reason,
            "user_agent": user_agent,
            "rules_version": "9",
            "agent": agent,
            "ip": _ip(self._email.lead),
            "network": network,
        }
        if kind is Clicked:
            said["link_id"] = link_id(self.plan.id, _url(page))
        made = self.make(kind, f"{kind.__name__} {reason} {page}", after, **said)
        return named(made, NAMES, _country(said["ip"]), said["ip"])


def _ip(lead: str) -> str:
    """An address of the networks set aside for documents (RFC 5737), the same for each lead."""
    number = int(lead.removeprefix("L-"))
    return f"{('192.0.2', '198.51.100', '203.0.113')[number % 3]}.{number % 254 + 1}"


def _country(ip: str) -> str:
    """A country of the network, as a country file would say."""
    return {"192": "DE", "198": "FR", "203": "CH"}[ip.partition(".")[0]]


Told = tuple[Letter, list[AnyEvent]]


def month(end: datetime) -> Iterator[AnyEvent]:
    """Everything that happened in the weeks up to `end`, people and machines."""
    chance = random.Random(2026)
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    number = 20_000
    for plan in PLANS:
        told: list[Told] = []
        for day in range(plan.days):
            date = midnight - (plan.first - day) * DAY
            if date.weekday() >= 5:
                continue
            for _ in range(int(plan.daily * chance.uniform(0.75, 1.2))):
                number += 1
                if f"L-{number}" != SHOWN_LEAD:
                    told += _course(chance, plan, f"L-{number}", date)
        yield from _guarded(plan, sorted(told, key=lambda story: story[0].at))
    yield from _shown(end)


def _guarded(plan: Plan, told: list[Told]) -> Iterator[AnyEvent]:
    """The emails of a plan as the guard lets them go: more than 5 % hard bounces pause it. Whoever runs it resumes it a day
    later, twice."""
    sent = hard = pauses = 0
    resumed_at: datetime | None = None
    is_paused = False
    for letter, events in told:
        if is_paused and resumed_at and letter.at >= resumed_at:
            yield CampaignResumed(id=str(event_id(plan.id, f"resumed {pauses}")), at=resumed_at, campaign=plan.id)
            sent, hard, is_paused = 0, 0, False
        if is_paused and not isinstance(events[0], Skipped):
            yield letter.make(Skipped, "skipped", 0 * SECOND, reason="paused")
            continue
        yield from events
        sent += any(isinstance(event, Sent) for event in events)
        hard += any(isinstance(event, Bounced) and event.bounce_class == "hard" for event in events)
        if not is_paused and sent >= plan.bounce_min_sends and hard / sent > 0.05:
            pauses += 1
            is_paused, at = True, letter.at + 2 * SECOND
            resumed_at = at + 23 * HOUR if pauses < 3 else None
            detail = f"{hard} of {sent} emails bounced hard: {hard / sent:.1%}, more than 5 %"
            yield CampaignPaused(
                id=str(event_id(plan.id, f"paused {pauses}")), at=at, campaign=plan.id, reason="bounces",
                detail=detail, sent=sent, hard_bounced=hard,
            )  # fmt: skip


def _course(chance: random.Random, plan: Plan, lead: str, first: datetime) -> Iterator[Told]:
    """A lead's way through the steps, until it replies, leaves, or turns out to be dead."""
    domain = chance.choices(list(DOMAINS), list(DOMAINS.values()))[0]
    variant = chance.choice(plan.variants)
    stopped = ""
    for step in range(1, plan.steps + 1):
        date = first + 4 * (step - 1) * DAY
        date += max(0, 7 - date.weekday()) * DAY if date.weekday() >= 5 else 0 * DAY
        letter = Letter(plan, step, variant, lead, date + 8 * HOUR + chance.randrange(8 * 3600) * SECOND, domain)
        if stopped:
            if stopped != "invalid":
                yield letter, [letter.make(Skipped, "skipped", 0 * SECOND, reason=stopped)]
            return
        events = list(_story(chance, letter, step, variant))
        yield letter, events
        for event in events:
            if isinstance(event, Replied):
                stopped = "replied"
            elif isinstance(event, Unsubscribed):
                stopped = "unsubscribed"
            elif isinstance(event, Bounced):
                stopped = "invalid"


def _story(chance: random.Random, letter: Letter, step: int, variant: str) -> Iterator[AnyEvent]:
    plan = letter.plan
    yield letter.sent()
    blocks = 0.003 if letter.domain in MICROSOFT else 0.0002
    fate = chance.random()
    if fate < plan.hard + 0.001 + blocks:
        yield letter.bounced(chance, "hard" if fate < plan.hard else "soft" if fate < plan.hard + 0.001 else "block")
        return
    yield letter.make(Delivered, "delivered", 2 * SECOND)
    yield from _machines(chance, letter)
    if chance.random() >= plan.opens * (1.12 if variant == "B" else 1.0) * (0.9 if step > 1 else 1.0):
        return
    after = _awake(letter.at, timedelta(minutes=min(chance.lognormvariate(4.4, 1.7), 9000)))
    by = chance.choices(CLIENTS, [weight for weight, *_ in CLIENTS])[0][1:]
    for again in range(chance.choice((1, 1, 1, 2, 3))):
        yield letter.hit(Opened, after * (1 + again), by)
    if chance.random() < plan.clicks:
        for n, page in enumerate(chance.choices(list(_PAGES), list(_PAGES.values()), k=chance.choice((1, 1, 2)))):
            yield letter.hit(Clicked, after + (1 + n) * MINUTE, BROWSER, page)
    if chance.random() < 0.012:
        via = chance.choice(("page", "one-click"))
        reason = letter.choose(REASONS) if via == "page" else ""
        yield letter.make(Unsubscribed, "unsubscribe", after + MINUTE, via=via, reason=reason)
    if chance.random() < plan.replies.get((step, variant), 0.015) / plan.opens:
        text = chance.choice(ANSWERS)
        asked = STOPS if text.endswith("off your list.") else {}
        yield letter.make(Replied, "reply", after + 7 * MINUTE, subject=f"Re: {plan.name}", text=text, **asked)
    if chance.random() < 0.0012:
        yield letter.make(Complained, "complaint", after + MINUTE)


def _machines(chance: random.Random, letter: Letter) -> Iterator[AnyEvent]:
    """What opens and clicks without any person: gateways of companies first of all."""
    if chance.random() < (0.75 if letter.domain in COMPANIES else 0.06):
        by = chance.choices(ROBOTS, [weight for weight, *_ in ROBOTS])[0][1:]
        after = chance.uniform(0.3, 1.9) if by[1] == "too-quick" else chance.uniform(3, 240)
        yield letter.hit(Opened, after * SECOND, by)
        for page in chance.sample(list(_PAGES), chance.randrange(len(_PAGES))):
            yield letter.hit(Clicked, (after + chance.uniform(0.2, 3)) * SECOND, by, page)
    if letter.domain == "icloud.com" and chance.random() < 0.8:
        yield letter.hit(Opened, chance.randrange(20, 4000) * SECOND, APPLE)
    elif letter.domain == "gmail.com" and chance.random() < 0.2:
        yield letter.hit(Opened, chance.randrange(5, 90) * SECOND, GMAIL)
    if chance.random() < 0.02:
        yield letter.make(AutoReplied, "auto_reply", 20 * SECOND, subject="Out of office")
    if chance.random() < 0.006:
        yield letter.make(
            Deferred, "deferred", -3 * MINUTE, status="4.2.1", diagnostic="450 4.2.1 try again later", attempt=1
        )


def _awake(sent: datetime, after: timedelta) -> timedelta:
    """People sleep: what would fall into the night comes in the morning."""
    at = sent + after
    if 7 <= at.hour < 22:
        return after
    morning = (at + (DAY if at.hour >= 22 else 0 * DAY)).replace(hour=7)
    return morning - sent


def _shown(end: datetime) -> Iterator[AnyEvent]:
    """The lead that the picture of the timeline shows."""
    at = (end - 9 * DAY).replace(hour=9, minute=12, second=4, microsecond=0)
    first, second = Letter(PLANS[0], 1, "B", SHOWN_LEAD, at, "example.org"), None
    robot = ("bot", "probable-network", BROWSER[2], "browser", "Proofpoint")
    said = "451 4.7.1 greylisted, please try again in 5 minutes"
    yield first.make(Deferred, "deferred", -6 * MINUTE, status="4.7.1", diagnostic=said, attempt=1)
    yield first.sent()
    yield first.make(Delivered, "delivered", 2 * SECOND)
    yield first.hit(Opened, 5 * SECOND, robot)
    for n, page in enumerate(_PAGES):
        yield first.hit(Clicked, (6 + n / 4) * SECOND, robot, page)
    yield first.make(AutoReplied, "auto_reply", 24 * SECOND, subject="Out of office until Monday")
    yield first.hit(Opened, 4 * DAY + 37 * MINUTE, CLIENTS[0][1:])
    second = Letter(PLANS[0], 2, "B", SHOWN_LEAD, at + 5 * DAY + 26 * MINUTE, "example.org")
    yield second.sent()
    yield second.make(Delivered, "delivered", SECOND)
    yield second.hit(Opened, 3 * SECOND, robot)
    yield second.hit(Opened, 94 * MINUTE, CLIENTS[0][1:])
    yield second.hit(Clicked, 95 * MINUTE, BROWSER, "/pricing")
    yield second.hit(Clicked, 98 * MINUTE, BROWSER, "/book-a-call")
    yield second.make(
        Replied, "reply", 121 * MINUTE, subject="Re: Spring launch", text=ANSWERS[1], from_address="jo@example.org"
    )
    third = Letter(PLANS[0], 3, "B", SHOWN_LEAD, at + 8 * DAY, "example.org")
    yield third.make(Skipped, "skipped", 0 * SECOND, reason="replied")


def insert_month(client: Client, end: datetime) -> None:
    events = [event for event in month(end) if event.at < end]
    insert_lines(client, "events", lines(events))
    client.insert(
        "campaigns",
        [[plan.id, plan.name, end, plan.bounce_min_sends, True] for plan in PLANS],
        column_names=["id", "name", "created_at", "bounce_min_sends", "check_reply"],
    )
    client.insert(
        "lead_facts",
        [[SHOWN_LEAD, "replied", end - 4 * DAY, PLANS[0].id]],
        column_names=["lead", "fact", "at", "campaign"],
    )
    client.insert(
        "links",
        [[link_id(plan.id, url), plan.id, url] for plan in PLANS for url in plan.links],
        column_names=["link_id", "campaign", "url"],
    )
    client.insert(
        "previews",
        [["spring-launch", 1, variant, NEWSLETTER.read_text(), end] for variant in "AB"],
        column_names=["campaign", "step", "variant", "html", "at"],
    )
    states = {event.campaign: event for event in events if isinstance(event, CampaignPaused | CampaignResumed)}
    client.insert(
        "pauses",
        [[event.campaign, isinstance(event, CampaignPaused), event.at] for event in states.values()],
        column_names=["campaign", "paused", "at"],
    )
