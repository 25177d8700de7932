"""The law of counting for what Campaign and Robots ask beside the plain numbers; see test_counting.py."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clickhouse import counting
from clickhouse.rebuild import rebuild_outcomes
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, CampaignResumed, Event, lines
from schemas.settings import Settings
from tests.clickhouse.counted import BASE, Told, events_of
from tests.clickhouse.counted_campaign import assert_campaign_right
from tests.clickhouse.test_counting import EDGES, TRIES, a_busy_day, asked, empty, told

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work

SINCE, UNTIL = BASE + timedelta(minutes=7), BASE + timedelta(hours=60, milliseconds=1)
CHOICES = [((), ()), (("spring",), ()), ((), (2,)), (("autumn", "spring"), (1, 3))]


@pytest.fixture(scope="module")
def client(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


@settings(max_examples=max(5, TRIES // 3), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), stories=told(), rolls=st.sampled_from(["never", "always", "now and then"]))
def test_links_rules_delays_replies_and_bounces_are_what_counting_by_hand_gives(
    client: Client, data: st.DataObject, stories: list[Told], rolls: str
) -> None:
    empty(client)
    events = events_of(stories)
    events += [
        CampaignResumed(id=str(uuid.uuid4()), at=at, campaign=campaign)
        for campaign, at in data.draw(
            st.lists(st.tuples(st.sampled_from(["spring", "autumn"]), st.sampled_from(EDGES)), max_size=2)
        )
    ]
    stream: list[AnyEvent] = data.draw(
        st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=4)) if events else events)
    )
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        insert_lines(client, "events", lines(stream[:size]))
        stream = stream[size:]
        if rolls == "always" or (rolls == "now and then" and data.draw(st.booleans())):
            counting.roll(client)
    since, until = sorted(data.draw(st.lists(st.sampled_from(EDGES), min_size=2, max_size=2, unique=True)))
    campaigns, steps = data.draw(st.sampled_from(CHOICES))
    assert_campaign_right(partial(asked, client), events, since, until, campaigns, steps)
    emails = [event.delivery_id for event in events if isinstance(event, Event)]
    if emails and data.draw(st.booleans()):
        rebuild_outcomes(client, emails)
        assert_campaign_right(partial(asked, client), events, since, until, campaigns, steps)


@pytest.mark.parametrize(("campaigns", "steps"), CHOICES)
def test_counts_that_were_made_ahead_are_the_same_and_are_what_is_read(
    client: Client, campaigns: tuple[str, ...], steps: tuple[int, ...]
) -> None:
    empty(client)
    events = [
        *a_busy_day(),
        CampaignResumed(id=str(uuid.uuid4()), at=BASE + timedelta(hours=30, minutes=20), campaign="spring"),
    ]
    insert_lines(client, "events", lines(events))
    assert_campaign_right(partial(asked, client), events, SINCE, UNTIL, campaigns, steps)
    counting.roll(client)
    assert_campaign_right(partial(asked, client), events, SINCE, UNTIL, campaigns, steps)
    before = [asked(client, name, SINCE, UNTIL, *campaigns, steps=steps) for name in ("followed_links", "time_to_open")]
    # Of a day that is counted no email is looked at.
    client.command("DELETE FROM emails WHERE toDate(slot) = '2026-03-03'")
    after = [asked(client, name, SINCE, UNTIL, *campaigns, steps=steps) for name in ("followed_links", "time_to_open")]
    assert after == before
