"""What the list lost, day by day: counted by hand, each email once, by when it happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from msgspec.structs import replace

from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Complained, Lead, Resubscribed, Unsubscribed, lines
from schemas.settings import Settings
from tests.dashboards.asking import ask
from tests.dashboards.data import Email

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LOST = ("sent", "unsubscribed", "hard_bounced", "complained", "suppressed")


def fact(lead: str, at: datetime, **more: Any) -> Lead:
    return Lead(**{"lead": lead, "fact": "suppressed", "at": at, "source": "api"} | more)


def reasons() -> Iterator[AnyEvent]:
    """In June of `poll`: unsubscribes with reasons and without, one twice, one taken back, one both."""
    june = MONDAY + 91 * DAY
    said = (
        ("too-many", "page"), ("too-many", "page"), ("never-asked", "page"), ("moved-house", "page"), ("", "page"),
        ("", "one-click"), ("", "one-click"), ("", "reply"),
    )  # fmt: skip
    for n, (reason, via) in enumerate(said):
        yield replace(Email("poll", 1, "A", f"poll-{n}", june).unsubscribed(n * HOUR), reason=reason, via=via)
    again, back, both = (Email("poll", 1, "A", f"poll-{name}", june) for name in ("again", "back", "both"))

    def event(email: Email, kind: type[Unsubscribed | Resubscribed], after: timedelta, **more: str) -> AnyEvent:
        made: AnyEvent = kind(**email.common(f"{kind.__name__} {after}", june + after), **more)  # type: ignore[arg-type]
        return made

    # One click, and a day later a reason; the second is in the week that follows.
    yield event(again, Unsubscribed, 6 * DAY, via="one-click")
    yield event(again, Unsubscribed, 8 * DAY, via="page", reason="other")
    yield event(back, Unsubscribed, DAY, via="page", reason="too-many")
    yield event(back, Resubscribed, DAY + HOUR)
    yield event(both, Unsubscribed, DAY, via="page", reason="never-asked")
    yield event(both, Resubscribed, DAY + HOUR)
    yield event(both, Unsubscribed, 2 * DAY, via="one-click")


@pytest.fixture(scope="module")
def client(own_database: Settings) -> Iterator[Client]:
    one, two, three, four = (Email("spring", 1, "A", f"lead-{n}", MONDAY + 9 * HOUR) for n in range(4))
    other = Email("autumn", 1, "A", "lead-9", MONDAY + DAY)
    events = [
        *(event for email in (one, two, three, other) for event in (email.sent(), email.delivered())),
        four.sent(),
        four.bounced("hard"),
        # Once more a day later, as a provider's report beside the mail server's: one email.
        replace(four.bounced("hard"), id=str(one.id), at=four.at + DAY),
        other.bounced("soft"),
        one.unsubscribed(2 * DAY),
        two.answered(Complained, DAY),
        two.answered(Complained, 3 * DAY),
        other.answered(Complained, 3 * DAY),
        *reasons(),
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


def test_why_people_unsubscribed_is_counted_by_what_they_chose_or_how_they_went(client: Client) -> None:
    """Each email once: the one with two by its reason, the one that went, came back and went by the reason it gave."""
    june = MONDAY + 91 * DAY
    rows = ask(client, "unsubscribe_reasons", june, june + 7 * DAY)
    assert {row["why"]: row["emails"] for row in rows} == {
        "By one click, which asks for none": 2,
        "Never asked for them": 2,
        "Too many emails": 2,
        "Another reason": 1,
        "Asked for in a reply": 1,
        "No reason chosen on the page": 1,
        "moved house": 1,
    }
    assert [row["emails"] for row in rows] == sorted((row["emails"] for row in rows), reverse=True)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert sum(row["unsubscribed"] for row in ask(client, "list_health", june, june + 7 * DAY)) == 10


def test_who_went_in_the_week_before_is_not_counted_in_the_next(client: Client) -> None:
    june = MONDAY + 91 * DAY
    assert ask(client, "unsubscribe_reasons", june + 7 * DAY, june + 14 * DAY) == []
    assert ask(client, "unsubscribe_reasons", june, june + 7 * DAY, campaigns=("spring",)) == []
    (one,) = ask(client, "unsubscribe_reasons", MONDAY, MONDAY + 7 * DAY)
    assert (one["why"], one["emails"], one["share"]) == ("No reason chosen on the page", 1, 1)
