"""Views for analysts say what the boards' queries say, of the known week and of a random history beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import queries
from clickhouse.columns import ABOUT
from clickhouse.migrate import migrate
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect
from dashboards.boards import BOARDS
from schemas.settings import Settings
from tests.dashboards.data import insert_known_week
from tests.dashboards.month import insert_month

ALSO_DATABASES = ("anew",)
EVER = QueryParameters(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC), (), "UTC")


@pytest.fixture(scope="module")
def history(own_database: Settings) -> Iterator[Client]:
    """The known week, and the month of the pictures."""
    with connect(own_database) as client:
        insert_known_week(client)
        insert_month(client, datetime(2026, 5, 20, 12, tzinfo=UTC))
        yield client


def asked(client: Client, name: str) -> list[dict[str, Any]]:
    query = queries.get(name)
    return list(client.query(query.sql, parameters=query.values(EVER.parameters())).named_results())


def all_of(client: Client, view: str) -> list[dict[str, Any]]:
    return list(client.query(f"SELECT * FROM {view}").named_results())


@pytest.mark.parametrize(
    ("view", "query", "keys"),
    [
        ("v_campaigns", "by_campaign", {"campaign": "campaign_id", "name": "campaign_name", "state": "state"}),
        ("v_variants", "by_variant", {"campaign": "campaign_id", "step": "step", "variant": "variant"}),
        ("v_senders", "senders", {"sender": "sender", "health": "health"}),
    ],
)
def test_a_view_has_the_rows_and_the_numbers_of_the_boards_query(
    history: Client, view: str, query: str, keys: dict[str, str]
) -> None:
    theirs, ours = asked(history, query), all_of(history, view)
    assert len(ours) == len(theirs) > 0
    numbers = [name for name in ours[0] if name in queries_columns(theirs) and name not in keys]
    assert {"sent", "hard_bounced"} <= set(numbers)

    def told(rows: list[dict[str, Any]], names: list[str]) -> set[tuple[Any, ...]]:
        return {tuple(row[name] for name in names) for row in rows}

    assert told(ours, [*keys, *numbers]) == told(theirs, [*keys.values(), *numbers])


def queries_columns(rows: list[dict[str, Any]]) -> set[str]:
    return set(rows[0])


def test_ab_tests_are_the_boards(history: Client) -> None:
    columns = [column["name"] for column in history.query("DESCRIBE v_ab").named_results()]
    theirs = [{"campaign": row["campaign_id"], **row} for row in asked(history, "ab")]
    assert len(theirs) > 10

    def told(rows: list[dict[str, Any]]) -> set[str]:
        return {str([row[name] for name in columns]) for row in rows}

    assert told(all_of(history, "v_ab")) == told(theirs)


def test_days_domains_and_variants_add_up_to_the_headline(history: Client) -> None:
    _, now = asked(history, "headline")
    for view in ("v_campaigns", "v_daily", "v_variants", "v_senders", "v_domains"):
        rows = all_of(history, view)
        for count in ("sent", "delivered", "opened", "raw_opened", "clicked", "replied", "unsubscribed", "complained"):
            assert sum(row[count] for row in rows) == now[count], (view, count)


def test_days_are_those_of_the_api(history: Client) -> None:
    days: dict[Any, int] = {}
    for row in all_of(history, "v_daily"):
        days[row["day"]] = days.get(row["day"], 0) + row["opened"]
    assert days == {row["day"]: row["opened"] for row in asked(history, "daily") if row["sent"]}


def test_hits_are_those_of_the_board(history: Client) -> None:
    by_reason = {(row["verdict"], row["reason"]): row["hits"] for row in asked(history, "hits_by_reason")}
    ours: dict[tuple[str, str], int] = {}
    for row in all_of(history, "v_hits"):
        key = row["verdict"], row["reason"]
        ours[key] = ours.get(key, 0) + 1
    assert ours == by_reason


def test_the_click_log_shows_where_each_hit_came_from(history: Client) -> None:
    rows = all_of(history, "v_hits")
    assert len(rows) == history.command("SELECT count() FROM events FINAL WHERE kind IN ('open', 'click')")
    of_week = [row for row in rows if row["lead"].startswith("lead-") and row["verdict"] == "human"]
    people = {(row["kind"], row["client"], row["device"], row["country"]) for row in of_week}
    assert people == {("open", "Thunderbird", "desktop", "DE"), ("click", "Firefox", "mobile", "AT")}
    of_month = [row for row in rows if row["user_agent"] and row["kind"] == "click"]
    assert {row["ip"].rpartition(".")[0] for row in of_month} == {"192.0.2", "198.51.100", "203.0.113"}


def test_a_link_is_counted_by_emails_and_by_clicks(history: Client) -> None:
    (spring,) = [row for row in all_of(history, "v_links") if row["campaign"] == "spring"]
    assert (spring["clicked"], spring["raw_clicked"], spring["clicks"], spring["raw_clicks"]) == (9, 12, 9, 12)


def test_a_leads_timeline_has_each_event_once(history: Client) -> None:
    once = history.command("SELECT uniqExact(id) FROM events WHERE lead = 'lead-0'")
    assert len(history.query("SELECT * FROM v_leads_timeline WHERE lead = 'lead-0'").result_rows) == once


def test_every_column_of_every_view_is_explained(history: Client) -> None:
    for view, query in queries.VIEWS.items():
        if view.startswith("v_"):
            assert not query.parameters
            for column in history.query(f"DESCRIBE {view}").named_results():
                assert column["comment"] == ABOUT[column["name"]], (view, column["name"])
        said = history.query(
            "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
            parameters={"name": view},
        )
        assert said.first_row == (queries.VIEWS[view].about,)


def test_a_view_of_another_release_is_made_again_by_the_migration(own_database: Settings) -> None:
    settings = own_database.model_copy(update={"clickhouse_database": "anew"})
    with connect(settings) as client:
        client.command("CREATE OR REPLACE VIEW v_campaigns AS SELECT 1 AS old")
        assert migrate(settings) == []
        assert "open_rate" in [row["name"] for row in client.query("DESCRIBE v_campaigns").named_results()]


INNER = "-- view: inner\n-- Rows.\nSELECT {a:String} AS a, {b:Array(UInt8)} AS b, ', -- (' AS c\n"


def view_of(call: str) -> str:
    found = queries.read([("a.sql", f"{INNER}\n-- view: outer\n-- Of it.\nSELECT * FROM {call} AS rows\n")], "view")
    return found["outer"].asked


def test_a_view_stands_in_the_place_of_its_call(client: Client) -> None:
    sql = view_of("inner(a = {name:String}, b = [1, 2])")
    assert "inner(" not in sql
    assert client.query(sql, parameters={"name": "it's"}).result_rows == [("it's", [1, 2], ", -- (")]


def test_what_a_call_gives_may_hold_commas_brackets_and_quotes(client: Client) -> None:
    assert client.query(view_of("inner(a = concat('a,)', '(''b'), b = [])")).result_rows == [("a,)('b", [], ", -- (")]


def test_a_quote_behind_a_backslash_ends_no_text(client: Client) -> None:
    assert client.query(view_of("inner(a = 'it\\'s, (', b = [])")).result_rows == [("it's, (", [], ", -- (")]


@pytest.mark.parametrize("call", ["inner(a = 'a')", "inner(a = 'a', b = [], c = 1)"])
def test_a_call_gives_what_the_view_takes(call: str) -> None:
    with pytest.raises(ValueError, match="view outer calls inner with"):
        view_of(call)


def test_what_the_program_sends_says_what_the_view_says(history: Client) -> None:
    """Grafana asks by the name, the page and /v1 send what the view selects."""
    panels = {panel.query.name: panel.query for board in BOARDS for panel in board.panels}
    for query in panels.values():
        values = query.values(EVER.parameters())
        by_name = history.query(query.sql, parameters=values)
        sent = history.query(query.asked, parameters=values)
        assert sent.column_names == by_name.column_names
        assert sorted(map(repr, sent.result_rows)) == sorted(map(repr, by_name.result_rows)), query.name
