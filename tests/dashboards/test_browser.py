"""The page as people see it: in headless Chromium, against a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI

from clickhouse.store import connect, insert_lines
from dashboards.boards import BOARDS
from dashboards.page.page import router
from dashboards.panels import Board
from schemas.events import lines
from schemas.settings import Settings
from tests.dashboards.conftest import settings_for
from tests.dashboards.data import Email
from tests.dashboards.legible import faint, unnamed
from tests.support.browser import CHROMIUM, Browser, Page, chromium
from tests.support.processes import free_port
from tests.support.served import served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

WEEK = "?since=2026-03-02T00:00:00Z&until=2026-03-09T00:00:00Z&timezone=UTC"
SHOWN = (
    "[...document.querySelectorAll('.card')].filter((card) => card.checkVisibility()).map((card) => card.id.slice(6))"
)
FAILED = "[...document.querySelectorAll('.error')].filter((error) => error.checkVisibility()).map((error) => error.innerText)"
DRAWN = "document.querySelector('#board').getAttribute('aria-busy') === 'false'"


def app_of(settings: Settings) -> FastAPI:
    app = FastAPI()
    app.include_router(router(settings))
    return app


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url(full: Settings) -> Iterator[str]:
    with served(app_of(full)) as url:
        yield url


def card(page: Page, key: str) -> str:
    return page.text(f"#panel-{key}")


def test_the_numbers_of_the_known_week_are_on_the_page(page: Page, url: str, tmp_path: Path) -> None:
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    assert "50 20 in the 7 days before ▲ +150%" in card(page, "sent")
    assert "Human Raw 50.0% 78.3% 23 of 46 delivered" in card(page, "open-rate").replace(
        "Human 50.0% Raw 78.3%", "Human Raw 50.0% 78.3%"
    )
    assert "▲ +25.0 pp" in card(page, "open-rate")
    assert "10 of 46 delivered" in card(page, "click-rate")
    assert "4.0% 2% or more" in card(page, "hard-bounce-rate")
    assert "8 of 46 delivered" in card(page, "machine-open-rate")
    assert "14 of 61 hits" in card(page, "bot-share")
    assert "Opened 23 50.0% 36 78.3%" in card(page, "funnel")
    assert "Spring sale Active 40 36 11.1% 50.0% 25.0% 5.0% 5.6% 8.3% 2.5% 2.5%" in card(page, "campaigns")
    assert "Owner's pick Paused 10 10 0.0% 50.0%" in card(page, "campaigns")
    assert "too-quick bot 11 3 23.0%" in card(page, "reasons")
    assert page.value("document.querySelector('#panel-activity canvas').width") > 300
    page.picture(tmp_path / "overview.png")
    assert (tmp_path / "overview.png").stat().st_size > 50_000


def test_an_empty_database_says_what_to_do(page: Page, empty: Settings) -> None:
    with served(app_of(empty)) as url:
        page.open(url)
        page.wait(DRAWN)
        text = page.text("#board")
        assert "No emails yet" in text
        assert "POST /v1/sends" in text
        assert f"curl {url}/v1/sends" in text
        assert not page.value("document.querySelector('.card')")


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_every_board_shows_its_numbers(page: Page, url: str, board: Board) -> None:
    page.open(f"{url}/{WEEK}&board={board.key}&lead=lead-0")
    page.wait(DRAWN)
    assert page.text("#title") == board.title
    assert page.value(SHOWN) == [panel.key for panel in board.panels]
    assert page.value(FAILED) == []
    assert page.value("document.querySelectorAll('.canvas').length") == page.value(
        "document.querySelectorAll('canvas').length"
    )
    for dark in (False, True):
        page.look(dark=dark)
        assert faint(page) == []
    assert unnamed(page) == []
    page.look(width=390, height=844, phone=True)
    assert page.value("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_every_board_with_nothing_in_the_period_says_what_to_do(page: Page, url: str, board: Board) -> None:
    page.open(f"{url}/?since=2020-01-01&until=2020-01-08&timezone=UTC&board={board.key}")
    page.wait(DRAWN)
    assert page.value(FAILED) == []
    said = page.text("#notice")
    assert ("Choose a longer period" in said or "Name a lead" in said) is board.needs_emails


def test_before_the_first_email_every_board_says_how_to_send_one(page: Page, empty: Settings) -> None:
    with served(app_of(empty)) as url:
        for board in BOARDS:
            page.open(f"{url}/?board={board.key}")
            page.wait(f"document.querySelector('#title').innerText === '{board.title}' && {DRAWN}")
            assert page.value(FAILED) == []
            assert ("No emails yet" in page.text("#notice")) is board.needs_emails
            assert page.value("document.querySelectorAll('.card').length > 0") is not board.needs_emails


def test_a_period_without_emails_says_so_and_offers_a_longer_one(page: Page, url: str) -> None:
    page.open(url + "/?since=2020-01-01&until=2020-01-08&timezone=UTC")
    page.wait(DRAWN)
    assert "No emails were sent in this period" in page.text("#notice")
    assert "Nothing happened" in card(page, "activity")
    assert "– No emails delivered" in card(page, "open-rate").replace("Human – Raw –", "–").replace(
        "Human Raw – –", "–"
    )


def test_a_campaign_is_chosen_by_its_row_and_the_url_keeps_it(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    page.click('#panel-campaigns a[data-row="owner\'s pick"]')
    page.wait("document.querySelector('#panel-sent .value').innerText === '10'")
    assert page.value("new URLSearchParams(location.search).get('campaign')") == "owner's pick"
    assert page.text("#choose-campaign summary") == "Campaign: Owner's pick"
    page.value("history.back()")
    page.wait("document.querySelector('#panel-sent .value').innerText === '50'")
    page.click("#choose-campaign summary")
    page.click("#choose-campaign input[value='spring']")
    page.wait("document.querySelector('#panel-sent .value').innerText === '40'")
    page.open(str(page.value("location.href")))
    page.wait("document.querySelector('#panel-sent .value')?.innerText === '40'")


def test_a_period_is_chosen_from_the_list(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    assert page.value("document.querySelector('#range').value") == "custom"
    page.value(
        "{const r = document.querySelector('#range'); r.value = 'now-1h now'; r.dispatchEvent(new Event('change'))}"
    )
    page.wait("document.querySelector('#notice').innerText.includes('No emails were sent')")
    assert page.value("new URLSearchParams(location.search).get('since')") == "now-1h"


def test_the_numbers_move_by_themselves_and_names_stay_text(page: Page, own_database: Settings) -> None:
    name = "<img src=x onerror=alert(1)> & co"
    now = datetime.now(UTC)
    first, second = (Email("odd", 1, "", f"lead-{n}", now - timedelta(minutes=n)) for n in (1, 2))
    with connect(own_database) as client, served(app_of(own_database)) as url:
        client.insert("campaigns", [["odd", name, now]], column_names=["id", "name", "created_at"])
        insert_lines(client, "events", lines([first.sent(), first.delivered()]))
        page.open(url + "/?since=now-1h")
        page.wait("document.querySelector('#panel-sent .value')?.innerText === '1'")
        assert page.text("#panel-campaigns tbody th") == name
        page.value("document.querySelector('#panel-campaigns tbody a').focus()")
        insert_lines(client, "events", lines([second.sent(), second.delivered()]))
        page.wait("document.querySelector('#panel-sent .value').innerText === '2'")
        page.wait("document.querySelector('#panel-campaigns tbody').innerText.includes('2')")
        # Drawn anew, the table gives the focus back to the link that had it.
        assert page.value("document.activeElement.dataset.row") == "odd"
        page.click("#live")
        assert page.text("#live") == "Paused"


def test_a_phone_can_read_it(page: Page, url: str) -> None:
    page.look(width=360, height=740, phone=True)
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    assert page.value("document.documentElement.scrollWidth") == 360
    too_wide = "[...document.querySelectorAll('.card, .top, .figure, .value, h2')].filter((n) => n.getBoundingClientRect().right > innerWidth + 1).length"
    assert page.value(too_wide) == 0


def test_dark_follows_the_system_and_the_button_overrules_it(page: Page, url: str) -> None:
    page.look(dark=True)
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3"
    assert page.value(brightness) < 60
    assert page.value("document.querySelector('#theme').getAttribute('aria-label')") == "Switch to the light theme"
    page.click("#theme")
    assert page.value(brightness) > 200
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    assert page.value(brightness) > 200  # remembered
    page.value("localStorage.clear()")


def test_the_keyboard_reaches_definitions_and_sorts_tables(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    page.value("document.querySelector('#panel-open-rate .info').focus()")
    assert "sent minus bounced" in page.text("#tip")
    page.press("Escape")
    assert page.value("document.querySelector('#tip').hidden") is True
    page.press("Tab")
    assert page.value("document.activeElement.dataset.tip") == "List these emails"
    page.press("Tab")
    assert "What is Click rate?" in page.value("document.activeElement.getAttribute('aria-label')")
    sent = "document.querySelectorAll('#panel-campaigns thead button')[2]"
    page.value(f"{sent}.focus()")
    page.press("Enter")
    page.press("Enter")
    assert page.value(f"{sent}.closest('th').getAttribute('aria-sort')") == "ascending"
    assert page.text("#panel-campaigns tbody th") == "Owner's pick"


def test_charts_have_their_numbers_in_words_and_as_a_table(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    label = page.value("document.querySelector('#panel-activity [role=img]').getAttribute('aria-label')")
    assert label.startswith("Activity per day, in all: Sent 50, Opened 23, Clicked 10, Replied 4, Unsubscribed 3.")
    page.click("#panel-activity summary")
    page.wait("document.querySelectorAll('#panel-activity tbody tr').length === 7")
    assert "Mon 2 Mar 2026 40 18 9 4 0" in card(page, "activity").replace(",", "")
    unnamed = "[...document.querySelectorAll('button, select, input, a, summary')].filter((n) => n.checkVisibility() && !(n.innerText || n.getAttribute('aria-label') || n.labels?.length)).length"
    assert page.value(unnamed) == 0


def test_a_panel_that_fails_says_so_beside_those_that_do_not(page: Page, maimed: Settings) -> None:
    with served(app_of(maimed)) as url:
        page.open(url + "/" + WEEK)
        page.wait(DRAWN)
        assert "This number could not be had" in card(page, "campaigns")
        assert "23 of 46 delivered" in card(page, "open-rate")


def test_without_a_database_the_page_is_readable(browser: Browser) -> None:
    page = browser.page()
    with served(app_of(settings_for(f"http://127.0.0.1:{free_port()}", "full"))) as url:
        page.open(url)
        page.wait(DRAWN)
        text = page.text("#notice")
        assert "The database does not answer" in text
        assert "tries again by itself" in text
        assert "http" not in text
        assert "127.0.0.1" not in text
        # The way to the other boards stays.
        page.click('#boards a[data-board="robots"]')
        page.wait("document.querySelector('h1').innerText === 'Robots'")
        page.wait("document.querySelector('#notice').innerText.includes('does not answer')")
        assert page.value("document.querySelectorAll('#boards a').length") == len(BOARDS)
    assert all("503" in error for error in page.errors)
    page.close()


def test_a_number_of_a_campaign_leads_to_the_emails_behind_it_and_these_to_their_leads(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK + "&board=campaign&campaign=spring")
    page.wait(DRAWN)
    assert "18 of 36 delivered" in card(page, "open-rate")
    page.click("#panel-open-rate a.list")
    page.wait("document.querySelectorAll('#panel-recipients tbody tr').length === 18")
    assert "18" in card(page, "chosen")
    assert page.text("h1") == "Recipients"
    assert "Not opened 18 50.0%" in card(page, "without")
    page.click('#panel-without a[data-row="not_opened"]')
    page.wait("document.querySelector('#panel-recipients tbody th')?.innerText === 'lead-18'")
    assert page.value("document.querySelectorAll('#panel-recipients tbody tr').length") == 18
    assert page.value("[...document.querySelectorAll('#panel-recipients thead th')].filter((head) => head.checkVisibility()).map((head) => head.innerText)") == [
        "Lead", "Sent", "Step", "Variant", "Domain",
    ]  # fmt: skip
    page.click("#panel-recipients tbody a")
    page.wait(
        "document.querySelector('h1').innerText === 'Lead timeline' && document.querySelectorAll('.event').length > 0"
    )


def test_a_row_of_variants_and_a_link_lead_to_theirs(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK + "&board=campaign&campaign=spring")
    page.wait(DRAWN)
    rates = "[...document.querySelectorAll('#panel-variants tbody tr')].map((line) => line.cells[1].innerText)"
    assert page.value(rates) == ["A", "B"]
    page.value(
        "document.querySelectorAll('#panel-variants tbody tr')[1].querySelector('a[href*=\"outcome=opened\"]').click()"
    )
    page.wait("document.querySelectorAll('#panel-recipients tbody tr').length === 9")
    page.open(url + "/" + WEEK + "&board=campaign")
    page.wait(DRAWN)
    page.click("#panel-links tbody a.list")
    page.wait("document.querySelectorAll('#panel-recipients tbody tr').length === 9")
    assert "f" * 64 in page.value("location.search")


def test_the_arrow_keys_go_from_number_to_number_of_a_row(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK + "&board=campaign&campaign=spring")
    page.wait(DRAWN)
    page.value("document.querySelector('#panel-variants tbody a').focus()")
    page.press("ArrowRight")
    assert page.value("document.activeElement.closest('td').cellIndex") > 0
    assert "outcome=sent" in page.value("document.activeElement.search")
    page.press("ArrowLeft")
    assert page.value("document.activeElement.closest('th') !== null")


def test_what_is_shown_is_saved_as_csv(page: Page, url: str) -> None:
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    page.value("""(() => {
        window.saved = [];
        URL.createObjectURL = (blob) => (blob.text().then((text) => window.saved.push(text)), "#");
    })()""")
    page.click("#panel-campaigns .export summary")
    page.click("#panel-campaigns .export button")
    page.wait("window.saved.length === 1")
    head, first, *_ = page.value("window.saved[0]").splitlines()
    assert head.startswith("Campaign,State,Sent,Delivered,")
    assert first.startswith("Spring sale,Active,40,36,")
    page.click("#panel-campaigns .export summary")
    page.wait(
        "document.querySelector('#panel-campaigns .export a').href.includes('boards/overview/campaigns.csv?since=2026')"
    )


def test_another_period_is_drawn_beside_its_own(page: Page, url: str) -> None:
    """The week before has 20 emails of the Tuesday, whom 5 opened."""
    page.open(url + "/" + WEEK)
    page.wait(DRAWN)
    page.value(
        "{const c = document.querySelector('#compare'); c.value = 'weekdays'; c.dispatchEvent(new Event('change'))}"
    )
    page.wait(
        "document.querySelector('#panel-activity [role=img]').ariaLabel.includes('Dashed lines are the same weekdays before')"
    )
    label = page.value("document.querySelector('#panel-activity [role=img]').ariaLabel")
    assert "before: Sent 20, Opened 5, Clicked 0" in label
    assert "20 on the same weekdays before" in card(page, "sent")
    page.click("#panel-activity .numbers summary")
    page.wait("document.querySelectorAll('#panel-activity table').length > 1")
    assert "Tue 24 Feb 2026 20 5 0 0 0" in card(page, "activity").replace(",", "")
    page.value("{const c = document.querySelector('#compare'); c.value = 'year'; c.dispatchEvent(new Event('change'))}")
    page.wait("document.querySelector('#panel-activity [role=img]').ariaLabel.includes('a year before: Sent 0')")


def test_none_of_a_leads_emails_is_told_as_none_of_how_many(page: Page, url: str) -> None:
    page.open(f"{url}/?board=lead&lead=lead-0&since=2026-03-02&until=2026-03-09&timezone=UTC")
    page.wait(DRAWN)
    assert "0 of 3 delivered" in card(page, "replied")
