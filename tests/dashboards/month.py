"""A month of three campaigns, large enough to look at: what the pictures in `docs/img/` show. The same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

from clickhouse.store import insert_lines
from schemas.events import AnyEvent, Complained, Replied, lines
from tests.dashboards.data import Email

# id, name, first day before the end, days, emails a day, steps, share opened by a person, share of those clicked, hard bounces
_CAMPAIGNS = (
    ("spring-launch", "Spring launch", 50, 51, 90, 2, 0.44, 0.31, 0.012),
    ("webinar-follow-up", "Webinar follow-up", 24, 25, 60, 3, 0.52, 0.24, 0.008),
    ("dormant-accounts", "Dormant accounts", 16, 10, 45, 1, 0.19, 0.14, 0.058),
)


def month(end: datetime) -> Iterator[AnyEvent]:
    """Everything that happened in the weeks up to `end`, people and machines."""
    chance = random.Random(2026)
    number = 0
    for campaign, _, first, days, daily, steps, opens, clicks, hard in _CAMPAIGNS:
        for day in range(days):
            date = end.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=first - day)
            if date.weekday() >= 5:
                continue
            for _ in range(int(daily * chance.uniform(0.75, 1.2))):
                number += 1
                step = chance.randrange(steps) + 1
                variant = chance.choice("AB")
                at = date + timedelta(hours=8, seconds=chance.randrange(9 * 3600))
                email = Email(campaign, step, variant, f"lead-{number}", at)
                yield from _story(chance, email, opens * (1.16 if variant == "B" else 1.0), clicks, hard)


def _story(chance: random.Random, email: Email, opens: float, clicks: float, hard: float) -> Iterator[AnyEvent]:
    yield email.sent()
    fate = chance.random()
    if fate < hard + 0.012 + 0.004:
        yield email.bounced("hard" if fate < hard else "soft" if fate < hard + 0.012 else "block")
        return
    yield email.delivered()
    second = timedelta(seconds=1)
    scanner = chance.random()
    if scanner < 0.16:
        yield email.opened(second, "bot", "too-quick")
        for n in range(chance.randrange(1, 3)):
            yield email.clicked(second * (n + 1), "bot", "too-quick")
    elif scanner < 0.21:
        yield email.opened(40 * second, "bot", "crawler")
    elif scanner < 0.25:
        yield email.clicked(90 * second, "bot", "http-library")
    if chance.random() < 0.23:
        yield email.opened(chance.randrange(10, 900) * second, "machine", "privacy-prefetch")
    if chance.random() < opens:
        after = timedelta(minutes=min(chance.expovariate(1 / 400), 8000))
        reason = chance.choices(("mail-client", "browser", "mail-proxy"), (5, 3, 4))[0]
        for n in range(chance.choice((1, 1, 1, 2, 3))):
            yield email.opened(after * (1 + n), "human", reason)
        if chance.random() < clicks:
            yield email.clicked(after + timedelta(minutes=2), "human", "browser")
        if chance.random() < 0.012:
            yield email.unsubscribed(after + timedelta(minutes=1))
        if chance.random() < 0.04:
            yield email.answered(Replied, after + timedelta(minutes=5))
        if chance.random() < 0.001:
            yield email.answered(Complained, after + timedelta(minutes=1))


def insert_month(client: Client, end: datetime) -> None:
    insert_lines(client, "events", lines(event for event in month(end) if event.at < end))
    client.insert(
        "campaigns",
        [[id_, name, end] for id_, name, *_ in _CAMPAIGNS],
        column_names=["id", "name", "created_at"],
    )
    client.insert("pauses", [["dormant-accounts", True, end]], column_names=["campaign", "paused", "at"])
