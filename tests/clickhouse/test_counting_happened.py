"""The law of counting, of what is shown over time: in any timezone, on days of 23 and 25 hours too, every hour and day has
what counting by hand gives it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from clickhouse import counting, queries
from clickhouse.query_parameters import QueryParameters
from clickhouse.rebuild import rebuild_outcomes
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Clicked, Opened, Replied, Resubscribed, Sent, Unsubscribed, lines
from schemas.settings import Settings
from tests.clickhouse.counted import Told, events_of, numbers_by_hand
from tests.clickhouse.test_counting import empty, many

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work

HOUR = timedelta(hours=1)
HAPPENED = ("sent", "opened", "clicked", "replied", "unsubscribed")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# Half an hour off, three quarters off, and two that are set at 01:00 UTC on the days before which these begin.
TIMEZONES = ("UTC", "Europe/Paris", "Asia/Kolkata", "Asia/Kathmandu", "Europe/London")
SPRING, AUTUMN = datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)
_EDGES = [
    timedelta(hours=hours, minutes=minutes, milliseconds=ms)
    for hours in (-30, -1, 0, 1, 18, 23, 24, 25, 26, 47)
    for minutes in (0, 30, 45)
    for ms in (-1, 0, 1)
]
_KINDS = (
    "sent", "sent", "open human", "open human", "click human", "open bot", "reply", "unsubscribe", "resubscribe", "bounce hard",
    "complaint", "delivered",
)  # fmt: skip


@pytest.fixture(scope="module")
def client(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as found:
        yield found


def firsts(events: Sequence[Any], steps: Sequence[int] = ()) -> list[tuple[str, datetime]]:
    """What happened first to each email by a person's doing, and when."""
    times: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
    back: dict[str, datetime] = {}
    for event in events:
        if steps and event.step not in steps:
            continue
        if isinstance(event, Opened | Clicked):
            if event.verdict == "human":
                times[event.delivery_id, "opened"].append(event.at)  # who follows a link has opened the email
                if isinstance(event, Clicked):
                    times[event.delivery_id, "clicked"].append(event.at)
        elif isinstance(event, Resubscribed):
            back[event.delivery_id] = max(event.at, back.get(event.delivery_id, event.at))
        else:
            for kind, name in ((Sent, "sent"), (Replied, "replied"), (Unsubscribed, "unsubscribed")):
                if isinstance(event, kind):
                    times[event.delivery_id, name].append(event.at)
    return [
        (name, min(at))
        for (email, name), at in times.items()
        if not (name == "unsubscribed" and email in back and back[email] >= max(at))
    ]


class Viewer:
    """What one asks, and what is to be answered."""

    def __init__(
        self,
        events: Sequence[AnyEvent],
        since: datetime,
        until: datetime,
        timezone: str,
        campaigns: tuple[str, ...] = (),
    ) -> None:
        self.events = [event for event in events if not campaigns or event.campaign in campaigns]
        self.since, self.until, self.campaigns = since, until, campaigns
        self.timezone, self.zone = timezone, ZoneInfo(timezone)

    def ask(
        self, client: Client, name: str, steps: tuple[int, ...] = (), senders: tuple[str, ...] = ()
    ) -> list[dict[str, Any]]:
        query = queries.get(name)
        asked = QueryParameters(self.since, self.until, self.campaigns, self.timezone, steps, senders).parameters()
        return [
            row | {"time": _utc(row["time"])} if "time" in row else row
            for row in client.query(query.asked, parameters=query.values(asked)).named_results()
        ]

    def is_asked(self, at: datetime) -> bool:
        return self.since <= at < self.until

    def place(self, unit: str, at: datetime) -> datetime:
        """Where the minute, hour or day begins in which it is. Clocks are set by whole hours here."""
        local = at.astimezone(self.zone)
        if unit == "day":
            return datetime(local.year, local.month, local.day, tzinfo=self.zone).astimezone(UTC)
        minutes = local.minute if unit == "hour" else 0
        return at - timedelta(minutes=minutes, seconds=local.second, microseconds=local.microsecond)

    def happened(self, unit: str, steps: tuple[int, ...] = ()) -> dict[tuple[datetime, str], int]:
        return Counter((self.place(unit, at), name) for name, at in firsts(self.events, steps) if self.is_asked(at))

    def sent(self, unit: str, events: Sequence[AnyEvent]) -> dict[datetime, dict[str, int]]:
        """What became of the emails of each time."""
        times = sorted({self.place(unit, event.at) for event in events if isinstance(event, Sent)})
        found = {}
        for time in times:
            end = self.place(unit, time + {"hour": HOUR, "day": 30 * HOUR}[unit])
            counts = numbers_by_hand(events, max(time, self.since), min(end, self.until))
            if counts["sent"]:
                found[time] = counts
        return found


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def assert_shown_right(client: Client, viewer: Viewer) -> None:
    length = (viewer.until - viewer.since) // timedelta(seconds=1)
    unit = "minute" if length <= 10800 else "hour" if length <= 259200 else "day"
    for name, steps in (("activity", ()), ("campaign_activity", (1,))):
        rows = viewer.ask(client, name, steps)
        assert _by_time(rows, "time") == viewer.happened(unit, steps), name
        assert len({row["time"] for row in rows}) == len(rows) > 0
    assert _by_time(viewer.ask(client, "daily_activity"), "day") == {
        (time.astimezone(viewer.zone).date(), name): number for (time, name), number in viewer.happened("day").items()
    }
    opened = Counter(
        (DAYS[local.weekday()], local.hour)
        for name, at in firsts(viewer.events, (2,))
        if name == "opened" and viewer.is_asked(at) and (local := at.astimezone(viewer.zone))
    )
    rows = viewer.ask(client, "open_hours", (2,))
    assert len(rows) == 168
    assert {(row["weekday"], row["hour"]): row["opened"] for row in rows if row["opened"]} == opened

    days = {time.astimezone(viewer.zone).date(): counts for time, counts in viewer.sent("day", viewer.events).items()}
    found = {row["day"]: row for row in viewer.ask(client, "daily")}
    assert {day: {name: row[name] for name in days[day]} for day, row in found.items() if row["sent"]} == days
    sender = "sender-1@example.com"
    of_sender = {event.delivery_id for event in viewer.events if getattr(event, "sender", "") == sender}
    theirs = [event for event in viewer.events if event.delivery_id in of_sender]
    wanted = viewer.sent("day" if unit == "day" else "hour", theirs)
    times = {row["time"]: row for row in viewer.ask(client, "delivery_over_time", senders=(sender,)) if row["sent"]}
    assert {time: row["sent"] for time, row in times.items()} == {time: row["sent"] for time, row in wanted.items()}
    for time, row in times.items():
        assert row["hard_bounce_rate"] == pytest.approx(wanted[time]["hard_bounced"] / wanted[time]["sent"])


def _by_time(rows: Sequence[dict[str, Any]], column: str) -> dict[tuple[Any, str], int]:
    return {(row[column], name): row[name] for row in rows for name in HAPPENED if row[name]}


@st.composite
def told(draw: Any, base: datetime) -> list[Told]:
    moments = st.sampled_from(_EDGES)
    emails = st.tuples(st.sampled_from(["spring", "autumn"]), st.integers(1, 2), st.integers(0, 2))
    return [
        Told(campaign, step, lead, kind, base + draw(moments), draw(st.integers(0, 2)))
        for campaign, step, lead in draw(st.lists(emails, min_size=1, max_size=4, unique=True))
        for kind in draw(st.lists(st.sampled_from(_KINDS), max_size=7))
    ]


@many
@given(data=st.data(), rolls=st.sampled_from(["never", "always", "now and then"]))
def test_every_hour_and_day_of_any_timezone_has_what_counting_by_hand_gives(
    client: Client, data: st.DataObject, rolls: str
) -> None:
    empty(client)
    base = data.draw(st.sampled_from([SPRING, AUTUMN]))
    events = events_of(data.draw(told(base)))
    stream: list[AnyEvent] = list(data.draw(st.permutations(events + events[::3])))
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        insert_lines(client, "events", lines(stream[:size]))
        stream = stream[size:]
        if rolls == "always" or (rolls == "now and then" and data.draw(st.booleans())):
            counting.roll(client)
    ends = st.sampled_from([base + edge for edge in (*_EDGES, timedelta(days=4), timedelta(days=-3))])
    since, until = sorted(data.draw(st.lists(ends, min_size=2, max_size=2, unique=True)))
    viewer = Viewer(
        events,
        since,
        until,
        data.draw(st.sampled_from(TIMEZONES)),
        data.draw(st.sampled_from([(), ("spring",), ("autumn", "spring")])),
    )
    assert_shown_right(client, viewer)
    if events and data.draw(st.booleans()):
        rebuild_outcomes(client, [event.delivery_id for event in events])
        assert_shown_right(client, viewer)


def many_emails() -> list[AnyEvent]:
    """Some hundred emails over the days around the night in which clocks are set, with what came of them."""
    kinds = ("sent", "open human", "click human", "open bot", "reply", "unsubscribe", "bounce hard", "resubscribe")
    return events_of(
        [
            Told(
                ["spring", "autumn"][n % 2],
                1 + n % 3,
                n,
                kind,
                SPRING - 36 * HOUR + timedelta(minutes=11 * n + 37 * place**3),
                0,
            )
            for n in range(400)
            for place, kind in enumerate(kinds)
            if (n * 5 + place * 11) % (place + 1) == 0
        ]
    )


def test_what_is_counted_ahead_is_read_instead_of_emails_half_an_hour_off_too(client: Client) -> None:
    empty(client)
    events = many_emails()
    insert_lines(client, "events", lines(events))
    ranges = [
        (SPRING - 36 * HOUR + timedelta(minutes=7), SPRING + 60 * HOUR),
        (SPRING - 6 * HOUR + timedelta(minutes=7), SPRING + 50 * HOUR + timedelta(milliseconds=1)),
    ]
    viewers = [
        Viewer(events, since, until, timezone, campaigns)
        for since, until in ranges
        for timezone, campaigns in (("Europe/Paris", ()), ("Asia/Kathmandu", ("spring",)), ("Asia/Kolkata", ()))
    ]
    for viewer in viewers:
        assert_shown_right(client, viewer)
    assert counting.roll(client) > 60
    for viewer in viewers:
        assert_shown_right(client, viewer)
    client.command(
        "DELETE FROM emails WHERE slot >= {from:DateTime} AND slot < {to:DateTime}",
        parameters={"from": "2026-03-27 19:00:00", "to": "2026-03-30 02:00:00"},
    )
    for viewer in viewers[3:]:
        for name, steps in (("activity", ()), ("campaign_activity", (1,))):
            assert _by_time(viewer.ask(client, name, steps), "time") == viewer.happened("hour", steps)


def test_the_first_three_hours_are_read_by_the_minute(client: Client) -> None:
    empty(client)
    events = many_emails()
    insert_lines(client, "events", lines(events))
    counting.roll(client)
    since = SPRING + timedelta(minutes=20, milliseconds=1)
    assert_shown_right(client, Viewer(events, since, since + 3 * HOUR, "Asia/Kathmandu"))
