"""The page with a month of emails on it: every board by axe's rules, in light, in dark and on a phone, and what only so
many emails show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
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

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
with_axe = pytest.mark.skipif(not AXE.exists(), reason=MISSING)

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


def opened(page: Page, url: str, board: str, more: str = "") -> None:
    page.open(f"{url}/?{_PERIOD}&board={board}{more}")
    page.wait(f"document.querySelector('#board').dataset.board === '{board}' && {DRAWN}")


def column(page: Page, panel: str, title: str) -> list[str]:
    """What a column of a table shows, from the top; nothing where it is not shown."""
    place = f"[...document.querySelectorAll('#panel-{panel} thead th')].findIndex((th) => th.checkVisibility() && th.innerText === '{title}')"
    found: list[str] = page.value(
        f"[...document.querySelectorAll('#panel-{panel} tbody tr')].map((row) => row.cells[{place}]?.innerText ?? '')"
    )
    return found


def test_a_test_stays_together_where_its_table_is_cut_and_however_it_is_sorted(page: Page, url: str) -> None:
    opened(page, url, "ab")
    tests = list(zip(column(page, "replies", "Campaign"), column(page, "replies", "Step"), strict=True))
    assert len(tests) == 12  # not 10, of which the last would be a baseline without what is compared with it
    page.click("#panel-replies thead button[data-tip^='How often chance']")
    page.wait("document.querySelector('#panel-replies th[aria-sort]')")
    again = list(zip(column(page, "replies", "Campaign"), column(page, "replies", "Step"), strict=True))
    assert again != tests
    assert [test for test, _ in groupby(again)] == list(dict.fromkeys(again))
    variants = column(page, "replies", "Variant")
    assert [variants[at] for at in range(12) if at == 0 or again[at] != again[at - 1]] == ["A"] * 5


def test_where_one_campaign_is_chosen_no_column_says_which(page: Page, url: str) -> None:
    opened(page, url, "ab")
    assert set(column(page, "replies", "Campaign")) == {"Spring launch", "Webinar follow-up"}
    opened(page, url, "ab", "&campaign=spring-launch")
    assert set(column(page, "replies", "Campaign")) == {""}
    opened(page, url, "overview", "&campaign=spring-launch")
    assert column(page, "campaigns", "Campaign") == ["Spring launch"]


def test_a_bounced_for_one_reason_says_how_many_and_no_share_of_itself(page: Page, url: str) -> None:
    opened(page, url, "deliverability")
    assert "100" not in page.text("#panel-categories tbody")
    shares = [float(text.rstrip("%")) for text in column(page, "refused-by-provider", "Refused")]
    assert shares == sorted(shares, reverse=True)
    page.click("#panel-health-over-time .numbers summary")
    page.wait("document.querySelectorAll('#panel-health-over-time tbody tr').length > 9")
    assert "winback@example.net" in column(page, "health-over-time", "Lowest is of")


def test_a_mark_says_its_words_whole_or_not_at_all(page: Page, url: str) -> None:
    opened(page, url, "overview")
    marks = "echarts.getInstanceByDom(document.querySelector('#panel-activity .chart')).getOption().series.find(({name}) => name === 'marks').markLine.data"
    said = page.value(f"{marks}.map(({{label}}) => label.formatter)")
    assert len(said) >= 5
    for words in filter(None, said):
        assert words == "Dormant accounts resumed" or words.startswith("Dormant accounts paused"), words
        assert not words.endswith(("…", "..."))
    styles = page.value(f"{marks}.map(({{lineStyle}}) => lineStyle?.type ?? '')")
    assert {"solid", ""} <= set(styles)


@with_axe
@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_axe_finds_nothing_serious_on_a_board(page: Page, url: str, board: Board) -> None:
    opened(page, url, board.key, _CHOSEN.get(board.key, ""))
    assert page.value(FAILED) == []
    assert page.value("document.querySelectorAll('.card').length") == len(board.panels)
    found = []
    for name in ("light", "dark", "phone"):
        page.look(dark=name == "dark", **PHONE if name == "phone" else {})
        found += [f"{name}: {one}" for one in serious(page)]
    assert found == [], "\n".join(found)


@with_axe
def test_axe_finds_what_is_wrong(page: Page, url: str) -> None:
    opened(page, url, "overview")
    page.value("document.querySelector('#theme').replaceWith(document.createElement('button'))")
    page.value("document.querySelector('h1').style.color = 'color-mix(in srgb, currentcolor 20%, transparent)'")
    assert {one.partition(":")[0] for one in serious(page)} == {"button-name", "color-contrast"}


@with_axe
def test_axe_finds_nothing_serious_on_the_form_to_log_in(page: Page, own_database: Settings, tmp_path: Path) -> None:
    locked = own_database.model_copy(update={"api_key": "a key that somebody made up", "data_dir": tmp_path})
    with served(app_of(locked)) as url:
        for more in ({}, {"dark": True}, PHONE):
            page.look(**more)
            page.open(f"{url}/login")
            page.wait("document.readyState === 'complete' && document.querySelector('input[type=password]')")
            assert serious(page) == []
