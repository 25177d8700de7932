"""Tables as files: all rows, in the words of the board, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from clickhouse.store import connect, insert_lines
from dashboards.boards import BOARDS
from dashboards.page.page import router
from dashboards.panels import PanelKind
from schemas.events import Replied, lines
from schemas.settings import Settings
from tests.dashboards.data import PICK_AT, Email, insert_known_week
from tests.support.served import served

WEEK = {"since": "2026-02-20", "until": "2026-03-09", "lead": "lead-0"}
TABLES = [
    (board.key, panel)
    for board in BOARDS
    for panel in board.panels
    if panel.kind in (PanelKind.TABLE, PanelKind.TIMELINE)
]


@pytest.fixture(scope="module")
def filled(own_database: Settings) -> Settings:
    """The known week, 600 campaigns more, and a reply that a spreadsheet would run."""
    hostile = Email("spring", 9, "A", "=cmd()", PICK_AT)
    more = [Email(f"small-{n:03}", 1, "A", "lead-1", PICK_AT).sent() for n in range(600)]
    with connect(own_database) as client:
        insert_known_week(client)
        insert_lines(client, "events", lines([*more, hostile.sent(), hostile.delivered()]))
        answer = hostile.answered(Replied, datetime(2026, 3, 5, tzinfo=UTC) - PICK_AT, subject="=1+1", text="+x")
        insert_lines(client, "events", lines([answer]))
    return own_database


@pytest.fixture(scope="module")
def url(filled: Settings) -> Iterator[str]:
    app = FastAPI()
    app.include_router(router(filled))
    with served(app) as url:
        yield url


def table(url: str, board: str, panel: str, **choice: str) -> list[list[str]]:
    answer = httpx.get(f"{url}/boards/{board}/{panel}.csv", params=WEEK | choice, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == f'attachment; filename="sendlens-{board}-{panel}.csv"'
    return list(csv.reader(io.StringIO(answer.text)))


def test_every_table_is_to_be_had_whole(url: str) -> None:
    for board in {board for board, _ in TABLES}:
        answer = httpx.get(f"{url}/boards/{board}.json", params=WEEK, timeout=30).json()
        for key, panel in TABLES:
            if key == board and not panel.whole:
                head, *rows = table(url, board, panel.key)
                assert head == [field.title for field in panel.columns], panel.key
                assert len(rows) >= len(answer["answers"][panel.query.name]["rows"]), panel.key


def test_more_rows_than_a_board_shows(url: str) -> None:
    answer = httpx.get(f"{url}/boards/overview.json", params=WEEK, timeout=30).json()
    assert len(answer["answers"]["by_campaign"]["rows"]) == 500
    assert len(table(url, "overview", "campaigns")) == 1 + 602


def test_the_recipients_of_an_outcome(url: str) -> None:
    head, *rows = table(url, "recipients", "recipients", outcome="clicked", campaign="spring")
    assert sorted(row[head.index("lead")] for row in rows) == [f"lead-{n}" for n in range(9)]


def test_nothing_in_it_is_a_formula(url: str) -> None:
    head, *rows = table(url, "campaign", "replies", step="9")
    (row,) = rows
    assert [row[head.index(title)] for title in ("Lead", "Subject", "Reply")] == ["'=cmd()", "'=1+1", "'+x"]


def test_what_is_no_panel_is_not_found(url: str) -> None:
    for path in ("overview/nothing.csv", "nothing/sent.csv", "overview/campaigns.json"):
        assert httpx.get(f"{url}/boards/{path}").status_code == 404
