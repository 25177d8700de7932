"""Sender health, as ClickHouse folds it, is what one email after the other makes of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.queries import get
from clickhouse.store import connect, insert_lines
from schemas.events import BounceClass, Bounced, Deferred, Delivered, Event, Sent, lines
from schemas.settings import Settings
from schemas.tokens import delivery_id, event_id
from tests.support.migrated import start_migrated

START = datetime(2026, 11, 1, tzinfo=UTC)
CLEAN_IN_A_ROW = 20  # that give one point back

# What may happen to an email: a kind, a class or status, and the words.
DELIVERED, HARD, SOFT, BLOCK, UNKNOWN = "delivered", "hard", "soft", "block", "unknown"
TOO_FAST = "450 4.2.1 receiving mail at a rate too high"
GREY = "451 4.7.1 Greylisted, come back later"
DOWN = "421 4.3.2 not accepting messages"
FULL = "552 5.2.2 mailbox full"
LATER = "451 try again later"
BROKE_OFF = "421 4.4.2 no answer: the connection closed"  # as the sender writes it, without the digits
PUT_OFF = (TOO_FAST, DOWN, FULL, LATER)
WEIGHT = {HARD: 15, SOFT: 5, BLOCK: 5, UNKNOWN: 5, DELIVERED: 0} | dict.fromkeys(PUT_OFF, 5)  # the others say nothing


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    server = start_migrated(tmp_path_factory.mktemp("health") / "clickhouse")
    settings = Settings(_env_file=None, clickhouse_url=server.url, data_dir=Path("unused"))  # type: ignore[call-arg]
    try:
        with connect(settings) as client:
            yield client
    finally:
        server.kill()


def events_of(sender: str, email: int, met: Sequence[tuple[float, str]]) -> list[Event]:
    """An email that was sent, and what it met at which second."""
    lead = f"{sender}-{email}"
    delivery = delivery_id("spring", 1, lead)

    def of(at: float, cause: str) -> dict[str, Any]:
        return {
            "id": str(event_id(delivery, cause)),
            "at": START + timedelta(seconds=at),
            "delivery_id": str(delivery),
            "campaign": "spring",
            "step": 1,
            "variant": "A",
            "lead": lead,
            "sender": sender,
        }

    events: list[Event] = [Sent(**of(met[0][0], "sent"), recipient_domain="example.com", message_id="<1@example.com>")]
    for attempt, (at, what) in enumerate(met):
        if what == DELIVERED:
            events.append(Delivered(**of(at, what)))
        elif what in WEIGHT and what not in PUT_OFF:
            bounce: BounceClass = what  # type: ignore[assignment]
            events.append(
                Bounced(**of(at, "bounce"), bounce_class=bounce, category="", status="5.0.0", diagnostic="no")
            )
        else:
            status = next(word for word in reversed(what.split()[:2]) if word[0].isdigit())
            words = what.removeprefix("421 4.4.2 ")
            events.append(Deferred(**of(at, f"d{attempt}"), status=status, diagnostic=words, attempt=attempt))
    return events


def health_of(emails: Sequence[Sequence[tuple[float, str]]]) -> int:
    """The definition: one email after the other, by the moment of the worst that each met."""
    worst = []
    for met in emails:
        weighed = [(-WEIGHT[what], at) for at, what in met if what in WEIGHT]
        if weighed:
            weight, at = min(weighed)
            worst.append((at, -weight))
    health, clean = 100, 0
    for _, weight in sorted(worst):
        if weight:
            health, clean = max(0, health - weight), 0
        else:
            clean += 1
            if clean == CLEAN_IN_A_ROW:
                health, clean = min(100, health + 1), 0
    return health


def stored(client: Client, sender: str, emails: Sequence[Sequence[tuple[float, str]]]) -> list[Event]:
    events = [event for number, met in enumerate(emails) for event in events_of(sender, number, met)]
    insert_lines(client, "events", lines(events))
    return events


def asked(client: Client) -> dict[str, dict[str, Any]]:
    rows = client.query(get("sender_health").sql).named_results()
    return {row["sender"]: dict(row) for row in rows}


@pytest.mark.parametrize(
    ("sender", "emails", "health"),
    [
        ("clean", [[(n, DELIVERED)] for n in range(50)], 100),
        ("one-hard", [[(0, HARD)]], 85),
        ("one-soft", [[(0, SOFT)]], 95),
        ("one-block", [[(0, BLOCK)]], 95),
        ("many-hard", [[(n, HARD)] for n in range(9)], 0),
        ("put-off-often", [[(0, TOO_FAST), (1, TOO_FAST), (2, TOO_FAST), (3, DELIVERED)]], 95),
        ("greylisted", [[(0, GREY), (300, DELIVERED)]], 100),
        ("their-server-was-down", [[(0, DOWN), (1, DELIVERED)]], 95),
        ("put-off-by-three-digits", [[(0, LATER), (1, DELIVERED)]], 95),
        ("put-off-by-a-full-mailbox", [[(0, FULL), (1, DELIVERED)]], 95),
        ("put-off-four-times-costs-once", [[(0, DOWN), (1, LATER), (2, FULL), (3, TOO_FAST), (4, DELIVERED)]], 95),
        ("broke-off-without-an-answer", [[(0, BROKE_OFF), (1, DELIVERED)]], 100),
        ("returned-later", [[(0, DELIVERED), (90, HARD)]], 85),
        ("soft-then-hard", [[(0, TOO_FAST), (1, HARD)]], 85),
        ("nineteen-clean", [[(0, HARD)], *([(n, DELIVERED)] for n in range(1, 20))], 85),
        ("twenty-clean", [[(0, HARD)], *([(n, DELIVERED)] for n in range(1, 21))], 86),
        ("back-to-100", [[(0, SOFT)], *([(n, DELIVERED)] for n in range(1, 200))], 100),
    ],
)
def test_what_emails_meet_costs_health_and_clean_ones_give_it_back(
    client: Client, sender: str, emails: list[list[tuple[float, str]]], health: int
) -> None:
    stored(client, sender, emails)
    assert health_of(emails) == health
    assert asked(client)[sender]["health"] == health


def test_clickhouse_folds_as_one_does_by_hand_and_a_duplicate_changes_nothing(client: Client) -> None:
    """200 senders with a history each, some of it twice, in one unmerged part after the other."""
    chance = random.Random(7)
    histories: dict[str, list[list[tuple[float, str]]]] = {}
    everything: list[Event] = []
    for number in range(200):
        emails = []
        for _ in range(chance.randint(1, 150)):
            met, at = [], float(chance.randint(0, 60))  # many at the same moment
            while chance.random() < 0.2:
                met.append((at, chance.choice((TOO_FAST, GREY, DOWN, BROKE_OFF))))
                at += chance.randint(0, 5)
            met.append((at, DELIVERED if chance.random() < 0.9 else chance.choice((HARD, SOFT, BLOCK, UNKNOWN))))
            if met[-1][1] == DELIVERED and chance.random() < 0.05:
                met.append((at + chance.randint(0, 30), HARD))
            emails.append(met)
        histories[f"random-{number}"] = emails
        everything += [event for n, met in enumerate(emails) for event in events_of(f"random-{number}", n, met)]
    chance.shuffle(everything)
    for part in (everything[::2], everything[1::2], everything[::3]):
        insert_lines(client, "events", lines(part))
    found = asked(client)
    assert {sender: found[sender]["health"] for sender in histories} == {
        sender: health_of(emails) for sender, emails in histories.items()
    }
    assert len({found[sender]["health"] for sender in histories}) > 20


def test_counts_stand_beside_it(client: Client) -> None:
    stored(client, "counted", [[(0, DELIVERED)], [(1, HARD)], [(2, SOFT)], [(3, BLOCK)], [(4, DELIVERED), (9, HARD)]])
    row = asked(client)["counted"]
    assert (row["sent"], row["hard_bounced"], row["soft_bounced"], row["blocked"]) == (5, 2, 1, 1)
