"""The law of counting, of people's mail clients, devices and countries: the numbers are what counting the events one by one
gives, at any range, however far the counting ahead has come, and whatever was judged again or is older than its names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from clickhouse import counting
from clickhouse.migrate import migrate
from clickhouse.rebuild import rebuild
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Clicked, Opened, lines
from schemas.settings import Settings
from tests.clickhouse.counted import BASE, Told, events_of, people_rows, people_views
from tests.clickhouse.test_counting import EDGES, asked, empty, many

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work

_SINCE, _UNTIL = BASE + timedelta(minutes=7), BASE + timedelta(days=4, hours=5, milliseconds=1)


@pytest.fixture(scope="module")
def emptied(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


def assert_people_right(client: Client, events: Sequence[AnyEvent], since: datetime, until: datetime) -> None:
    """What the views say of these events, the last of each id, is what counting by hand says."""
    last = list({event.id: event for event in events}.values())
    choices: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...] = (((), ()), (("spring",), ()), ((), (2,)))
    for campaigns, steps in choices:
        chosen = [event for event in last if not steps or getattr(event, "step", 0) in steps]
        for view, wanted in people_views(chosen, since, until, campaigns).items():
            rows = asked(client, view, since, until, *campaigns, steps=steps)
            assert people_rows(rows) == {name: pytest.approx(row) for name, row in wanted.items()}, view


@st.composite
def stories(draw: Any) -> list[AnyEvent]:
    emails = st.lists(
        st.tuples(st.sampled_from(["spring", "autumn"]), st.integers(1, 2), st.integers(0, 2)),
        min_size=1, max_size=4, unique=True,
    )  # fmt: skip
    kinds = st.sampled_from(
        ["open human", "open human", "click human", "open machine", "open bot", "click bot", "sent"]
    )
    return events_of(
        [
            Told(*email, draw(kinds), at, draw(st.integers(0, 2)))
            for email in draw(emails)
            for at in draw(st.lists(st.sampled_from(EDGES), min_size=1, max_size=6))
        ]
    )


@many
@given(data=st.data(), events=stories(), rolls=st.sampled_from(["never", "always", "now and then"]))
def test_every_number_of_people_is_what_counting_by_hand_gives(
    emptied: Client, data: st.DataObject, events: list[AnyEvent], rolls: str
) -> None:
    empty(emptied)
    stream = data.draw(st.permutations(events + events[:2]))
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        insert_lines(emptied, "events", lines(stream[:size]))
        stream = stream[size:]
        if rolls == "always" or (rolls == "now and then" and data.draw(st.booleans())):
            counting.roll(emptied)
    since, until = sorted(data.draw(st.lists(st.sampled_from(EDGES), min_size=2, max_size=2, unique=True)))
    assert_people_right(emptied, events, since, until)


def _busy() -> list[AnyEvent]:
    """Three days of hits, on two campaigns."""
    kinds = ("open human", "click human", "open bot", "open human", "open machine")
    return events_of(
        [
            Told(["spring", "autumn"][n % 2], 1 + n % 3, n, kinds[n % 5], BASE + timedelta(minutes=17 * n), n // 5)
            for n in range(250)
        ]
    )


def test_counts_of_people_that_were_made_ahead_are_used_and_can_be_made_anew(emptied: Client) -> None:
    empty(emptied)
    events = _busy()
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    # Hits of which counts exist are not looked at any more, but in the hours at the ends.
    emptied.command("DELETE FROM judged_hits WHERE slot IN ('2026-03-02 02:00:00', '2026-03-03 12:00:00')")
    assert_people_right(emptied, events, _SINCE, _UNTIL)
    rebuild(emptied, lambda _: None)
    assert_people_right(emptied, events, _SINCE, _UNTIL)
    counting.roll(emptied)
    assert_people_right(emptied, events, _SINCE, _UNTIL)


def test_a_hit_that_is_named_again_changes_its_hours_counts(emptied: Client) -> None:
    """What `sendlens reclassify` writes: the same verdict, with a name from a newer table."""
    empty(emptied)
    events = _busy()
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    nameless = [
        one for one in events if isinstance(one, Opened | Clicked) and one.verdict == "human" and not one.client
    ]
    assert len(nameless) > 20
    again = [replace(one, client="Safari", device="mobile", country="CH") for one in nameless]
    insert_lines(emptied, "events", lines(again))
    for _ in range(2):
        assert_people_right(emptied, [*events, *again], _SINCE, _UNTIL)
        assert "Not recorded" not in people_rows(asked(emptied, "opens_by_client", _SINCE, _UNTIL))
        counting.roll(emptied)


def test_rollups_of_an_older_release_are_made_again_by_the_migration(emptied: Client, own_database: Settings) -> None:
    empty(emptied)
    events = _busy()
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    emptied.command("ALTER TABLE hit_counts DELETE WHERE by IN ('client', 'country')")
    emptied.command("DELETE FROM migrations WHERE name = '086_clients'")
    assert migrate(own_database) == ["086_clients"]
    assert_people_right(emptied, events, _SINCE, _UNTIL)
    # A store of the older release that is not stopped yet counts nothing of what it does not know.
    with pytest.raises(DatabaseError, match="Number of columns doesn't match"):
        emptied.command(
            "INSERT INTO hit_counts SELECT 'verdict', 'hour', '', now(), 1, '', 'human', '', 1, 1, 0, [], []"
        )
    assert counting.roll(emptied) > 0
    assert_people_right(emptied, events, _SINCE, _UNTIL)


def test_of_robots_and_machines_nothing_is_counted_as_a_persons(emptied: Client) -> None:
    empty(emptied)
    insert_lines(emptied, "events", lines(_busy()))
    rows = emptied.query(
        "SELECT DISTINCT client, device, country FROM judged_hits WHERE verdict != 'human'"
    ).result_rows
    assert rows == [("", "", "")]
