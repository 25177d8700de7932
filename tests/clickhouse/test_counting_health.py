"""The law of counting, for sender health: at any moment and in any timezone it is what one email after the other makes of
it, in whatever order, as late and as often their events came, and however far the counting ahead has come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median_low
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from clickhouse import counting, queries
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from schemas.events import Event, Sent, lines
from schemas.settings import Settings
from tests.clickhouse.test_counting import empty, many
from tests.clickhouse.test_sender_health import (
    BLOCK,
    DELIVERED,
    GREY,
    HARD,
    SOFT,
    START,
    TOO_FAST,
    UNKNOWN,
    WEIGHT,
    events_of,
    health_of,
)  # fmt: skip

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work

# One is not whole hours off UTC, one changes its clocks within the story (on 1 November 2026).
TIMEZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
HOUR = 3600.0
# Seconds after START, around which hours and days begin in one of the timezones.
MOMENTS = [
    hour * HOUR + off
    for hour in (-49, -24, -1, 0, 4, 5, 11, 18.5, 23, 24, 25, 42.5, 47, 48, 72)
    for off in (-0.001, 0, 0.001, 1800)
]
SENDERS = ("one@example.com", "two@example.com")
BOUNCES = (HARD, SOFT, BLOCK, UNKNOWN)
STORIES = [(DELIVERED,), *((bounce,) for bounce in BOUNCES), (DELIVERED, HARD), (DELIVERED, SOFT), (TOO_FAST, DELIVERED),
           (TOO_FAST, HARD), (TOO_FAST, TOO_FAST), (GREY, DELIVERED), (GREY,)]  # fmt: skip

Met = Sequence[tuple[float, str]]


@pytest.fixture(scope="module")
def emptied(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


def asked(client: Client, name: str, since: float, until: float, timezone: str) -> list[dict[str, Any]]:
    query = queries.get(name)
    period = (START + timedelta(seconds=second) for second in (since, until))
    given = QueryParameters(*period, (), timezone).parameters() | {"senders": []}
    return list(client.query(query.asked, parameters=query.values(given)).named_results())


def health_until(emails: Sequence[Met], end: float) -> int | None:
    """Health before a moment, as it is known now; None before the first email that met anything."""
    worst = [
        min(weighed) for met in emails if (weighed := [(-WEIGHT[what], at, what) for at, what in met if what in WEIGHT])
    ]
    known = [[(at, what)] for _, at, what in worst if at < end]
    return health_of(known) if known else None


def ends_of_days(since: float, until: float, timezone: str) -> dict[date, float]:
    """The days of the period, and in seconds when each ends."""
    zone = ZoneInfo(timezone)
    day = (START + timedelta(seconds=since)).astimezone(zone).date()
    last = (START + timedelta(seconds=until, milliseconds=-1)).astimezone(zone).date()
    found = {}
    while day <= last:
        end = day + timedelta(days=1)
        found[day] = (datetime(end.year, end.month, end.day, tzinfo=zone).astimezone(UTC) - START).total_seconds()
        day = end
    return found


def _day(time: datetime, timezone: str) -> date:
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(ZoneInfo(timezone)).date()


def assert_healthy(
    client: Client,
    events: Sequence[Event],
    histories: Mapping[str, Sequence[Met]],
    period: tuple[float, float],
    timezone: str,
) -> None:
    """What every query says of health is what folding by hand says."""
    now = {sender: health_until(emails, float("inf")) for sender, emails in histories.items()}
    seen = {row["sender"]: row["health"] for row in client.query(queries.get("sender_health").sql).named_results()}
    assert seen == {sender: 100 if health is None else health for sender, health in now.items()}
    since, until = (START + timedelta(seconds=second) for second in period)
    sent = {event.sender for event in events if isinstance(event, Sent) and since <= event.at < until}
    assert {row["sender"]: row["health"] for row in asked(client, "senders", *period, timezone)} == {
        sender: seen[sender] for sender in sent
    }
    days = {
        day: {sender: health for sender in sent if (health := health_until(histories[sender], end)) is not None}
        for day, end in ends_of_days(*period, timezone).items()
    }
    found = asked(client, "sender_health_over_time", *period, timezone)
    assert [
        (_day(row["time"], timezone), row["lowest"], row["middle"], row["highest"], row["senders"]) for row in found
    ] == [(day, min(of.values()), median_low(of.values()), max(of.values()), len(of)) for day, of in days.items() if of]
    of_senders = {sender: [of[sender] for of in days.values() if sender in of] for sender in sent}
    assert {
        row["sender"]: (row["health"], row["lowest"]) for row in asked(client, "senders_in_period", *period, timezone)
    } == {sender: (of[-1], min(of)) if of else (100, 100) for sender, of in of_senders.items()}


@st.composite
def histories(draw: st.DrawFn) -> dict[str, list[Met]]:
    """Of each sender: emails that met something, and many at once that met nothing."""
    found: dict[str, list[Met]] = {}
    for sender in SENDERS[: draw(st.integers(1, 2))]:
        emails: list[Met] = []
        for _ in range(draw(st.integers(1, 10))):
            at = draw(st.sampled_from(MOMENTS))
            if draw(st.booleans()):
                emails += [[(at, DELIVERED)]] * draw(st.sampled_from([1, 19, 20, 21, 45]))
            else:
                story = draw(st.sampled_from(STORIES))
                moments = sorted(draw(st.sampled_from(MOMENTS)) for _ in story)
                emails.append(list(zip(moments, story, strict=True)))
        found[sender] = emails
    return found


@many
@given(data=st.data(), of=histories(), rolls=st.sampled_from(["never", "always", "now and then"]))
def test_health_is_what_one_email_after_the_other_makes_of_it(
    emptied: Client, data: st.DataObject, of: dict[str, list[Met]], rolls: str
) -> None:
    empty(emptied)
    events = [
        event
        for sender, emails in of.items()
        for number, met in enumerate(emails)
        for event in events_of(sender, number, met)
    ]
    stream = list(events)
    data.draw(st.randoms(use_true_random=False)).shuffle(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=3)))
    again = data.draw(st.integers(0, len(stream)))
    for part in [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)] + [stream[:again]]:
        if part:
            insert_lines(emptied, "events", lines(part))
        if rolls == "always" or (rolls == "now and then" and data.draw(st.booleans())):
            counting.roll(emptied)
    since, until = sorted(data.draw(st.lists(st.sampled_from(MOMENTS), min_size=2, max_size=2, unique=True)))
    assert_healthy(emptied, events, of, (since, until), data.draw(st.sampled_from(TIMEZONES)))


def test_what_was_counted_ahead_is_used(emptied: Client) -> None:
    empty(emptied)
    emails: list[Met] = [[(600.0 * n, HARD if n % 37 == 0 else SOFT if n % 11 == 0 else DELIVERED)] for n in range(700)]
    events = events_of_all(emails)
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    emptied.command("TRUNCATE TABLE emails")
    for timezone in ("UTC", "Europe/Paris", "Pacific/Auckland"):
        assert_healthy(emptied, events, {SENDERS[0]: emails}, (0, 120 * HOUR), timezone)


def test_an_email_that_comes_back_later_hurts_in_the_later_hour_alone(emptied: Client) -> None:
    empty(emptied)
    clean: list[Met] = [[(HOUR * 3 + n, DELIVERED)] for n in range(30)]
    before = [*clean, [(10.0, SOFT)]]
    insert_lines(emptied, "events", lines(events_of_all(before)))
    counting.roll(emptied)
    after: list[Met] = [*clean, [(10.0, SOFT), (HOUR * 30, HARD)]]
    events = events_of_all(after)
    insert_lines(emptied, "events", lines(events))
    for _ in range(2):
        assert_healthy(emptied, events, {SENDERS[0]: after}, (0, HOUR * 48), "UTC")
        counting.roll(emptied)


def events_of_all(emails: Sequence[Met]) -> list[Event]:
    return [event for number, met in enumerate(emails) for event in events_of(SENDERS[0], number, met)]
