"""Every kind of panel, every unit, variables, marks and the ways between boards, in headless Chromium on real answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from clickhouse.store import connect, insert_lines
from dashboards.page.page import router
from schemas.events import lines
from schemas.settings import Settings
from tests.dashboards.data import insert_known_week
from tests.dashboards.kinds import OFFERED, pauses
from tests.dashboards.legible import faint, unnamed
from tests.support.browser import CHROMIUM, Browser, Page, chromium
from tests.support.served import served

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")

WEEK = "since=2026-03-02T00:00:00Z&until=2026-03-09T00:00:00Z"
DRAWN = "document.querySelector('#board').getAttribute('aria-busy') === 'false'"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def kinds(own_database: Settings) -> Settings:
    with connect(own_database) as client:
        insert_known_week(client)
        insert_lines(client, "events", lines(pauses()))
    return own_database


@pytest.fixture(scope="module")
def url(kinds: Settings) -> Iterator[str]:
    with served(app_of(kinds)) as url:
        yield url


def app_of(settings: Settings) -> FastAPI:
    app = FastAPI()
    app.include_router(router(settings, offered=OFFERED))
    return app


@pytest.fixture(scope="module")
def tab(browser: Browser, url: str) -> Page:
    """A page to ask its modules."""
    page = browser.page()
    page.open(f"{url}/?board=machine")
    page.wait(DRAWN)
    return page


def opened(page: Page, url: str, query: str) -> None:
    page.open(f"{url}/?{WEEK}&{query}")
    page.wait(DRAWN)


def card(page: Page, key: str) -> str:
    return page.text(f"#panel-{key}")


def asked(page: Page, name: str) -> list[str]:
    values = page.value(f"new URLSearchParams(location.search).getAll('{name}')")
    assert isinstance(values, list)
    return values


def test_amounts_are_written_in_their_units(page: Page, url: str) -> None:
    opened(page, url, "board=kinds&timezone=Asia/Tokyo")
    assert "3 h 12 min" in card(page, "delay")
    assert "4.2 ms" in card(page, "latency")
    assert "3 GiB" in card(page, "spooled")
    assert "12.3/s" in card(page, "pace")
    assert "5 Mar 2026, 00:09" in card(page, "last")  # 4 March, 15:09 in UTC
    assert "Emails ? 50" in card(page, "emails")
    assert "lead-0 5 Mar 2026, 00:00 2 bot" in card(page, "leads")


def test_a_series_says_its_units_and_its_marks_to_those_who_cannot_see_it(page: Page, url: str) -> None:
    opened(page, url, "board=kinds&timezone=UTC")
    label = page.value("document.querySelector('#panel-days [role=img]').getAttribute('aria-label')")
    assert label.startswith(
        "Days per day, in all: Sent 50, Open rate 50.0% at last, 50.0% at most. 2 moments are marked."
    )
    label = page.value("document.querySelector('#panel-waits [role=img]').getAttribute('aria-label')")
    assert "Time to open 15 min" not in label
    assert "/s at last" in label
    page.click("#panel-days summary")
    page.wait("document.querySelectorAll('#panel-days .numbers tbody tr').length === 5")
    numbers = card(page, "days")
    assert "Wed, 4 Mar 2026 10 50.0%" in numbers
    assert "4 Mar 2026, 21:00 spring paused: 2 of 40 bounced" in numbers
    assert "5 Mar 2026, 15:00 spring resumed" in numbers


def test_a_histogram_and_a_heatmap_have_their_numbers_as_tables(page: Page, url: str) -> None:
    opened(page, url, "board=kinds&timezone=UTC")
    page.click("#panel-delays summary")
    page.wait("document.querySelectorAll('#panel-delays tbody tr').length === 3")
    assert "under 1 h 0 1 h and more 23 over 1 day 0" in card(page, "delays")
    monday = "[...document.querySelectorAll('#panel-hours tbody tr')].find((row) => row.innerText.includes('Monday'))"
    assert page.value(f"{monday}.cells.length") == 25
    assert page.value(f"{monday}.cells[11].innerText.trim().split(/\\s+/)[0]") == "18"  # opened at 10
    assert page.value(f"{monday}.cells[11].className") == "shade-6"
    assert page.value(f"{monday}.cells[12].className") == "shade-0"
    page.value(f"{monday}.cells[11].dispatchEvent(new MouseEvent('mouseover', {{bubbles: true}}))")
    assert page.text("#tip") == "Monday, hour 10: 18"
    assert page.value("document.querySelectorAll('#panel-hours thead th')[10].innerText").split() == ["Hour", "10"]


def test_a_story_is_a_list_by_day_newest_first_with_verdicts_and_reasons(page: Page, url: str) -> None:
    opened(page, url, "board=story&lead=lead-0&timezone=UTC")
    days = page.value("[...document.querySelectorAll('#panel-story h3')].map((day) => day.innerText)")
    assert days == [
        "Wednesday, 4 March 2026",
        "Tuesday, 3 March 2026",
        "Monday, 2 March 2026",
        "Tuesday, 24 February 2026",
    ]
    assert page.value("document.querySelector('#panel-story ol.days > li ol.events > li') !== null")
    story = card(page, "story")
    assert "09:00:01 open bot too-quick Campaign spring Step 1" in story
    assert "10:01:00 click human browser" in story
    opened(page, url, "board=story&lead=nobody&timezone=UTC")
    assert "No story in this period" in page.text("#notice")
    assert "Check the lead that you typed: nobody." in page.text("#notice")


def test_a_lead_that_was_not_named_is_asked_for(page: Page, url: str) -> None:
    opened(page, url, "board=story&timezone=UTC")
    assert "Name a lead" in page.text("#notice")
    assert page.value("document.querySelector('#panel-story').checkVisibility()") is False
    page.value("document.querySelector('#ask').focus()")
    page.send("Input.insertText", text="lead-3")
    page.press("Enter")
    page.wait("document.querySelector('#panel-story').innerText.includes('sent')")
    assert asked(page, "lead") == ["lead-3"]
    assert page.value("document.querySelector('#choose-lead').value") == "lead-3"
    page.value("document.querySelector('#choose-lead').value = 'lead-5'")
    page.click(".typed button")
    page.wait("new URLSearchParams(location.search).get('lead') === 'lead-5'")


def test_steps_and_senders_are_chosen_like_campaigns(page: Page, url: str) -> None:
    opened(page, url, "board=kinds&timezone=UTC")
    page.click("#choose-step summary")
    assert page.text("#choose-step .options") == "Step 0 Step 1 Step 2"
    page.click("#choose-step input[value='2']")
    page.wait("document.querySelector('#panel-emails .value').innerText === '10'")
    assert asked(page, "step") == ["2"]
    assert page.text("#choose-step summary") == "Step: Step 2"
    page.click("#choose-step input[value='1']")
    page.wait("document.querySelector('#panel-emails .value').innerText === '50'")
    assert page.text("#choose-step summary") == "Step: 2 steps"
    page.click("#choose-sender summary")
    page.click("#choose-sender .options input")
    page.wait("new URLSearchParams(location.search).get('sender') === 'news@example.com'")
    page.value("document.querySelector('#choose-step button').click()")
    page.wait("!location.search.includes('step')")
    assert page.text("#choose-step summary") == "Step: All steps"


def test_boards_keep_the_period_and_the_choices_they_know(page: Page, url: str) -> None:
    opened(page, url, "board=kinds&timezone=UTC&campaign=spring&step=1")
    page.click("[data-board=overview]")
    page.wait("document.querySelector('#panel-sent .value')?.innerText === '40'")
    assert (asked(page, "campaign"), asked(page, "step")) == (["spring"], [])
    assert page.value("document.title") == "Overview · Sendlens"
    assert page.value("document.querySelector('[aria-current=page]').dataset.board") == "overview"
    page.click("[data-board=machine]")
    page.wait("document.querySelector('#panel-backlog')")
    assert asked(page, "campaign") == []
    assert page.value("document.querySelectorAll('#variables *').length") == 0
    page.click("[data-board=kinds]")  # which knows both, and gets them back
    page.wait("document.querySelector('#panel-emails .value')?.innerText === '40'")
    assert (asked(page, "campaign"), asked(page, "step")) == (["spring"], ["1"])
    assert asked(page, "since") == ["2026-03-02T00:00:00Z"]
    page.value("history.go(-2)")
    page.wait("document.querySelector('#panel-sent .value')?.innerText === '40'")
    assert page.text("#title") == "Overview"
    assert not page.value("document.querySelector('#panel-emails')")


def test_a_row_leads_to_another_board(page: Page, url: str) -> None:
    opened(page, url, "board=kinds&timezone=UTC&campaign=spring")
    page.click("#panel-leads a[data-row='lead-4']")
    page.wait("document.querySelector('#panel-story')?.innerText.includes('click')")
    assert (asked(page, "board"), asked(page, "lead")) == (["story"], ["lead-4"])
    assert page.value("document.activeElement.id") == "title"  # what was focused is gone
    page.value("history.back()")
    page.wait("document.querySelector('#panel-leads a')")
    assert page.text("#choose-campaign summary") == "Campaign: Spring sale"


def test_the_keyboard_goes_from_board_to_board(page: Page, url: str) -> None:
    opened(page, url, "board=kinds&timezone=UTC")
    page.value("document.querySelector('[data-board=kinds]').focus()")
    page.press("ArrowRight")
    page.press("Enter")
    page.wait("document.querySelector('#title').innerText === 'Story' && " + DRAWN)
    assert page.value("document.activeElement.dataset.board") == "story"
    order = []
    for _ in range(7):
        page.press("Tab")
        order.append(
            page.value(
                "document.activeElement.id || document.activeElement.dataset.board || document.activeElement.tagName"
            )
        )
    assert order == ["machine", "live", "theme", "timezone", "range", "compare", "since"]


def test_a_board_of_the_machine_shows_before_any_email_was_sent(page: Page, empty: Settings) -> None:
    with served(app_of(empty)) as url:
        opened(page, url, "board=machine&timezone=UTC")
        assert "judge 3" in card(page, "backlog")
        opened(page, url, "board=kinds&timezone=UTC")
        assert "No emails yet" in page.text("#notice")


def test_a_board_with_nothing_in_the_period_says_what_to_do(page: Page, url: str) -> None:
    page.open(f"{url}/?board=kinds&since=2020-01-01&until=2020-01-08&timezone=UTC&campaign=spring&step=1")
    page.wait(DRAWN)
    page.wait("document.querySelector('#panel-hours').innerText.includes('No hours')")
    assert "No days" in card(page, "days")
    assert "No leads" in card(page, "leads")


def test_times_are_those_of_the_chosen_timezone(page: Page, url: str) -> None:
    opened(page, url, "board=kinds&timezone=America/New_York")
    assert page.text("#subtitle") == "1 Mar 2026, 19:00 to 8 Mar 2026, 20:00"
    assert page.value("document.querySelector('#since').value") == "2026-03-01 19:00"
    page.value("{const z = document.querySelector('#timezone'); z.value = 'UTC'; z.dispatchEvent(new Event('change'))}")
    page.wait("document.querySelector('#subtitle').innerText.startsWith('2 Mar 2026, 00:00')")
    page.value(
        "{document.querySelector('#since').value = '2026-03-04 00:00'; document.querySelector('#custom button').click()}"
    )
    page.wait("document.querySelector('#panel-emails .value').innerText === '10'")
    assert asked(page, "since") == ["2026-03-04T00:00:00.000Z"]


@pytest.mark.parametrize("board", ["kinds", "story&lead=lead-0", "overview", "machine"])
@pytest.mark.parametrize("dark", [False, True])
def test_all_text_stands_out_and_all_controls_have_names(page: Page, url: str, board: str, dark: bool) -> None:
    page.look(dark=dark)
    opened(page, url, f"board={board}&timezone=UTC")
    assert faint(page) == []
    assert unnamed(page) == []


@pytest.mark.parametrize("board", ["kinds", "story&lead=lead-0", "overview", "machine", "story"])
def test_a_phone_shows_it_without_scrolling_sideways(page: Page, url: str, board: str) -> None:
    page.look(width=390, height=844, phone=True)
    opened(page, url, f"board={board}&timezone=UTC")
    assert page.value("document.documentElement.scrollWidth") == 390
    too_wide = "[...document.querySelectorAll('.card, .top, .toolbar, .value, h2, .event, .notice')].filter((n) => n.getBoundingClientRect().right > innerWidth + 1).map((n) => n.className)"
    assert page.value(too_wide) == []


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (11520, "s", "3 h 12 min"),
        (3599.6, "s", "1 h"),
        (59.7, "s", "1 min"),
        (86399, "s", "1 d"),
        (90000, "s", "1 d 1 h"),
        (75, "s", "1 min 15 s"),
        (0.0042, "s", "4.2 ms"),
        (0, "s", "0 s"),
        (None, "s", "–"),
        (1023, "bytes", "1,023 B"),
        (1536, "bytes", "1.5 KiB"),
        (0.00053, "percentunit", "0.05%"),
        (0.5, "percentunit", "50.0%"),
        (1234.5, "cps", "1,235/s"),
        (0.0123, "cps", "0.0123/s"),
        ("", "string", "–"),
    ],
)
def test_numbers_are_written_as_people_read_them(tab: Page, value: object, unit: str, text: str) -> None:
    written = f"import('./static/format.js').then(({{value}}) => value({json.dumps(value)}, '{unit}'))"
    assert tab.value(written) == text


def test_a_mark_stands_within_the_step_it_happened_in(tab: Page) -> None:
    days = [{"time": f"2026-03-0{day}T00:00:00Z"} for day in (2, 3, 4)]
    marks = [
        {"time": f"2026-03-0{at}", "text": at} for at in ("1T23:59:00Z", "2T00:00:00Z", "4T18:00:00Z", "5T00:00:00Z")
    ]
    placed = tab.value(
        "import('./static/marks.js').then(({lines}) => "
        f"lines({json.dumps(marks)}, {json.dumps(days)}, 'time', 86400000).map(({{text, at}}) => [text, at]))"
    )
    assert placed == [["2T00:00:00Z", -0.5], ["4T18:00:00Z", 2.25]]


def test_a_moment_on_a_wall_is_the_moment_that_was_meant(tab: Page) -> None:
    for zone, text in (
        ("Europe/Paris", "2026-03-29T03:30"),
        ("America/New_York", "2026-11-01T12:00"),
        ("Asia/Kolkata", "2026-01-01T00:00"),
    ):
        back = f"import('./static/format.js').then(({{instant, wall}}) => wall(instant('{text}', '{zone}'), '{zone}'))"
        assert tab.value(back) == text


def test_an_unknown_board_says_so(browser: Browser, url: str) -> None:
    page = browser.page()
    page.open(f"{url}/?board=nonsense")
    page.wait(DRAWN)
    assert "There is no such board" in page.text("#notice")
    assert "Go to the Overview" in page.text("#notice")
    page.close()
