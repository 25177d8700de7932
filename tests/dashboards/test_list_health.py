"""What the list lost, day by day: counted by hand, each email once, by when it happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.store import connect, insert_lines
from schemas.events import Complained, Lead, lines
from schemas.settings import Settings
from tests.dashboards.asking import ask
from tests.dashboards.data import Email

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LOST = ("sent", "unsubscribed", "hard_bounced", "complained", "suppressed")


def fact(lead: str, at: datetime, **more: Any) -> Lead:
    return Lead(**{"lead": lead, "fact": "suppressed", "at": at, "source": "api"} | more)


@pytest.fixture(scope="module")
def client(own_database: Settings) -> Iterator[Client]:
    one, two, three, four = (Email("spring", 1, "A", f"lead-{n}", MONDAY + 9 * HOUR) for n in range(4))
    other = Email("autumn", 1, "A", "lead-9", MONDAY + DAY)
    events = [
        *(event for email in (one, two, three, other) for event in (email.sent(), email.delivered())),
        four.sent(),
        four.bounced("hard"),
        # Once more a day later, as a provider's report beside the mail server's: one email.
        msgspec.structs.replace(four.bounced("hard"), id=str(one.id), at=four.at + DAY),
        other.bounced("soft"),
        one.unsubscribed(2 * DAY),
        two.answered(Complained, DAY),
        two.answered(Complained, 3 * DAY),
        other.answered(Complained, 3 * DAY),
    ]
    facts = [
        fact("typed", MONDAY + 4 * DAY),
        fact("hash-of-a-domain", MONDAY + 4 * DAY, of="domain", source="import"),
        fact("imported", MONDAY + 5 * DAY, fact="unsubscribed", of="address", source="old system"),
        fact("taken-back", MONDAY + 4 * DAY, holds=False),
        fact("lead-0", MONDAY + 2 * DAY, fact="unsubscribed", source="page"),
        fact("lead-3", MONDAY, fact="invalid", source="bounce"),
        fact("old", MONDAY - DAY),
        fact("hash-of-a-lead", MONDAY, fact="erased", of="hashed-lead", source=""),
    ]
    with connect(own_database) as client:
        for _ in range(2):  # as a replay would
            insert_lines(client, "events", lines(events))
            insert_lines(client, "lead_facts", lines(facts))
        yield client


def lost(client: Client, since: datetime, until: datetime, *campaigns: str, timezone: str = "UTC") -> dict[str, Any]:
    """Of each day on which anything happened, by its date, the counts."""
    rows = ask(client, "list_health", since, until, campaigns=campaigns, timezone=timezone)
    counted = {f"{row['time']:%m-%d}": tuple(row[name] for name in LOST) for row in rows}
    return {day: counts for day, counts in counted.items() if any(counts)}


def test_each_day_has_what_happened_in_it(client: Client) -> None:
    assert lost(client, MONDAY, MONDAY + 7 * DAY) == {
        "03-02": (4, 0, 1, 0, 0),
        "03-03": (1, 0, 0, 1, 0),
        "03-04": (0, 1, 0, 0, 0),
        "03-06": (0, 0, 0, 1, 2),
        "03-07": (0, 0, 0, 0, 1),
    }
    assert len(ask(client, "list_health", MONDAY, MONDAY + 7 * DAY)) == 7


def test_what_was_lost_before_is_not_lost_again(client: Client) -> None:
    assert lost(client, MONDAY + DAY, MONDAY + 2 * DAY) == {"03-03": (1, 0, 0, 1, 0)}
    assert lost(client, MONDAY + 2 * DAY, MONDAY + 7 * DAY)["03-06"] == (0, 0, 0, 1, 2)


def test_suppressions_are_of_no_campaign(client: Client) -> None:
    assert lost(client, MONDAY, MONDAY + 7 * DAY, "autumn") == {
        "03-03": (1, 0, 0, 0, 0),
        "03-06": (0, 0, 0, 1, 2),
        "03-07": (0, 0, 0, 0, 1),
    }


def test_over_half_a_year_it_is_weeks_of_the_timezone(client: Client) -> None:
    found = lost(client, MONDAY - 200 * DAY, MONDAY + 14 * DAY, timezone="Asia/Tokyo")
    assert found == {"02-23": (0, 0, 0, 0, 1), "03-02": (5, 1, 1, 2, 3)}


def test_days_are_those_of_the_timezone(client: Client) -> None:
    """In New York the emails of midnight in UTC went out the day before."""
    found = lost(client, MONDAY, MONDAY + 7 * DAY, timezone="America/New_York")
    assert found["03-02"] == (5, 0, 1, 0, 0)
