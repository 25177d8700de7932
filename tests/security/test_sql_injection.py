"""Whatever a viewer or caller writes is a value: it is never SQL, on a board, in Grafana or in `/v1`.

The database holds an email of each hostile word, so that a literal value finds exactly one, and a word that nobody may
read, so that an injected SELECT would show it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse import queries
from clickhouse.queries import Query
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, error_code
from dashboards import grafana
from dashboards.boards import BOARDS
from dashboards.grafana.expand import Choice, expand
from dashboards.grafana.links import queries as queries_of
from dashboards.grafana.trial import run_board
from dashboards.panels import Board
from schemas.settings import Settings
from tests.dashboards.conftest import settings_for
from tests.security.hostile import SINCE, UNTIL, store
from tests.security.words import CANARY, LEAK, WORDS
from tests.support.migrated import MIGRATED, start_migrated

# What may stand in a target: variables in Grafana's encoding formats, and the macros of the period, which are numbers.
ENCODED = re.compile(r"\$\{\w+:(percentencode|customqueryparam:id)\}|\$__(from|to)Time\b")
# What doctor asks has nothing of a viewer's in it, and another answer at each moment.
VIEWER = [query for name, query in queries.ALL.items() if grafana.can_ask(query) and not name.startswith("doctor_")]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    server = start_migrated(tmp_path_factory.mktemp("clickhouse") / "data")
    try:
        settings = settings_for(server.url, MIGRATED)
        with connect(settings) as client:
            store(client, WORDS)
            client.command("CREATE TABLE canary (word String) ENGINE = Memory")
            client.insert("canary", [[CANARY]], column_names=["word"])
        yield settings
    finally:
        server.stop()


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    with connect(settings) as client:
        yield client


def choices(*words: str, lead: str = "", timezone: str = "UTC") -> tuple[Choice, QueryParameters]:
    """The same choice as Grafana puts it into the text and as the page binds it."""
    chosen = {"campaign": list(words), "sender": list(words), "lead": [lead], "step": None}
    return Choice(SINCE, UNTIL, chosen, timezone), QueryParameters(SINCE, UNTIL, words, timezone, (), words, lead)


def bound(client: Client, query: Query, asked: QueryParameters) -> list[Any]:
    return sorted(map(repr, client.query(query.sql, parameters=query.values(asked.parameters())).result_rows))


def in_grafana(client: Client, query: Query, choice: Choice) -> list[Any]:
    sql = expand(grafana.translate(query.sql), choice, grafana.ALL)
    return sorted(map(repr, client.query(sql).result_rows))


@pytest.mark.parametrize("query", VIEWER, ids=lambda query: query.name)
def test_grafana_asks_with_hostile_values_what_the_page_asks_with_bound_ones(query: Query, client: Client) -> None:
    for lead in WORDS if "lead" in query.parameters else WORDS[:1]:
        choice, asked = choices(*WORDS, lead=lead)
        assert in_grafana(client, query, choice) == bound(client, query, asked), lead


@pytest.mark.parametrize("word", WORDS, ids=ascii)
def test_a_hostile_value_finds_its_own_emails_and_no_other(word: str, client: Client) -> None:
    sql = expand(grafana.translate(queries.get("headline").sql), choices(word)[0], grafana.ALL)
    assert client.query(f"SELECT sent FROM ({sql})").result_rows[-1] == (2,)  # one lived, one bounced
    nobody = expand(grafana.translate(queries.get("headline").sql), choices(word + "x")[0], grafana.ALL)
    assert client.query(f"SELECT sum(sent) FROM ({nobody})").result_rows == [(0,)]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_every_target_of_a_board_runs_with_hostile_values_in_all_its_variables(board: Board, client: Client) -> None:
    choice, _ = choices(*WORDS, lead=LEAK)
    assert list(run_board(grafana.dashboard(board), client, {"hostile": choice})) == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_nothing_of_a_viewer_stands_raw_in_a_target(board: Board) -> None:
    for where, sql in queries_of(grafana.dashboard(board)):
        assert "$" not in ENCODED.sub("", sql), where


@pytest.mark.parametrize(
    "query", [query for query in VIEWER if "timezone" in query.parameters], ids=lambda query: query.name
)
def test_a_hostile_time_zone_is_the_name_of_none(query: Query, client: Client) -> None:
    """Refused alike as text and bound, and the refusal tells what was written, not what an injected SELECT would find."""
    for word in WORDS:
        choice, asked = choices(timezone=word)
        with pytest.raises(ClickHouseError) as as_text:
            in_grafana(client, query, choice)
        with pytest.raises(ClickHouseError) as as_value:
            bound(client, query, asked)
        assert error_code(as_text.value) == error_code(as_value.value), word
        assert CANARY not in str(as_text.value) + str(as_value.value), word
