"""The law of counting, for what is counted by recipients' domains: every number of it is what counting by hand gives."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse import counting, queries
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Bounced, Sent, lines
from schemas.settings import Settings
from tests.clickhouse.counted import BASE, Told, events_of, numbers_by_hand
from tests.clickhouse.test_counting import EDGES, TRIES, a_busy_day, empty, many, told

pytestmark = pytest.mark.timeout(900)  # many examples, and neighbours may be at work

# One of each kind: known in both cases, known of the same provider, not known twice, and one that is not told.
DOMAINS = ("gmail.com", "GMail.com", "googlemail.com", "outlook.com", "example.net", "example.org", "")
PROVIDERS = {"gmail.com": "Google", "googlemail.com": "Google", "outlook.com": "Microsoft"}
CATEGORIES = ("", "user-unknown", "policy")
CLASS = {"hard": "hard", "soft": "soft", "unknown": "soft", "block": "block"}


@pytest.fixture(scope="module")
def emptied(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


def dressed(events: Sequence[AnyEvent]) -> list[AnyEvent]:
    """The same events, of recipients at different domains, with bounces of different categories."""
    found: list[AnyEvent] = []
    for event in events:
        if isinstance(event, Sent):
            found.append(msgspec.structs.replace(event, recipient_domain=DOMAINS[_number(event.lead) % len(DOMAINS)]))
        elif isinstance(event, Bounced):
            place = int(event.id[:8], 16)
            found.append(
                msgspec.structs.replace(
                    event,
                    category=CATEGORIES[place % 3],
                    status=f"5.{place % 2}.0",
                    diagnostic=f"550 {event.id} <a@example.com>",
                )
            )
        else:
            found.append(event)
    return found


def _number(lead: str) -> int:
    return int(lead.removeprefix("lead-"))


def domain_of(event: AnyEvent) -> str:
    return DOMAINS[_number(event.lead) % len(DOMAINS)].lower()  # type: ignore[union-attr]


def provider_of(event: AnyEvent) -> str:
    return PROVIDERS.get(domain_of(event), "Other domains")


def asked(
    client: Client, name: str, since: datetime, until: datetime, campaigns: Collection[str], senders: Collection[str]
) -> list[dict[str, Any]]:
    query = queries.get(name)
    given = QueryParameters(since, until, tuple(campaigns), "UTC", senders=tuple(senders)).parameters()
    return list(client.query(query.asked, parameters=query.values(given)).named_results())


def bounces_by_hand(events: Sequence[AnyEvent], since: datetime, until: datetime) -> Counter[tuple[str, str, str, str]]:
    """By provider, class, category and status: the first of each email's of a class."""
    sent: dict[str, datetime] = {}
    first: dict[tuple[str, str], Bounced] = {}
    for event in events:
        if isinstance(event, Sent):
            sent[event.delivery_id] = min(event.at, sent.get(event.delivery_id, event.at))
        elif isinstance(event, Bounced):
            key = (event.delivery_id, CLASS[event.bounce_class])
            if key not in first or _order(event) < _order(first[key]):
                first[key] = event
    return Counter(
        (provider_of(event), of_class, event.category or "not said", event.status)
        for (delivery, of_class), event in first.items()
        if delivery in sent and since <= sent[delivery] < until
    )


def _order(event: Bounced) -> tuple[datetime, str, str]:
    """By the time, then by the id, as ClickHouse orders UUIDs: by the second half first."""
    digits = event.id.replace("-", "")
    return event.at, digits[16:], digits[:16]


CHOSEN: tuple[tuple[str, ...], ...] = ((), ("spring",), ("spring", "autumn"))
SENDERS: tuple[tuple[str, ...], ...] = ((), ("sender-1@example.com",))


def assert_all_right(client: Client, events: Sequence[AnyEvent], since: datetime, until: datetime) -> None:
    for campaigns in CHOSEN:
        for senders in SENDERS:
            assert_right(client, events, since, until, campaigns, senders)


def assert_right(
    client: Client,
    events: Sequence[AnyEvent],
    since: datetime,
    until: datetime,
    campaigns: Collection[str],
    senders: Collection[str],
) -> None:
    of: list[Any] = [
        event
        for event in events
        if (not campaigns or event.campaign in campaigns) and (not senders or _number(event.lead) % 2 == 1)  # type: ignore[union-attr]
    ]

    def ask(name: str) -> list[dict[str, Any]]:
        return asked(client, name, since, until, campaigns, senders)

    for name, key, group in (
        ("by_provider", "provider_name", provider_of),
        ("by_domain", "domain_name", lambda event: domain_of(event) or "not known"),
    ):
        groups: defaultdict[str, list[AnyEvent]] = defaultdict(list)
        for event in of:
            groups[group(event)].append(event)
        wanted = {one: numbers_by_hand(some, since, until) for one, some in groups.items()}
        rows = ask(name)
        assert {row[key]: {count: row[count] for count in numbers_by_hand([], since, until)} for row in rows} == {
            one: counts for one, counts in wanted.items() if counts["sent"]
        }
        assert len(rows) == len({row[key] for row in rows})
    by_domain = {row["domain_name"]: row["provider_name"] for row in ask("by_domain")}
    providers = {row["provider_name"]: row for row in ask("by_provider")}
    assert {one: row["domains"] for one, row in providers.items()} == Counter(by_domain.values())
    bounces = bounces_by_hand(of, since, until)
    said = ask("bounces_by_provider")
    assert {(row["provider_name"], row["class"], row["wrong"], row["status"]): row["emails"] for row in said} == bounces
    assert all("@" not in row["words"] and row["words"] for row in said)
    for row in said:
        assert row["share"] == pytest.approx(row["emails"] / providers[row["provider_name"]]["sent"])
    by_category = Counter[tuple[str, str]]()
    for (_, of_class, category, _), emails in bounces.items():
        by_category[category, of_class] += emails
    categories = ask("bounces_by_category")
    assert {
        (row["wrong"], of_class): row[name]
        for row in categories
        for of_class, name in (("hard", "hard"), ("soft", "soft"), ("block", "blocked"))
        if row[name]
    } == by_category
    for row in categories:
        assert row["share"] == pytest.approx(row["emails"] / sum(row["sent"] for row in providers.values()))


# An example makes every table of counts, which takes seconds where others work too.
@settings(many, max_examples=max(1, TRIES // 3))
@given(data=st.data(), stories=told(), rolls=st.sampled_from(["never", "always", "now and then"]))
def test_every_number_of_a_domain_is_what_counting_by_hand_gives(
    emptied: Client, data: st.DataObject, stories: list[Told], rolls: str
) -> None:
    empty(emptied)
    events = dressed(events_of(stories))
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
    assert_right(emptied, events, since, until, data.draw(st.sampled_from(CHOSEN)), data.draw(st.sampled_from(SENDERS)))


def test_counts_of_domains_are_used_and_are_the_same(emptied: Client) -> None:
    empty(emptied)
    events = dressed(a_busy_day())
    insert_lines(emptied, "events", lines(events))
    since, until = BASE + timedelta(minutes=7), BASE + timedelta(hours=60, milliseconds=1)
    assert_all_right(emptied, events, since, until)
    counting.roll(emptied)
    assert_all_right(emptied, events, since, until)
    query = queries.get("by_provider")
    before = asked(emptied, "by_provider", since, until, (), ())
    refused = asked(emptied, "bounces_by_provider", since, until, (), ())
    # Emails of which counts exist are not looked at any more, but in the hours at the ends.
    emptied.command(
        "DELETE FROM emails WHERE slot >= {from:DateTime} AND slot < {to:DateTime}",
        parameters={"from": "2026-03-02 02:00:00", "to": "2026-03-04 12:00:00"},
    )
    assert asked(emptied, query.name, since, until, (), ()) == before
    assert asked(emptied, "bounces_by_provider", since, until, (), ()) == refused


def test_a_provider_told_of_later_counts_for_all_that_was_counted(emptied: Client) -> None:
    empty(emptied)
    events = dressed(a_busy_day())
    insert_lines(emptied, "events", lines(events))
    counting.roll(emptied)
    since, until = BASE, BASE + timedelta(hours=72)
    by_domain = {row["domain_name"]: row["sent"] for row in asked(emptied, "by_domain", since, until, (), ())}
    before = {row["provider_name"]: row for row in asked(emptied, "by_provider", since, until, (), ())}
    emptied.insert("providers", [["example.org", "Ours", "own"]], column_names=["domain", "provider", "source"])
    try:
        after = {row["provider_name"]: row for row in asked(emptied, "by_provider", since, until, (), ())}
    finally:
        emptied.command("DELETE FROM providers WHERE domain = 'example.org'")
    assert after["Ours"]["sent"] == by_domain["example.org"]
    assert after["Other domains"]["sent"] == before["Other domains"]["sent"] - by_domain["example.org"]
    assert after["Other domains"]["domains"] == before["Other domains"]["domains"] - 1


@pytest.mark.parametrize("name", ["by_provider", "by_domain", "bounces_by_provider", "headline"])
@pytest.mark.parametrize(
    ("chosen", "key"), [((), "campaign in ['', '']"), (("one", "other"), "campaign in 2-element set")]
)
def test_counts_are_found_by_the_campaign(name: str, chosen: tuple[str, ...], key: str, emptied: Client) -> None:
    """Each campaign has rows of its own beside those of all together, a hundred times as many. No rows, no key: so some."""
    insert_lines(emptied, "events", lines(a_busy_day()))
    counting.roll(emptied)
    query = queries.get(name)
    period = QueryParameters(BASE - timedelta(days=2), BASE + timedelta(days=40), chosen, "UTC")
    plan = emptied.query(f"EXPLAIN indexes = 1 {query.asked}", parameters=query.values(period.parameters())).result_rows
    conditions = [line for (line,) in plan if "Condition:" in line and "(grain, slot) in" in line]
    assert conditions
    assert all(key in condition for condition in conditions), conditions
