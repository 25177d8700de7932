"""The page at a keyboard, and two campaigns side by side on it: in headless Chromium, against a real database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashboards.boards import BOARDS
from schemas.settings import Settings
from tests.dashboards.legible import faint
from tests.dashboards.test_browser import DRAWN, FAILED, WEEK, app_of, card
from tests.support.browser import CHROMIUM, Browser, Page, chromium
from tests.support.served import served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(full: Settings) -> Iterator[str]:
    with served(app_of(full)) as url:
        yield url


def tabbed(page: Page, panel: str) -> str:
    """Where the first link within a panel's table leads that Tab comes to from the table's heading on."""
    page.value(f"document.querySelector('#panel-{panel} .scroll').focus()")
    for _ in range(30):
        page.press("Tab")
        if page.value(f"document.activeElement.matches('#panel-{panel} tbody a')"):
            return str(page.value("document.activeElement.search"))
    raise AssertionError(f"Tab comes to no link of {panel}")


def test_at_a_keyboard_a_row_leads_to_its_leads_timeline(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK + "&board=campaign&campaign=spring")
    page.wait(DRAWN)
    assert "outcome=clicked" in tabbed(page, "links")
    page.press("Enter")
    page.wait("document.querySelectorAll('#panel-recipients tbody tr').length === 9")
    assert "board=lead&" in tabbed(page, "recipients")
    page.press("Enter")
    page.wait("document.querySelector('h1').innerText === 'Lead timeline'")
    page.wait("document.querySelectorAll('.event').length > 0")


def test_the_first_table_of_a_board_is_reached_within_ten_stops_of_tab(page: Page, url: str) -> None:
    """From the top: to the way past everything, into the table, past its headings to the first row that leads on."""
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    page.value("document.body.focus()")
    page.press("Tab")
    page.press("Tab")
    assert page.value("document.activeElement.innerText") == "Skip to the table Campaigns"
    page.press("Enter")
    page.wait("document.activeElement.matches('#panel-campaigns .scroll')")
    page.press("ArrowDown")
    assert "campaign=spring" in str(page.value("document.activeElement.search"))
    page.click('#boards a[data-board="pipeline"]')
    page.wait(f"document.querySelector('h1').innerText === 'Pipeline' && {DRAWN}")
    table = page.value("document.querySelector('.card.table h2').innerText")
    assert page.value("document.querySelector('#to-table').textContent") == f"Skip to the table {table}"


def test_every_row_with_a_link_has_one_that_tab_comes_to(page: Page, url: str) -> None:
    for board in BOARDS:
        page.open(f"{url}/{WEEK}&board={board.key}&lead=lead-0")
        page.wait(f"document.querySelector('#title').innerText === '{board.title}' && {DRAWN}")
        rows = "[...document.querySelectorAll('.table tbody tr')].filter((row) => row.querySelector('a'))"
        assert (
            page.value(f"{rows}.filter((row) => ![...row.querySelectorAll('a')].some((a) => a.tabIndex >= 0)).length")
            == 0
        )


def test_another_campaign_stands_beside_the_one_that_is_chosen(page: Page, url: str) -> None:
    """Owner's pick: 10 delivered, of which people opened 5 and clicked in 1."""
    page.open(url + "/" + WEEK + "&board=campaign&campaign=spring")
    page.wait(DRAWN)
    page.value(
        "{const c = document.querySelector('#compare'); c.value = \"campaign:owner's pick\"; c.dispatchEvent(new Event('change'))}"
    )
    page.wait("document.querySelector('#panel-click-rate .beside')?.innerText === \"Owner's pick: 10.0%, 1 of 10\"")
    assert "▲ +15.0 pp" in card(page, "click-rate")
    assert "▼ -10.0 pp" in card(page, "delivery-rate").replace("−", "-")
    assert "Owner's pick: 10" in card(page, "sent")
    label = "document.querySelector('#panel-activity [role=img]').ariaLabel"
    assert "Dashed lines are Owner's pick: Sent 10, Opened 5, Clicked 1" in page.value(label)
    for dark in (False, True):
        page.look(dark=dark)
        assert faint(page) == []
    # On a board without campaigns it is the period before again.
    page.click('#boards a[data-board="pipeline"]')
    page.wait(f"document.querySelector('h1').innerText === 'Pipeline' && {DRAWN}")
    assert page.value(FAILED) == []
    assert page.value("[...document.querySelectorAll('.beside')].every((one) => one.hidden)")
