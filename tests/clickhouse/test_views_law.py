"""The law of the views: in one world, whatever its clocks show, each parameterised view of emails, hits and happenings gives
what counting `events` one by one in Python gives. The world's events come twice, late and in any order, and rollups are
made, stale, or left half made by a store that was killed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clickhouse import counting, queries
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, lines
from schemas.settings import Settings
from tests.clickhouse.counted import Told, events_of, hits_by_hand, numbers_by_hand, people_rows, people_views
from tests.clickhouse.counted_campaign import assert_campaign_right
from tests.clickhouse.test_counting import TRIES, empty, many
from tests.clickhouse.test_counting_domains import assert_right as assert_domains_right
from tests.clickhouse.test_counting_domains import dressed
from tests.clickhouse.test_counting_happened import AUTUMN, SPRING, Viewer, assert_shown_right

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work

# A day on which clocks are set is the second of each: in Europe, and in Adelaide, which is half an hour off besides.
BASES = (SPRING, AUTUMN, datetime(2026, 4, 4, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC))
TIMEZONES = ("UTC", "Europe/Paris", "Europe/London", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Adelaide")
# Around the borders of days and hours, of UTC's and of the others'; minus and plus a millisecond.
_EDGES = [
    timedelta(hours=hours, minutes=minutes, milliseconds=ms)
    for hours in (-25, -1, 0, 1, 13, 16, 18, 23, 24, 25, 48)
    for minutes in (0, 15, 30)
    for ms in (-1, 0, 1)
]
VERDICTS = ("human", "machine", "bot")
CHOSEN: tuple[tuple[str, ...], ...] = ((), ("spring",), ("autumn", "spring"), ("nobody's",))
RATES = {
    "delivery_rate": ("delivered", "sent"),
    "open_rate": ("opened_with_pixel", "delivered_with_pixel"),
    "raw_open_rate": ("raw_opened_with_pixel", "delivered_with_pixel"),
    "click_rate": ("clicked", "delivered_with_links"),
    "click_to_open_rate": ("clicked", "opened"),
    "reply_rate": ("replied", "delivered"),
}


class Killed(Exception):
    pass


@dataclass
class Dying:
    """A client of a store that is killed after so many statements that write."""

    client: Client
    left: int

    def command(self, *args: Any, **more: Any) -> Any:
        return self._write(self.client.command, *args, **more)

    def insert(self, *args: Any, **more: Any) -> Any:
        return self._write(self.client.insert, *args, **more)

    def query(self, *args: Any, **more: Any) -> Any:
        return self.client.query(*args, **more)

    def _write(self, write: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if not self.left:
            raise Killed
        self.left -= 1
        return write(*args, **more)


@pytest.fixture(scope="module")
def client(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as found:
        yield found


@dataclass
class Question:
    """What is asked of every view, and the events that it is of."""

    client: Client
    events: Sequence[Any]
    since: datetime
    until: datetime
    timezone: str
    campaigns: tuple[str, ...]
    steps: tuple[int, ...]
    senders: tuple[str, ...]

    def ask(self, view: str) -> list[dict[str, Any]]:
        query = queries.get(view)
        given = QueryParameters(self.since, self.until, self.campaigns, self.timezone, self.steps, self.senders)
        return list(self.client.query(query.sql, parameters=query.values(given.parameters())).named_results())

    def chosen(self, *parameters: str) -> list[Any]:
        """The events of the emails that these parameters of a view choose."""
        return [
            event
            for event in self.events
            if (not self.campaigns or event.campaign in self.campaigns)
            and ("steps" not in parameters or not self.steps or event.step in self.steps)
            and ("senders" not in parameters or not self.senders or sender_of(event) in self.senders)
        ]

    def by_hand(self, events: Sequence[Any]) -> dict[str, int]:
        return numbers_by_hand(events, self.since, self.until)

    def before(self) -> tuple[datetime, datetime]:
        return self.since - (self.until - self.since), self.since


def sender_of(event: Any) -> str:
    return f"sender-{int(event.lead.removeprefix('lead-')) % 2}@example.com"


def assert_headlines(question: Question) -> None:
    """Two rows, the period and the one before; rates of what they say they are of."""
    for view, parameters in (("headline", ()), ("campaign_headline", ("steps",)), ("delivery_headline", ("senders",))):
        events = question.chosen(*parameters)
        rows = question.ask(view)
        assert [row["period"] for row in rows] == [0, 1], view
        for row, period in zip(rows, (question.before(), (question.since, question.until)), strict=True):
            wanted = numbers_by_hand(events, *period)
            assert {name: row[name] for name in wanted if name in row} == {
                name: count for name, count in wanted.items() if name in row
            }, view
            for rate, (count, of) in RATES.items():
                if rate in row:
                    assert row[rate] == (pytest.approx(wanted[count] / wanted[of]) if wanted[of] else None), (
                        view,
                        rate,
                    )


def assert_funnel(question: Question) -> None:
    wanted = question.by_hand(question.chosen())
    rows = {row["stage"]: row for row in question.ask("funnel")}
    assert list(rows) == ["Sent", "Delivered", "Opened", "Clicked", "Replied"]
    assert {stage: row["emails"] for stage, row in rows.items()} == {stage: wanted[stage.lower()] for stage in rows}
    for stage, rate in (("Delivered", "delivery_rate"), ("Opened", "open_rate"), ("Clicked", "click_rate")):
        count, of = RATES[rate]
        assert rows[stage]["share"] == (pytest.approx(wanted[count] / wanted[of]) if wanted[of] else None), stage
    assert rows["Sent"]["share"] is None
    assert {stage: rows[stage]["raw_emails"] for stage in ("Opened", "Clicked")} == {
        stage: wanted[f"raw_{stage.lower()}"] for stage in ("Opened", "Clicked")
    }


def assert_groups(question: Question) -> None:
    """A row for each campaign, variant and sender that has emails, and no other."""
    groups: tuple[tuple[str, tuple[str, ...], Callable[[Any], Any], Callable[[Any], Any]], ...] = (
        ("by_campaign", (), lambda event: event.campaign, lambda row: row["campaign_id"]),
        (
            "by_variant",
            ("steps",),
            lambda event: (event.campaign, event.step, event.variant),
            lambda row: (row["campaign_id"], row["step"], row["variant"]),
        ),
        ("senders", (), sender_of, lambda row: row["sender"]),
    )
    for view, parameters, group, key in groups:
        of_group: defaultdict[Any, list[AnyEvent]] = defaultdict(list)
        for event in question.chosen(*parameters):
            of_group[group(event)].append(event)
        wanted = {one: counts for one, events in of_group.items() if (counts := question.by_hand(events))["sent"]}
        rows = question.ask(view)
        assert len(rows) == len(wanted), view
        for row in rows:
            counts = wanted[key(row)]
            assert {name: row[name] for name in counts if name in row} == {
                name: count for name, count in counts.items() if name in row
            }, view


def assert_hits(question: Question) -> None:
    """Opens and clicks, by their own time."""
    events = question.chosen()
    periods = (question.before(), (question.since, question.until))
    rows = question.ask("hit_headline")
    assert [row["period"] for row in rows] == [0, 1]
    for row, period in zip(rows, periods, strict=True):
        by_verdict = Counter[str]()
        for (verdict, _), hits in hits_by_hand(events, *period).items():
            by_verdict[verdict] += sum(hits)
        assert row["hits"] == by_verdict.total()
        for verdict in ("bot", "machine"):
            share = pytest.approx(by_verdict[verdict] / by_verdict.total()) if by_verdict else None
            assert row[f"{verdict}_share"] == share
    wanted = hits_by_hand(events, question.since, question.until)
    by_reason = {
        (row["verdict"], row["reason"]): (row["opens"], row["clicks"]) for row in question.ask("hits_by_reason")
    }
    assert by_reason == wanted
    of_kind = {"Opens": Counter[str](), "Clicks": Counter[str](), "All hits": Counter[str]()}
    for (verdict, _), (opens, clicks) in wanted.items():
        of_kind["Opens"][verdict] += opens
        of_kind["Clicks"][verdict] += clicks
        of_kind["All hits"][verdict] += opens + clicks
    shown = {row["hit"]: {verdict: row[verdict] for verdict in VERDICTS} for row in question.ask("hits_by_verdict")}
    assert shown == {hit: {verdict: counts[verdict] for verdict in VERDICTS} for hit, counts in of_kind.items()}


def assert_people(question: Question) -> None:
    """With what people came, by the hits' own time."""
    for view, wanted in people_views(question.chosen("steps"), question.since, question.until).items():
        assert people_rows(question.ask(view)) == {name: pytest.approx(row) for name, row in wanted.items()}, view


def assert_all_views(question: Question) -> None:
    assert_headlines(question)
    assert_funnel(question)
    assert_groups(question)
    assert_hits(question)
    assert_people(question)
    # activity, campaign_activity, daily, daily_activity, open_hours, delivery_over_time
    assert_shown_right(
        question.client,
        Viewer(question.events, question.since, question.until, question.timezone, question.campaigns),
    )
    # by_domain, by_provider, bounces_by_provider, bounces_by_category
    assert_domains_right(
        question.client, question.events, question.since, question.until, question.campaigns, question.senders
    )

    def ask(view: str, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return question.ask(view)

    # followed_links, removed_by_rule, open_delays, time_to_open, replies, bounce_limits
    assert_campaign_right(
        ask, list(question.events), question.since, question.until, question.campaigns, question.steps
    )


@st.composite
def worlds(draw: Any) -> list[AnyEvent]:
    """What happened to a few emails around days on which clocks are set."""
    base = draw(st.sampled_from(BASES))
    emails = st.tuples(st.sampled_from(["spring", "autumn"]), st.integers(1, 2), st.integers(0, 6))
    return dressed(
        events_of(
            [
                Told(campaign, step, lead, kind, base + draw(st.sampled_from(_EDGES)), draw(st.integers(0, 2)))
                for campaign, step, lead in draw(st.lists(emails, min_size=1, max_size=5, unique=True))
                for kind in ("sent", *draw(st.lists(st.sampled_from(Told.KINDS), max_size=6)))
            ]
        )
    )


def roll_somehow(client: Client, data: st.DataObject) -> None:
    """Counts ahead: everything, some of it, or until the store is killed."""
    how = data.draw(st.sampled_from(["all", "some", "killed", "not"]))
    if how == "all":
        counting.roll(client)
    elif how == "some":
        counting.roll(client, data.draw(st.integers(1, 3)))
    elif how == "killed":
        with suppress(Killed):
            counting.roll(Dying(client, data.draw(st.integers(1, 60))))  # type: ignore[arg-type]


# Every example makes all tables of counts and asks thirty questions; a smaller one is worth minutes only to whoever looks
# for the fault.
@settings(
    many,
    max_examples=max(2, TRIES // 3),
    phases=list(Phase) if TRIES > 100 else [Phase.explicit, Phase.reuse, Phase.generate],
)
@given(data=st.data(), events=worlds())
def test_every_view_is_what_counting_events_one_by_one_gives(
    client: Client, data: st.DataObject, events: list[AnyEvent]
) -> None:
    empty(client)
    stream: list[AnyEvent] = list(data.draw(st.permutations(events + events[::3])))
    while stream:
        size = data.draw(st.integers((len(stream) + 1) // 2, len(stream)))
        insert_lines(client, "events", lines(stream[:size]))
        stream = stream[size:]
        roll_somehow(client, data)
    base = min(event.at for event in events).replace(hour=0, minute=0, second=0, microsecond=0)
    ends = [base + edge for edge in (*_EDGES, timedelta(days=4), timedelta(days=-3))]
    since, until = sorted(data.draw(st.lists(st.sampled_from(ends), min_size=2, max_size=2, unique=True)))
    assert_all_views(
        Question(
            client,
            events,
            since,
            until,
            data.draw(st.sampled_from(TIMEZONES)),
            data.draw(st.sampled_from(CHOSEN)),
            data.draw(st.sampled_from([(), (1,), (2,), (1, 2)])),
            data.draw(st.sampled_from([(), ("sender-1@example.com",)])),
        )
    )
