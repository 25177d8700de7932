"""Every board of the page by axe's rules: in light, in dark and on a phone, with a month of emails on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clickhouse.store import connect
from dashboards.boards import BOARDS
from dashboards.panels import Board
from schemas.settings import Settings
from tests.dashboards.hours import insert_hours
from tests.dashboards.month import SHOWN_LEAD, insert_month
from tests.dashboards.test_browser import DRAWN, FAILED, app_of
from tests.support.axe import AXE, MISSING, serious
from tests.support.browser import CHROMIUM, Browser, Page, chromium
from tests.support.served import served

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(not AXE.exists(), reason=MISSING),
]

PHONE: dict[str, Any] = {"width": 390, "height": 844, "phone": True}
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
_PERIOD = f"since={NOW - timedelta(days=28):%Y-%m-%d}&until={NOW + timedelta(days=1):%Y-%m-%d}&timezone=UTC"
_CHOSEN = {
    "campaign": "&campaign=spring-launch",
    "recipients": "&campaign=spring-launch&step=2&outcome=replied",
    "lead": f"&lead={SHOWN_LEAD}",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(own_database: Settings) -> Iterator[str]:
    with connect(own_database) as client:
        insert_month(client, NOW)
        insert_hours(client, NOW)
    with served(app_of(own_database)) as url:
        yield url


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_axe_finds_nothing_serious_on_a_board(page: Page, url: str, board: Board) -> None:
    page.open(f"{url}/?{_PERIOD}&board={board.key}{_CHOSEN.get(board.key, '')}")
    page.wait(f"document.querySelector('#title').innerText === '{board.title}' && {DRAWN}")
    assert page.value(FAILED) == []
    assert page.value("document.querySelectorAll('.card').length") == len(board.panels)
    found = []
    for name in ("light", "dark", "phone"):
        page.look(dark=name == "dark", **PHONE if name == "phone" else {})
        found += [f"{name}: {one}" for one in serious(page)]
    assert found == [], "\n".join(found)


def test_axe_finds_what_is_wrong(page: Page, url: str) -> None:
    page.open(f"{url}/?{_PERIOD}&board=overview")
    page.wait(DRAWN)
    page.value("document.querySelector('#theme').replaceWith(document.createElement('button'))")
    page.value("document.querySelector('h1').style.color = 'color-mix(in srgb, currentcolor 20%, transparent)'")
    assert {one.partition(":")[0] for one in serious(page)} == {"button-name", "color-contrast"}


def test_axe_finds_nothing_serious_on_the_form_to_log_in(page: Page, own_database: Settings, tmp_path: Path) -> None:
    locked = own_database.model_copy(update={"api_key": "a key that somebody made up", "data_dir": tmp_path})
    with served(app_of(locked)) as url:
        for more in ({}, {"dark": True}, PHONE):
            page.look(**more)
            page.open(f"{url}/login")
            page.wait("document.readyState === 'complete' && document.querySelector('input[type=password]')")
            assert serious(page) == []
