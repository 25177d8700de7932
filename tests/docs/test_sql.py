"""The questions of docs/sql.md and README's, asked of a real engine with the known week in it, as the reader asks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.migrate import migrate
from clickhouse.store import connect
from schemas.settings import load
from tests.dashboards.data import insert_known_week
from tests.docs.shown import blocks, commands
from tests.support.processes import ROOT, start_clickhouse

TEXT = (ROOT / "docs" / "sql.md").read_text()
QUESTIONS = list(zip(blocks(TEXT, "sql"), blocks(TEXT, "text"), strict=True))
PLAIN = {"output_format_pretty_row_numbers": 0, "output_format_pretty_color": "0"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ClickHouse with the known week, and a user `reader`."""
    folder = tmp_path_factory.mktemp("sql")
    server = start_clickhouse(folder / "data", readonly_user="reader", readonly_password="reader")
    try:
        settings = load(clickhouse_url=server.url, token_keys="1:0123456789abcdef0123456789abcdef")
        migrate(settings)
        with connect(settings) as writer:
            insert_known_week(writer)
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="module")
def writer(url: str) -> Iterator[Client]:
    with connect(load(clickhouse_url=url, token_keys="1:0123456789abcdef0123456789abcdef")) as client:
        yield client


@pytest.fixture(scope="module")
def reader(url: str) -> Iterator[Client]:
    """Connects just as README says."""
    (said,) = re.findall(r"dsn='([^']+)'", (ROOT / "README.md").read_text())
    dsn = said.replace("http://reader:reader@127.0.0.1:8123", url.replace("http://", "http://reader:reader@"))
    with clickhouse_connect.get_client(dsn=dsn) as client:
        yield client


def test_there_are_twenty_questions() -> None:
    assert len(QUESTIONS) == 20


def test_every_view_is_asked(writer: Client) -> None:
    views = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View'"
    asked = "\n".join(question for question, _ in QUESTIONS)
    without = {name for (name,) in writer.query(views).result_rows if not re.search(rf"\b{name}\b", asked)}
    assert without == {"v_sent"}  # of which the queries count; analysts have v_outcomes


def test_every_column_of_a_view_says_what_it_means(reader: Client) -> None:
    for view in re.findall(r"^\| `(v_\w+)` \|", TEXT, re.MULTILINE):
        columns = list(reader.query(f"DESCRIBE {view}").named_results())
        assert [column["name"] for column in columns if not column["comment"]] == [], view


@pytest.mark.parametrize(("question", "answer"), QUESTIONS, ids=range(1, len(QUESTIONS) + 1))
def test_a_question_has_the_answer_that_is_shown(writer: Client, question: str, answer: str) -> None:
    given = writer.raw_query(question, fmt="PrettyCompactMonoBlock", settings=PLAIN).decode()
    assert given.rstrip() == answer.rstrip()


@pytest.mark.parametrize("question", [question for question, _ in QUESTIONS], ids=range(1, len(QUESTIONS) + 1))
def test_the_reader_may_ask_it(reader: Client, question: str) -> None:
    assert reader.query(question).row_count > 0


def test_what_readme_asks_can_be_asked(reader: Client) -> None:
    asked = [
        query
        for command in commands((ROOT / "README.md").read_text())
        for query in re.findall(r"SELECT [^;'\"]+?(?= FORMAT|['\"])", command.text)
    ]
    assert len(asked) == 2
    for query in asked:
        assert reader.query(query).row_count > 0


def test_every_table_is_in_the_list_and_no_other(writer: Client) -> None:
    there = {
        row[0]
        for row in writer.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'MaterializedView'"
        ).result_rows
    }
    rows = re.findall(r"^\| (`.+?) \|", TEXT, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == there


def test_every_column_that_is_named_is_there(writer: Client) -> None:
    columns = {
        row[0] for row in writer.query("SELECT name FROM system.columns WHERE database = currentDatabase()").result_rows
    }
    named = set(re.findall(r"`(\w+_at)`", TEXT))
    assert named
    assert named <= columns
