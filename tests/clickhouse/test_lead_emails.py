"""A lead's emails, found by the lead: whatever order events come in, made anew, judged anew, and erased."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import queries
from clickhouse.counting import DERIVED
from clickhouse.erasing import PSEUDONYM, Erasure
from clickhouse.query_parameters import QueryParameters
from clickhouse.rebuild import rebuild, rebuild_outcomes
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, lines
from schemas.settings import Settings
from tests.dashboards.data import SINCE, SPRING_AT, UNTIL, Email

HOUR = timedelta(hours=1)
ADA = Email("spring", 1, "A", "ada", SPRING_AT)
LATER = Email("autumn", 2, "B", "ada", SPRING_AT + 24 * HOUR)
BOB = Email("spring", 1, "A", "bob", SPRING_AT)
STORY: tuple[AnyEvent, ...] = (
    ADA.sent(),
    ADA.opened(HOUR, "human", "mail-client"),
    ADA.clicked(2 * HOUR, "human", "browser"),
    LATER.delivered(),
)


@pytest.fixture(scope="module")
def database(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


@pytest.fixture
def client(database: Client) -> Client:
    for table in ("events", *DERIVED):
        database.command(f"TRUNCATE TABLE {table}")
    insert_lines(database, "events", lines([BOB.sent()]))
    return database


def ask(client: Client, name: str, lead: str) -> list[dict[str, Any]]:
    query = queries.get(name)
    values = query.values(QueryParameters(SINCE, UNTIL, (), "UTC", lead=lead).parameters())
    return list(client.query(query.asked, parameters=values).named_results())


def told(client: Client, lead: str) -> tuple[Any, ...]:
    """All that the queries say of a lead."""
    state = [(row["state"], row["since"]) for row in ask(client, "lead_state", lead)]
    summary = [(row["sent"], row["opened"], row["clicked"], row["events"]) for row in ask(client, "lead_summary", lead)]
    timeline = [(row["happened"], row["campaign_id"]) for row in ask(client, "lead_timeline", lead)]
    listed = [
        (row["last_happened"], row["emails"], row["opened"], row["clicked"])
        for row in ask(client, "leads_lately", lead)
    ]
    return state, summary, timeline, listed


OF_ADA = (
    [("Gets email", SPRING_AT.replace(tzinfo=None))],
    [(1, 1, 1, 4)],
    [("Delivered", "autumn"), ("Clicked", "spring"), ("Opened", "spring"), ("Sent", "spring")],
    [("Delivered", 1, 1, 1)],
)


def test_a_lead_s_emails_are_found_whatever_order_events_come_in(client: Client) -> None:
    for order in list(permutations(STORY))[::5]:
        for table in ("events", *DERIVED):
            client.command(f"TRUNCATE TABLE {table}")
        for event in (*order, order[0]):  # the first comes twice
            insert_lines(client, "events", lines([event]))
        assert told(client, "ada") == OF_ADA, [event.id for event in order]


def test_a_lead_s_emails_are_found_after_a_rebuild(client: Client) -> None:
    insert_lines(client, "events", lines(STORY))
    for table in ("lead_emails", "last_events"):
        client.command(f"TRUNCATE TABLE {table}")
    assert told(client, "ada") == ([], [], [], [])
    rebuild(client, lambda _: None)
    assert told(client, "ada") == OF_ADA
    assert ask(client, "lead_summary", "bob")[0]["sent"] == 1


def test_what_is_judged_anew_is_no_person_s_any_more(client: Client) -> None:
    insert_lines(client, "events", lines(STORY))
    insert_lines(client, "events", lines([ADA.opened(HOUR, "bot", "mail-client")]))  # under the same id
    rebuild_outcomes(client, [str(ADA.id)])
    assert told(client, "ada") == OF_ADA  # whose link was followed has been opened
    insert_lines(client, "events", lines([ADA.clicked(2 * HOUR, "bot", "browser")]))
    rebuild_outcomes(client, [str(ADA.id)])
    assert told(client, "ada") == (OF_ADA[0], [(1, 0, 0, 4)], OF_ADA[2], [("Delivered", 1, 0, 0)])


def test_an_erased_lead_is_found_under_its_pseudonym_alone(client: Client) -> None:
    insert_lines(client, "events", lines(STORY))
    pseudonym, erasing = PSEUDONYM + "0" * 64, Erasure(client)
    emails = erasing.emails(["ada"])
    assert len(emails) == 2
    for _ in range(2):  # a run that was killed does it again
        erasing.erase({"ada": pseudonym}, emails)
        assert told(client, "ada") == ([], [], [], [])
        assert told(client, pseudonym) == OF_ADA
    for table in ("lead_emails", "last_events"):
        ((named,),) = client.query(f"SELECT count() FROM {table} WHERE lead = 'ada'").result_rows
        assert named == 0
    assert told(client, "bob")[1] == [(1, 0, 0, 1)]
