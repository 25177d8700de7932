"""A report is the Overview of a day or a week: its numbers are those of the events, its charts show them, and mail
clients of any width can read it."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from functools import partial
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from clickhouse.store import connect, insert_lines
from dashboards.panels import Color
from dashboards.report.report_charts import Chart, activity, funnel
from dashboards.report.report_html import html
from dashboards.report.report_mail import report_id, written
from dashboards.report.report_numbers import Report, ask
from dashboards.report.report_period import holding, last_ended
from schemas.events import lines
from schemas.settings import Settings
from tests.dashboards.data import Email
from tests.support.browser import CHROMIUM, Browser, chromium

WEEK = holding(date(2026, 3, 4), "weekly", "UTC")
NOW = datetime(2026, 3, 9, 7, tzinfo=UTC)


def report(settings: Settings, rhythm: str = "weekly", day: date = date(2026, 3, 4), timezone: str = "UTC") -> Report:
    period = holding(day, rhythm, timezone)  # type: ignore[arg-type]
    return asyncio.run(ask(partial(connect, settings), period))


@pytest.fixture(scope="module")
def week(full: Settings) -> Report:
    """The known week's report."""
    return report(full)


def mail(settings: Settings, of: Report) -> EmailMessage:
    """As the mail server gets it, parsed again."""
    raw = written(of, settings, "sendlens@bounces.example.com", "ops@example.com", NOW).as_bytes(
        policy=email.policy.SMTP
    )
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322, 2.1.1"
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(of: EmailMessage, kind: str) -> str:
    body = of.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def pictures(of: EmailMessage) -> dict[str, bytes]:
    found = [one for one in of.walk() if one.get_content_type() == "image/png"]
    return {one["Content-ID"].strip("<>"): one.get_payload(decode=True) for one in found}


def test_the_numbers_are_those_of_the_events_with_the_change_against_the_week_before(
    full: Settings, week: Report
) -> None:
    text = part(mail(full, week), "plain").splitlines()
    # 50 sent, 46 delivered, 23 opened, 10 clicked, 4 replied; the week before 20 sent and delivered, 5 opened.
    for line in (
        "Sendlens, weekly report: 2 to 8 March 2026 (UTC)",
        "Emails sent: 50; 20 the week before; +150%",
        "Reply rate: 8.7%; Raw 10.9%; 4 of 46 delivered; +8.7 pp",
        "Open rate: 50.0%; Raw 78.3%; 23 of 46 delivered with a pixel; +25.0 pp",
        "Click rate: 21.7%; Raw 28.3%; 10 of 46 delivered with links; +21.7 pp",
        "Delivered: 92.0%; 46 of 50 sent; −8.0 pp",
        "Hard bounces: 4.0%; 2% or more; 2 of 50 sent; +4.0 pp",
        "Unsubscribe rate: 6.5%; 3 of 46 delivered; +6.5 pp",
        "Activity: 50 sent, 23 opened, 10 clicked, 4 replied, 3 unsubscribed",
        "  Spring sale: sent 40, reply rate 11.1%, open rate 50.0%, click rate 25.0%, hard bounces 5.0%",
        "  Owner's pick (paused): sent 10, reply rate 0.0%, open rate 50.0%, click rate 10.0%, hard bounces 0.0%",
    ):
        assert line in text


def test_html_and_text_say_the_same(full: Settings, week: Report) -> None:
    made = week
    page = part(mail(full, made), "html")
    for card in made.cards:
        for word in filter(None, (card.title, card.value, card.counts, card.moved)):
            assert word in page, card
    assert "Owner&#x27;s pick" in page
    assert "since=2026-03-02T00%3A00%3A00%2B00%3A00&amp;until=2026-03-09T00%3A00%3A00%2B00%3A00" in page


def test_a_day_is_one_of_its_timezone(full: Settings) -> None:
    text = part(mail(full, report(full, "daily", date(2026, 3, 2), "Europe/Paris")), "plain")
    assert "daily report: Monday, 2 March 2026 (Europe/Paris)" in text
    assert "Emails sent: 40; 0 the day before\n" in text
    # 18:00 in Paris is already the next day in Auckland.
    assert "Emails sent: 40" in part(mail(full, report(full, "daily", date(2026, 3, 2), "Pacific/Auckland")), "plain")
    assert "Emails sent: 10" in part(mail(full, report(full, "daily", date(2026, 3, 5), "Pacific/Auckland")), "plain")


def test_a_week_without_emails_says_so_and_has_no_charts(empty: Settings) -> None:
    made = mail(empty, report(empty, day=date(2025, 1, 1)))
    assert "Emails sent: 0; No emails sent\n" in part(made, "plain")
    assert "Reply rate: –; Raw –; No emails delivered\n" in part(made, "plain")
    assert pictures(made) == {}
    assert "cid:" not in part(made, "html")


def test_what_is_not_tracked_is_called_so(empty: Settings) -> None:
    with connect(empty) as client:
        for n in range(3):
            one = Email("plain", 1, "A", f"lead-{n}", datetime(2024, 5, 6, 9, tzinfo=UTC) + timedelta(minutes=n))
            sent = msgspec.structs.replace(one.sent(), pixel=False, wrapped_links=0)
            insert_lines(client, "events", lines([sent, one.delivered()]))
    text = part(mail(empty, report(empty, day=date(2024, 5, 6))), "plain")
    assert "Open rate: –; Raw –; Not tracked: none delivered with a pixel\n" in text
    assert "Click rate: –; Raw –; Not tracked: none delivered with links\n" in text
    assert "  plain: sent 3, reply rate 0.0%, open rate not tracked, click rate not tracked, hard bounces 0.0%" in text


def test_the_email_is_html_with_its_pictures_and_text(full: Settings, week: Report) -> None:
    made = mail(full, week)
    kinds = [one.get_content_type() for one in made.walk()]
    related = ["multipart/related", "text/html", "image/png", "image/png"]
    assert kinds == ["multipart/alternative", "text/plain", *related]
    assert made["Subject"] == "2 to 8 March 2026: 50 sent, reply rate 8.7%"
    assert made["Message-ID"] == f"<{report_id(WEEK, 'ops@example.com')}@bounces.example.com>"
    assert made["Auto-Submitted"] == "auto-generated"
    page = part(made, "html")
    assert sorted(pictures(made)) == ["activity", "funnel"]
    assert all(f'src="cid:{name}"' in page for name in pictures(made))


def colored(picture: Image.Image, color: Color, left: float = 0, right: float = 1) -> int:
    """How many pixels of the part have that colour, or nearly."""
    area = picture.convert("RGB").crop((int(picture.width * left), 60, int(picture.width * right), picture.height))
    wanted = tuple(bytes.fromhex(color[1:]))
    colors = area.getcolors(area.width * area.height) or []
    return sum(n for n, found in colors if sum(abs(a - b) for a, b in zip(found, wanted, strict=True)) < 24)  # type: ignore[arg-type]


def test_the_pictures_show_what_they_are_of(full: Settings, week: Report) -> None:
    drawn = {name: Image.open(BytesIO(png)) for name, png in pictures(mail(full, week)).items()}
    assert {picture.width for picture in drawn.values()} == {1120}, "twice what is shown"
    chart = drawn["activity"]
    # Sent on Monday and Wednesday alone: grey columns in the first and the third seventh of the plot.
    columns = [colored(chart, Color.GREY, 0.1 + 0.9 * n / 7, 0.1 + 0.9 * (n + 1) / 7) for n in range(7)]
    assert columns[0] > 3 * columns[2] > 1000
    assert max(columns[1], *columns[3:]) < 100
    bars = drawn["funnel"].convert("RGB")
    blue = tuple(bytes.fromhex(Color.BLUE[1:]))
    lengths = []
    for n in range(5):
        middle = (4 + 38 * n + (14 if n < 2 else 11)) * 2
        row = [bars.getpixel((x, middle)) for x in range(180, 720)]
        lengths.append(
            sum(1 for pixel in row if pixel == blue or sum(abs(a - b) for a, b in zip(pixel, blue, strict=True)) < 24)
        )  # type: ignore[arg-type]
    whole = lengths[0]
    assert [round(50 * length / whole) for length in lengths] == [50, 46, 23, 10, 4]


def test_a_chart_of_any_size_has_room_for_it() -> None:
    hours = [
        {"time": f"2026-03-02T{n:02}:00:00+00:00"}
        | dict.fromkeys(("sent", "opened", "clicked", "replied", "unsubscribed"), n)
        for n in range(24)
    ]
    for factor in (1, 7, 12_345, 9_999_999):
        rows = [
            {name: value * factor if isinstance(value, int) else value for name, value in row.items()} for row in hours
        ]
        chart = activity(rows, "UTC")
        assert isinstance(chart, Chart)
        Image.open(BytesIO(chart.png)).verify()
    assert activity([hours[0]], "UTC") is None
    assert funnel([]) is None


def test_names_are_text_and_never_markup(week: Report) -> None:
    made = week
    evil = [dict(row, campaign_name="<img src=x onerror=alert(1)>", campaign_id='a&b"') for row in made.campaigns]
    page = html(replace(made, campaigns=evil), {}, "https://t.example.com")
    assert "<img" not in page
    assert "campaign=a%26b%22" in page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(("width", "phone"), [(700, False), (360, True), (320, True)])
def test_it_is_read_on_a_screen_of_any_width(
    browser: Browser, full: Settings, week: Report, tmp_path: Path, width: int, phone: bool
) -> None:
    made = mail(full, week)
    page = part(made, "html")
    for name, png in pictures(made).items():
        page = page.replace(f"cid:{name}", "data:image/png;base64," + base64.b64encode(png).decode())
    (tmp_path / "report.html").write_text(page)
    tab = browser.page()
    try:
        tab.look(width=width, height=900, phone=phone)
        tab.open((tmp_path / "report.html").as_uri())
        tab.wait("document.readyState === 'complete' && document.images.length === 2")
        assert tab.value("document.documentElement.scrollWidth") == width
        assert tab.value("[...document.images].every((one) => one.naturalWidth === 1120 && one.alt)")
        assert tab.value("[...document.images].every((one) => one.getBoundingClientRect().right <= innerWidth)")
        assert [one for one in tab.requests if not one.startswith(("file:", "data:"))] == []
        assert tab.errors == []
    finally:
        tab.close()


def test_weeks_begin_on_monday_and_follow_the_clocks_of_their_timezone() -> None:
    week = last_ended(datetime(2026, 4, 1, tzinfo=UTC), "weekly", "Europe/Paris")
    assert (week.since, week.until) == (
        datetime(2026, 3, 22, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),  # an hour shorter: summer time began
    )
    assert week.title == "23 to 29 March 2026"
    assert week.before.until == week.since
    assert holding(date(2026, 1, 1), "weekly", "UTC").title == "29 December 2025 to 4 January 2026"
    assert (
        last_ended(datetime(2026, 3, 9, 0, 30, tzinfo=UTC), "daily", "America/New_York").title
        == "Saturday, 7 March 2026"
    )
