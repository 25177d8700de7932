"""The law of counting, of the board Robots: its numbers are what counting the events one by one gives, at any range,
however far the counting ahead has come, and whatever was judged again."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from clickhouse import counting, queries
from clickhouse.erasing import ErasedEmail, Erasure
from clickhouse.query_parameters import QueryParameters
from clickhouse.rebuild import rebuild
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Clicked, Opened, Sent, lines
from schemas.settings import Settings
from schemas.tokens import delivery_id
from tests.clickhouse.counted import BASE
from tests.clickhouse.test_counting import EDGES, empty, many

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work

_NAMES = uuid.UUID("6f1c7b4e-7d5c-4a58-9d8c-2a6a1d4f9c11")
# Verdict, reason, user agent, agent, address, network; and what the network is called on the board.
_SOURCES = (
    ("human", "browser", "Mozilla/5.0 Firefox/140.0", "browser", "203.0.113.7", "", ""),
    ("machine", "privacy-prefetch", "Mozilla/5.0", "Apple", "203.0.113.8", "", "203.0.113.0/24"),
    ("machine", "apple-privacy", "Mozilla/5.0", "Apple", "172.224.1.1", "Apple Private Relay", "Apple Private Relay"),
    ("bot", "too-quick", "Mozilla/5.0 Chrome/131", "", "203.0.113.9", "", "203.0.113.0/24"),
    ("bot", "library-agent", "curl/8.11.0", "curl", "2001:db8:77:1::9", "", "2001:db8:77::/48"),
    ("bot", "library-agent", "é" * 400, "", "", "", "Not recorded"),
)
_CALLED = {(source[4], source[5]): source[6] for source in _SOURCES if source[0] != "human"}


@pytest.fixture(scope="module")
def emptied(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


def _of(campaign: str, step: int, lead: int, name: str, at: datetime) -> dict[str, Any]:
    delivery = str(delivery_id(campaign, step, str(lead)))
    of = {"campaign": campaign, "step": step, "variant": "AB"[lead % 2], "lead": f"lead-{lead}"}
    return {"id": str(uuid.uuid5(_NAMES, f"{delivery} {name}")), "at": at, "delivery_id": delivery, **of}


def sent(campaign: str, step: int, lead: int, at: datetime) -> Sent:
    of = {"sender": "one@example.com", "recipient_domain": "example.net", "message_id": ""}
    return Sent(**_of(campaign, step, lead, "sent", at), **of)  # type: ignore[arg-type]


def hit(campaign: str, step: int, lead: int, at: datetime, source: int, kind: str = "open") -> Opened | Clicked:
    """A hit by one of the sources: the same email, kind and time again is the same hit, judged again."""
    verdict, reason, user_agent, agent, ip, network, _ = _SOURCES[source]
    of: dict[str, Any] = {"verdict": verdict, "reason": reason, "rules_version": str(source), "user_agent": user_agent}
    of |= {"agent": agent, "ip": ip, "network": network}
    of |= _of(campaign, step, lead, f"{kind} {at.isoformat()}", at)
    return Opened(**of) if kind == "open" else Clicked(**of, link_id="f" * 64)


def asked(client: Client, name: str, since: datetime, until: datetime, zone: str, *campaigns: str) -> list[Any]:
    query = queries.get(name)
    given = QueryParameters(since, until, campaigns, zone).parameters()
    return list(client.query(query.asked, parameters=query.values(given)).named_results())


def assert_robots_right(client: Client, events: Sequence[AnyEvent], since: datetime, until: datetime) -> None:
    """What the board's queries say of these events, the last of each id, is what counting by hand says."""
    last = {event.id: event for event in events}.values()
    for campaigns, zone in (((), "UTC"), (("spring",), "Asia/Kolkata"), ((), "Europe/Paris")):
        of_chosen = [event for event in last if not campaigns or event.campaign in campaigns]
        hits: list[Any] = [event for event in of_chosen if isinstance(event, Opened | Clicked)]
        headline = asked(client, "robot_headline", since, until, zone, *campaigns)
        for row, (begin, end) in zip(headline, ((since - (until - since), since), (since, until)), strict=True):
            verdicts = Counter(event.verdict for event in hits if begin <= event.at < end)
            assert [row[f"{whose}_hits"] for whose in ("human", "machine", "bot")] == [
                verdicts[whose] for whose in ("human", "machine", "bot")
            ]
            cohort = {event.delivery_id for event in of_chosen if isinstance(event, Sent) and begin <= event.at < end}
            assert row["emails"] == len(cohort & {event.delivery_id for event in hits})
            assert row["bot_emails"] == len(cohort & {event.delivery_id for event in hits if event.verdict == "bot"})
        hits = [event for event in hits if since <= event.at < until]
        _assert_times(asked(client, "robots_over_time", since, until, zone, *campaigns), hits, until, zone)
        others = [event for event in hits if event.verdict != "human"]
        found = asked(client, "robots_by_network", since, until, zone, *campaigns)
        assert Counter({row["network_name"]: row["hits"] for row in found}) == Counter(
            _CALLED[event.ip, event.network] for event in others
        )
        assert sum(row["bot_hits"] for row in found) == sum(event.verdict == "bot" for event in others)
        found = asked(client, "robots_by_agent", since, until, zone, *campaigns)
        assert {(row["agent_name"], row["verdict"]): row["hits"] for row in found} == Counter(
            (event.agent or "Not recorded", event.verdict) for event in others
        )
        assert sum(row["opens"] for row in found) == sum(isinstance(event, Opened) for event in others)
        robots = [event for event in others if event.verdict == "bot"]
        found = asked(client, "robots_by_user_agent", since, until, zone, *campaigns)
        assert {row["sent_as"]: row["hits"] for row in found} == Counter(
            event.user_agent[:300] or "none" for event in robots
        )
        for row in found:
            of = [event for event in robots if event.user_agent[:300] == row["sent_as"]]
            assert row["reasons"] == ", ".join(sorted({event.reason for event in of}))
            assert row["agent_name"] == ", ".join(sorted({event.agent for event in of} - {""}))


def _assert_times(rows: Sequence[Any], hits: Sequence[Any], until: datetime, zone: str) -> None:
    times = [row["time"].astimezone(ZoneInfo(zone)) for row in rows]
    for row, (begin, end) in zip(rows, pairwise([*times, until]), strict=True):
        verdicts = Counter(event.verdict for event in hits if begin <= event.at < end)
        for whose in ("human", "machine", "bot"):
            assert row[f"{whose}_hits"] == verdicts[whose]


@st.composite
def stories(draw: Any) -> list[AnyEvent]:
    events: list[AnyEvent] = []
    emails = st.lists(
        st.tuples(st.sampled_from(["spring", "autumn"]), st.integers(1, 2), st.integers(0, 2)),
        min_size=1, max_size=4, unique=True,
    )  # fmt: skip
    for email in draw(emails):
        if draw(st.booleans()):
            events.append(sent(*email, draw(st.sampled_from(EDGES))))
        for at in draw(st.lists(st.sampled_from(EDGES), max_size=5)):
            source = draw(st.integers(0, len(_SOURCES) - 1))
            events.append(hit(*email, at, source, draw(st.sampled_from(["open", "click"]))))
    return list({event.id: event for event in events}.values())


@many
@given(data=st.data(), events=stories(), rolls=st.sampled_from(["never", "always", "now and then"]))
def test_every_number_of_robots_is_what_counting_by_hand_gives(
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
    assert_robots_right(emptied, events, since, until)


def _busy() -> list[AnyEvent]:
    """Three days of emails and hits on them."""
    events: list[AnyEvent] = []
    for n in range(200):
        email = (["spring", "autumn"][n % 2], 1 + n % 3, n)
        at = BASE + timedelta(minutes=17 * n)
        events.append(sent(*email, at))
        for source in range(len(_SOURCES)):
            if (n + source) % (source + 2) == 0:
                later = at + timedelta(minutes=n * source)
                events.append(hit(*email, later, source, ["open", "click"][(n // 5 + source) % 2]))
    return events


_SINCE, _UNTIL = BASE + timedelta(minutes=7), BASE + timedelta(days=4, hours=5, milliseconds=1)


def test_counts_of_robots_that_were_made_ahead_are_used_and_can_be_made_anew(emptied: Client) -> None:
    empty(emptied)
    events = _busy()
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    # Hits of which counts exist are not looked at any more, but in the hours at the ends.
    emptied.command(
        "DELETE FROM judged_hits WHERE campaign = 'autumn' AND slot IN ('2026-03-02 02:00:00', '2026-03-03 12:00:00')"
    )
    assert_robots_right(emptied, events, _SINCE, _UNTIL)
    rebuild(emptied, lambda _: None)
    assert_robots_right(emptied, events, _SINCE, _UNTIL)
    counting.roll(emptied)
    assert_robots_right(emptied, events, _SINCE, _UNTIL)


def test_a_hit_that_is_judged_again_changes_its_hours_counts_whatever_changed_of_it(emptied: Client) -> None:
    empty(emptied)
    events = _busy()
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    again: list[AnyEvent] = []
    for event, source in zip([one for one in events if isinstance(one, Opened)], (0, 1, 2, 3, 4, 5) * 3, strict=False):
        again.append(hit(event.campaign, event.step, int(event.lead[5:]), event.at, source))
    # The same verdict by the same rule, with only the names new.
    one = next(event for event in events if isinstance(event, Clicked) and event.agent == "curl")
    again.append(Clicked(**{name: getattr(one, name) for name in one.__struct_fields__} | {"agent": "cURL", "ip": ""}))
    assert {event.id for event in again} <= {event.id for event in events}
    insert_lines(emptied, "events", lines(again))
    cleaned = [one for one in events if one.id not in {event.id for event in again}] + again
    hits_only = [event for event in cleaned if not isinstance(event, Sent)]
    for _ in range(2):
        rows = asked(emptied, "robots_by_agent", _SINCE, _UNTIL, "UTC")
        assert {row["agent_name"] for row in rows} >= {"cURL"}
        found = {(row["agent_name"], row["verdict"]): row["hits"] for row in rows}
        assert found == Counter(
            (event.agent or "Not recorded", event.verdict)
            for event in hits_only
            if isinstance(event, Opened | Clicked) and event.verdict != "human" and _SINCE <= event.at < _UNTIL
        )
        networks = asked(emptied, "robots_by_network", _SINCE, _UNTIL, "UTC")
        assert sum(row["hits"] for row in networks) == sum(found.values())
        counting.roll(emptied)


def test_nothing_of_a_persons_own_hits_is_kept_beside_them(emptied: Client) -> None:
    empty(emptied)
    insert_lines(emptied, "events", lines(_busy()))
    rows = emptied.query(
        "SELECT DISTINCT agent, network, user_agent FROM judged_hits WHERE verdict = 'human' "
        "UNION ALL SELECT DISTINCT '', '', user_agent FROM judged_hits WHERE verdict = 'machine'"
    ).result_rows
    assert set(rows) == {("", "", "")}


@pytest.mark.parametrize("counted", [False, True])
def test_erasing_a_person_blanks_where_their_machines_came_from_and_keeps_the_numbers(
    emptied: Client, counted: bool
) -> None:
    empty(emptied)
    events = [event for event in _busy() if event.lead in ("lead-3", "lead-9")]
    at = BASE + timedelta(hours=5)
    mine = [sent("spring", 1, 500, BASE), hit("spring", 1, 500, at, 1), hit("spring", 1, 500, at, 3, "click")]
    mine.append(Opened(**{name: getattr(mine[1], name) for name in mine[1].__struct_fields__} | {"ip": "192.0.2.77",
        "id": str(uuid.uuid4()), "at": at + timedelta(hours=30)}))  # fmt: skip
    insert_lines(emptied, "events", lines([*events, *mine]))
    if counted:
        counting.roll(emptied)
    before = asked(emptied, "robot_headline", _SINCE, _UNTIL, "UTC")
    email = ErasedEmail("lead-500", "spring", mine[0].delivery_id)
    Erasure(emptied).erase({"lead-500": "erased:1"}, [email])
    for table in ("judged_hits", "hit_counts"):
        assert "192.0.2.0/24" not in str(emptied.query(f"SELECT * FROM {table}").result_rows), table
    for _ in range(2):
        assert asked(emptied, "robot_headline", _SINCE, _UNTIL, "UTC") == before
        networks = {
            row["network_name"]: row["hits"] for row in asked(emptied, "robots_by_network", _SINCE, _UNTIL, "UTC")
        }
        assert networks["Not recorded"] >= 3
        assert "192.0.2.0/24" not in networks
        assert sum(networks.values()) == before[1]["bot_hits"] + before[1]["machine_hits"]
        counting.roll(emptied)
    rebuild(emptied, lambda _: None)
    assert {
        row["network_name"]: row["hits"] for row in asked(emptied, "robots_by_network", _SINCE, _UNTIL, "UTC")
    } == networks
