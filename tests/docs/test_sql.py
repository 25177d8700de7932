"""The questions of docs/sql.md and README's, asked of a real engine with the known week in it, as the reader asks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.columns import RATES
from clickhouse.console import ConsoleAddress
from clickhouse.store import connect
from dashboards.grafana.expand import Choice, expand
from dashboards.grafana.source import ALL
from schemas.events import EVENTS
from schemas.settings import load
from tests.dashboards.data import SINCE, UNTIL, insert_known_week
from tests.docs.shown import blocks, commands, documents
from tests.docs.view_list import listed, view_list
from tests.support.migrated import start_migrated
from tests.support.processes import ROOT

TEXT = (ROOT / "docs" / "sql.md").read_text()
QUESTIONS = list(zip(blocks(TEXT, "sql"), blocks(TEXT, "text"), strict=True))
PASSWORD = "of the reader of these tests"
PLAIN = {"output_format_pretty_row_numbers": 0, "output_format_pretty_color": "0"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A ClickHouse with the known week, and a user `reader`."""
    folder = tmp_path_factory.mktemp("sql")
    server = start_migrated(folder / "data", readonly_user="reader", readonly_password=PASSWORD)
    try:
        settings = load(clickhouse_url=server.url, token_keys="1:0123456789abcdef0123456789abcdef")
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
    """Connects as `sendlens sql --dsn` says."""
    settings = load(clickhouse_url=url, clickhouse_reader_password=PASSWORD)
    with clickhouse_connect.get_client(dsn=ConsoleAddress.of(settings).url) as client:
        yield client


def test_there_are_twenty_questions() -> None:
    assert len(QUESTIONS) == 20


def test_every_view_since_ever_is_asked(writer: Client) -> None:
    views = (
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND name LIKE 'v\\\\_%'"
    )
    asked = "\n".join(question for question, _ in QUESTIONS)
    without = {name for (name,) in writer.query(views).result_rows if not re.search(rf"\b{name}\b", asked)}
    assert without == {"v_sent"}  # of which the queries count; analysts have v_outcomes


def test_every_view_is_listed_with_a_line() -> None:
    """`python -m tests.docs.view_list` writes them."""
    assert listed(TEXT) == view_list()


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


def test_a_panel_and_what_is_made_of_it_in_the_document_can_be_asked(reader: Client) -> None:
    panel, changed = (sql.rstrip() for sql in blocks((ROOT / "docs" / "grafana.md").read_text(), "sql"))
    panels = json.loads((ROOT / "dashboards" / "dist" / "overview.json").read_text())["panels"]
    (theirs,) = (each["targets"][0]["rawSql"] for each in panels if each["title"] == "Senders")
    assert panel == theirs
    asked = [expand(sql, Choice(SINCE, UNTIL), ALL) for sql in (panel, changed)]
    (row,) = reader.query(asked[1]).result_rows
    assert row == ("example.com", 60, 50, 2 / 50)
    assert len(reader.query(asked[0]).result_rows) == 1


def test_what_the_documents_ask_by_command_can_be_asked(url: str) -> None:
    shown = [command for document in documents(ROOT) for command in commands(document.read_text())]
    calls = [call for command in shown for call in command.calls()]
    asked = [call[1:] for call in calls if call[0].endswith("sendlens") and call[1] == "sql"]
    assert len(asked) == 4
    own = {"SENDLENS_CLICKHOUSE_URL": url, "SENDLENS_CLICKHOUSE_READER_PASSWORD": PASSWORD}
    for words in asked:
        answer = subprocess.run(
            [sys.executable, "-m", "sendlens", *words],
            cwd=ROOT,
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (answer.returncode, answer.stderr) == (0, "")
        assert answer.stdout.strip()


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


def test_every_kind_of_event_is_named(writer: Client) -> None:
    (row,) = re.findall(r"^\| `events` \| something that happened: (.+?) \|", TEXT, re.MULTILINE)
    assert set(re.findall(r"\w+", row)) == {str(event.__struct_config__.tag) for event in EVENTS}


def test_every_field_of_an_event_has_its_column(writer: Client) -> None:
    """ClickHouse leaves out what it has no column for, and says nothing."""
    columns = {column["name"] for column in writer.query("DESCRIBE events").named_results()}
    fields = {field for event in EVENTS for field in event.__struct_encode_fields__}
    assert fields <= columns


def test_every_column_of_outcomes_can_be_asked_for(writer: Client) -> None:
    """The view names each of its columns, for it casts them to plain types."""
    inner = {"hours", "put_off_at", "robots", "links", "raw_links"}  # what counting reads, and no answer to anybody
    described = [list(writer.query(f"DESCRIBE {name}").named_results()) for name in ("outcomes", "v_outcomes")]
    there, asked = ({column["name"] for column in columns} for columns in described)
    made = {"opened_at"}  # of two columns
    assert there - inner == asked - made


def test_every_column_that_is_named_is_there(writer: Client) -> None:
    columns = {
        row[0] for row in writer.query("SELECT name FROM system.columns WHERE database = currentDatabase()").result_rows
    }
    named = set(re.findall(r"`(\w+_at)`", TEXT))
    assert named
    assert named <= columns


def test_the_base_of_every_rate_is_written_down() -> None:
    """docs/reference/numbers.md says what the views' comments and the OpenAPI document say."""
    page = (ROOT / "docs" / "reference" / "numbers.md").read_text()
    for rate, of in RATES.items():
        assert f"| `{rate}` | {of.rstrip('.').partition('; ')[0]} |" in page
