"""The law of counting: whatever comes, in whatever order, as often as it likes, and however far the counting ahead has
come, every number is what counting the events one by one gives, at any range."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse import counting, queries
from clickhouse.query_parameters import QueryParameters
from clickhouse.rebuild import rebuild, rebuild_outcomes
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, lines
from schemas.settings import Settings
from tests.clickhouse.counted import BASE, Told, events_of, hits_by_hand, numbers_by_hand

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work

TRIES = int(os.environ.get("SENDLENS_LAW_EXAMPLES", "6"))
HOUR = timedelta(hours=1)
# Moments at which something may begin or end: around the hours and days by which counts are kept.
EDGES = [
    BASE + timedelta(hours=hours, milliseconds=ms)
    for hours in (-30, -24, -1, 0, 1, 5, 23, 24, 25, 48, 49)
    for ms in (-1, 0, 1, 1_800_000)
]

many = settings(max_examples=TRIES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def emptied(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


def empty(client: Client) -> None:
    for table in ("events", *counting.DERIVED):
        client.command(f"TRUNCATE TABLE {table}")


def asked(
    client: Client, name: str, since: datetime, until: datetime, *campaigns: str, steps: tuple[int, ...] = ()
) -> list[dict[str, Any]]:
    query = queries.get(name)
    given = QueryParameters(since, until, campaigns, "UTC", steps).parameters()
    return list(client.query(query.asked, parameters=query.values(given)).named_results())


def assert_all_right(client: Client, events: list[AnyEvent], since: datetime, until: datetime) -> None:
    """What the queries say is what counting by hand says."""
    for campaigns in ((), ("spring",)):
        for row, (begin, end) in zip(
            asked(client, "headline", since, until, *campaigns),
            ((since - (until - since), since), (since, until)),
            strict=True,
        ):
            by_hand = numbers_by_hand(events, begin, end, campaigns)
            assert {name: row[name] for name in by_hand} == by_hand
        found = {
            (row["campaign_id"], row["step"], row["variant"]): {
                name: row[name] for name in numbers_by_hand([], since, until)
            }
            for row in asked(client, "by_variant", since, until, *campaigns)
        }
        for key, counts in found.items():
            assert counts == numbers_by_hand(events, since, until, campaigns, key)
        assert (
            sum(counts["sent"] for counts in found.values()) == numbers_by_hand(events, since, until, campaigns)["sent"]
        )
        hits = asked(client, "hits_by_reason", since, until, *campaigns)
        assert {(row["verdict"], row["reason"]): (row["opens"], row["clicks"]) for row in hits} == hits_by_hand(
            events, since, until, campaigns
        )


@st.composite
def told(draw: Any) -> list[Told]:
    moments = st.sampled_from(EDGES)
    emails = draw(
        st.lists(
            st.tuples(st.sampled_from(["spring", "autumn"]), st.integers(1, 2), st.integers(0, 2)),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    found = []
    for campaign, step, lead in emails:
        for kind in draw(st.lists(st.sampled_from(Told.KINDS), max_size=7)):
            found.append(Told(campaign, step, lead, kind, draw(moments), draw(st.integers(0, 2))))
    return found


@many
@given(data=st.data(), stories=told(), rolls=st.sampled_from(["never", "always", "now and then"]))
def test_every_number_is_what_counting_by_hand_gives(
    emptied: Client, data: st.DataObject, stories: list[Told], rolls: str
) -> None:
    empty(emptied)
    events = events_of(stories)
    stream = data.draw(
        st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else events)
    )
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        insert_lines(emptied, "events", lines(stream[:size]))
        stream = stream[size:]
        if rolls == "always" or (rolls == "now and then" and data.draw(st.booleans())):
            counting.roll(emptied)
    since, until = sorted(data.draw(st.lists(st.sampled_from(EDGES), min_size=2, max_size=2, unique=True)))
    assert_all_right(emptied, events, since, until)
    if events and data.draw(st.booleans()):
        rebuild_outcomes(emptied, [event.delivery_id for event in events])
        assert_all_right(emptied, events, since, until)


def a_busy_day() -> list[AnyEvent]:
    """A few hundred emails over three days, with everything that may come of them."""
    stories = []
    for n in range(300):
        at = BASE + timedelta(minutes=13 * n)
        for place, kind in enumerate(Told.KINDS):
            if kind == "sent" or (n * 7 + place * 13) % (place + 2) == 0:
                stories.append(
                    Told(["spring", "autumn"][n % 2], 1 + n % 3, n, kind, at + timedelta(minutes=place * place), 0)
                )
    return events_of(stories)


def test_counts_that_were_made_ahead_are_used_and_are_the_same(emptied: Client) -> None:
    empty(emptied)
    events = a_busy_day()
    insert_lines(emptied, "events", lines(events))
    since, until = BASE + timedelta(minutes=7), BASE + timedelta(hours=60, milliseconds=1)
    assert_all_right(emptied, events, since, until)
    assert counting.roll(emptied) > 60
    assert counting.roll(emptied) == 0, "what was counted holds"
    assert_all_right(emptied, events, since, until)
    # Emails of which counts exist are not looked at any more, but in the hours at the ends.
    emptied.command(
        "DELETE FROM emails WHERE slot >= {from:DateTime} AND slot < {to:DateTime}",
        parameters={"from": "2026-03-02 02:00:00", "to": "2026-03-03 12:00:00"},
    )
    assert_all_right(emptied, events, since, until)


def test_what_is_derived_can_be_made_anew(emptied: Client) -> None:
    empty(emptied)
    events = a_busy_day()
    insert_lines(emptied, "events", lines(events[::2]))
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    since, until = BASE + timedelta(minutes=7), BASE + timedelta(hours=60, milliseconds=1)
    for table in counting.DERIVED:
        emptied.command(f"TRUNCATE TABLE {table}")
    assert asked(emptied, "headline", since, until)[1]["sent"] == 0
    said: list[str] = []
    assert rebuild(emptied, said.append) == 2
    assert len(said) == 2
    assert_all_right(emptied, events, since, until)
    counting.roll(emptied)
    assert_all_right(emptied, events, since, until)


def test_a_rebuild_that_was_interrupted_goes_on(emptied: Client) -> None:
    empty(emptied)
    events = a_busy_day()
    insert_lines(emptied, "events", lines(events))

    class Killed(Exception):
        pass

    def die(_: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        rebuild(emptied, die)
    assert rebuild(emptied, lambda _: None) == 1, "one of two was done"
    assert_all_right(emptied, events, BASE, BASE + timedelta(hours=48))


def test_a_count_does_not_hold_once_its_hour_was_written_to(emptied: Client) -> None:
    empty(emptied)
    one = Told("spring", 1, 1, "sent", BASE + timedelta(minutes=5), 0)
    insert_lines(emptied, "events", lines(events_of([one])))
    counting.roll(emptied)
    late = Told("spring", 1, 2, "sent", BASE + timedelta(minutes=6), 0)
    opened = Told("spring", 1, 1, "open human", BASE + timedelta(hours=30), 0)
    insert_lines(emptied, "events", lines(events_of([late, opened])))
    assert_all_right(emptied, events_of([one, late, opened]), BASE, BASE + timedelta(hours=48))


def test_a_roll_that_was_killed_half_way_changes_nothing(emptied: Client) -> None:
    empty(emptied)
    events = a_busy_day()
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    written = emptied.query("SELECT of, slot, written, day_written FROM slots FINAL").result_rows
    emptied.command("TRUNCATE TABLE slots")  # counted, and not said
    emptied.insert("slots", written, column_names=["of", "slot", "written", "day_written"])
    emptied.command(
        "INSERT INTO email_counts SELECT * REPLACE (sent + 1 AS sent, version + 100 AS version) FROM email_counts"
    )
    assert_all_right(emptied, events, BASE, BASE + timedelta(hours=48))
    counting.roll(emptied)


def test_an_email_said_to_be_sent_at_two_times_counts_once_at_the_first(emptied: Client) -> None:
    empty(emptied)
    at_ten, at_nine = (Told("spring", 1, 1, "sent", BASE + HOUR * h, variety) for variety, h in enumerate((10, 9)))
    insert_lines(emptied, "events", lines(events_of([at_ten])))
    counting.roll(emptied)
    insert_lines(emptied, "events", lines(events_of([at_nine])))
    for _ in range(2):
        assert asked(emptied, "headline", BASE + HOUR * 9, BASE + HOUR * 10)[1]["sent"] == 1
        assert asked(emptied, "headline", BASE + HOUR * 10, BASE + HOUR * 11)[1]["sent"] == 0
        counting.roll(emptied)
