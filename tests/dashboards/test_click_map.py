"""The click map: its numbers are the emails', its links those that were wrapped, and hostile HTML does nothing in it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.ask import each
from clickhouse.store import connect, insert_lines
from dashboards.page.click_map.drawing import LinkClicks, draw
from decisions.sending.instrument import parts_of
from decisions.sending.utm import tags_of
from schemas.events import Campaign, Send, lines
from schemas.settings import Settings
from schemas.state.previews import Preview
from schemas.tokens import Keyring
from schemas.topics import PREVIEWS
from tests.dashboards.data import Email
from tests.dashboards.legible import faint, unnamed
from tests.dashboards.test_browser import DRAWN, app_of
from tests.support.browser import CHROMIUM, Browser, Page, chromium
from tests.support.served import served

KEYS = Keyring({1: b"a-key-of-the-click-map-tests-only"})
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
WEEK = "since=2026-03-02T00:00:00Z&until=2026-03-09T00:00:00Z&timezone=UTC"
VARIANT = f"{WEEK}&campaign=spring&step=1&variant=A"
UNTAGGED = Campaign(id="spring", name="Spring", created_at=NOW)
TAGGED = Campaign(id="spring", name="Spring", created_at=NOW, utm_source="news", utm_content="{step}-{variant}-{link}")
SHOP, DEMO, OLD = "https://example.com/shop?a=1&b=2", "https://example.com/demo", "https://example.com/old"
HTML = (
    '<html><head><title>Spring</title></head><body style="margin:20px;font-family:sans-serif">'
    '<p>Hello, <a href="https://example.com/shop?a=1&amp;b=2">the shop</a> is open.</p>'
    f"<p><a class=button href='{DEMO}' target=_blank>See the demo</a> "
    '<a href="mailto:help@example.com">Write</a> <a data-track="off" href="https://example.com/terms">Terms</a></p>'
    '<a href="{{unsubscribe_url}}">Unsubscribe</a> <a href="https://example.com/shop?a=1&amp;b=2">Shop again</a>'
    "</body></html>"
)


def hostile(port: int) -> str:
    """What would tell the server of that port that it was looked at, or reach our page."""
    there = f"http://127.0.0.1:{port}"
    return (
        "<script>parent.document.title = 'stolen'</script><img src=x onerror=\"parent.document.title='stolen'\">"
        f'<img src="{there}/pixel.gif"><link rel=stylesheet href="{there}/a.css">'
        f'<style>@import "{there}/b.css"; body {{ background: url({there}/c.png) }}</style>'
        f'<meta http-equiv=refresh content="0;url={there}/"><iframe src="{there}/d"></iframe>'
        f'<link rel=preconnect href="{there}"><LINK/rel=preload as=image href="{there}/f"><object data="{there}/g"></object>'
        f'<embed src="{there}/h"><video src="{there}/i" poster="{there}/j"></video><svg><image href="{there}/k"/></svg>'
        f'<form action="{there}/e"><button autofocus>Send</button></form><base href="{there}/">'
    )


GET = partial(httpx.get, timeout=60)


def clicks(link: str, clicked: int, share: float, link_id: str = "a") -> LinkClicks:
    return LinkClicks(link_id * 64, link, clicked, clicked + 1, share)


def sent(html: str, campaign: Campaign) -> list[str]:
    """Where the links lead that an email of this HTML wraps, in its order."""
    send = Send(
        **{
            "request_id": "1",
            "delivery_id": "0f4c8a2e-3f55-5b66-8d4c-2f2a5a0c1d11",
            "campaign": campaign.id,
            "step": 1,
        },
        **{"variant": "A", "lead": "ada", "to": "ada@example.com", "sender": "news@example.net", "subject": "Hello"},
        **{"html": html, "requested_at": NOW},
    )  # type: ignore[arg-type]
    made = parts_of(
        send, KEYS, public_url="https://t.example", envelope_domain="b.example", minted_at=NOW,
        utm=tags_of(campaign, 1, "A"),
    )  # fmt: skip
    return [link.url for link in made.links]


@pytest.mark.parametrize("campaign", [TAGGED, UNTAGGED])
def test_the_links_are_those_that_emails_wrap(campaign: Campaign) -> None:
    drawn = draw(HTML, tags_of(campaign, 1, "A"), [])
    assert [line.link for line in drawn.links] == sent(HTML, campaign)
    assert [line.number for line in drawn.links] == [1, 2]


_PIECES = st.sampled_from(
    [
        "<a href='https://a.example/'>",
        '<a title="<a href=x>" href=https://b.example>',
        "<a data-track=off href=https://c.example>",
        "<area href='HTTPS://A.example/é'>",
        *("</a>", "<!--", "-->", "<b", ">", '"', "text", "<style>", "</style>"),
    ]
)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_whatever_the_html_is_the_links_are_those_that_emails_wrap(html: str) -> None:
    drawn = draw(html, (), [])
    assert [line.link for line in drawn.links] == (sent(html, UNTAGGED) if html else [])


def test_badges_stand_within_their_links_and_addresses_are_taken_out() -> None:
    drawn = draw(HTML, (), [clicks(SHOP, 1200, 0.1234), clicks(DEMO, 30, 0.003, "b"), clicks(OLD, 5, 0.0005, "c")])
    badges = re.findall(r"<a [^>]*><span[^>]*><span[^>]*>([^<]*)</span></span>([^<]*)</a>", drawn.document)
    assert badges == [
        ("1: 1,200 · 12.3%", "the shop"),
        ("2: 30 · 0.3%", "See the demo"),
        ("1: 1,200 · 12.3%", "Shop again"),
    ]
    assert set(re.findall(r"<a [^>]*href=[\"']?([^\"' >]*)", drawn.document)) == {"#"}
    assert [(line.number, line.link, line.clicked) for line in drawn.links] == [
        (1, SHOP, 1200), (2, DEMO, 30), (0, OLD, 5),
    ]  # fmt: skip


def test_after_the_keys_were_changed_a_link_has_a_line_for_each_of_its_ids() -> None:
    drawn = draw(HTML, (), [clicks(SHOP, 7, 0.07), clicks(SHOP, 3, 0.03, "b")])
    assert [(line.number, line.link_id[:1], line.clicked) for line in drawn.links] == [
        (1, "a", 7),
        (1, "b", 3),
        (2, "", 0),
    ]
    assert "1: 10 · 10.0%" in drawn.document


@pytest.fixture(scope="module")
def overhearing() -> Iterator[socket.socket]:
    """A port at which anybody who asks is met."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def mapped(own_database: Settings, overhearing: socket.socket) -> Settings:
    """Forty emails of variant A, of which twelve were clicked in: eight in the shop, four in the demo, one of these in both;
    and a robot followed the demo of two more."""
    with connect(own_database) as client:
        shop, demo = (own_database.keyring.link_id("spring", link) for link in (SHOP, DEMO))
        events: list[Any] = []
        for n in range(40):
            email = Email("spring", 1, "AB"[n >= 30], f"lead-{n}", NOW + timedelta(seconds=n))
            events += [email.sent(), email.delivered()]
            after = timedelta(hours=1)
            if n < 8:
                events.append(email.clicked(after, "human", "browser", shop))
            if 7 <= n < 11 or n == 35:
                events.append(email.clicked(after, "human", "browser", demo))
            if n in (20, 21):
                events.append(email.clicked(timedelta(seconds=1), "bot", "too-quick", demo))
        insert_lines(client, "events", lines(events))
        client.insert("campaigns", [["spring", "Spring sale", NOW]], column_names=["id", "name", "created_at"])
        client.insert(
            "links", [[shop, "spring", SHOP], [demo, "spring", DEMO]], column_names=["link_id", "campaign", "url"]
        )
        declared = {(1, "A"): HTML, (1, "B"): hostile(overhearing.getsockname()[1]) + HTML, (2, ""): ""}
        previews = [
            Preview(campaign="spring", step=step, variant=variant, html=html, at=NOW)
            for (step, variant), html in declared.items()
        ]
        for _ in range(2):  # as a replay would
            insert_lines(client, PREVIEWS.table, lines(previews))
    return own_database


@pytest.fixture(scope="module")
def url(mapped: Settings) -> Iterator[str]:
    with served(app_of(mapped)) as url:
        yield url


def test_the_numbers_are_those_of_the_variants_emails(url: str) -> None:
    rows = GET(f"{url}/click-map.json?{VARIANT}").json()["rows"]
    assert [(row["number"], row["link"], row["clicked"], row["raw_clicked"], row["click_rate"]) for row in rows] == [
        (1, SHOP, 8, 8, 0.2666667),
        (2, DEMO, 4, 6, 0.1333333),
    ]
    listed = f"{url}/boards/recipients.json?{VARIANT}&outcome=clicked&link={rows[0]['link_id']}"
    assert len(GET(listed).json()["answers"]["recipients_list"]["rows"]) == 8


def test_what_is_stored_comes_back_to_a_new_broker(mapped: Settings) -> None:
    with connect(mapped) as client:
        rows = list(each(client, "refill_previews"))
    found = [Preview(**dict(zip(Preview.__struct_fields__, row, strict=True))) for row in rows]
    assert sorted((one.step, one.variant) for one in found) == [(1, "A"), (1, "B"), (2, "")]
    assert next(one for one in found if one.variant == "A") == Preview(
        campaign="spring", step=1, variant="A", html=HTML, at=NOW
    )


def test_the_frame_may_do_nothing(url: str) -> None:
    answer = GET(f"{url}/click-map.html?{VARIANT}")
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "img-src data:", "form-action 'none'", "frame-ancestors 'self'", "sandbox"} <= {
        *policy
    }
    assert answer.headers["cache-control"] == "no-store"
    assert "<body inert>" in answer.text


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (f"{WEEK}&campaign=spring&step=1", 422),
        (f"{WEEK}&campaign=spring&step=1&variant=C", 404),
        (f"{WEEK}&campaign=spring&step=2&variant=", 404),
        (f"{WEEK}&campaign=autumn&step=1&variant=A", 404),
    ],
)
def test_one_variant_is_chosen_whose_html_stands(url: str, asked: str, status: int) -> None:
    for form in ("json", "html"):
        assert GET(f"{url}/click-map.{form}?{asked}").status_code == status


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with chromium() as browser:
        yield browser


LISTED = "document.querySelectorAll('#panel-click-map tbody tr').length === 2"


def opened(page: Page, url: str) -> None:
    page.open(f"{url}/?{WEEK}&board=campaign&campaign=spring")
    page.wait(DRAWN)
    page.value("document.querySelector('#panel-click-map').scrollIntoView()")
    page.wait(LISTED)


def test_the_map_is_drawn_and_its_list_leads_to_who_clicked(page: Page, url: str, tmp_path: Path) -> None:
    opened(page, url)
    assert "1 https://example.com/shop?a=1&b=2 8 26.7% 8 2 https://example.com/demo 4 13.3% 6" in page.text(
        "#panel-click-map"
    )
    page.value("document.querySelector('#panel-click-map .scroll').focus()")
    for _ in range(6):  # the headings come first
        page.press("Tab")
    assert "outcome=clicked" in page.value("document.activeElement.search")
    for dark in (True, False):
        page.look(dark=dark)
        assert faint(page) == []
    assert unnamed(page) == []
    page.picture(tmp_path / "map.png")
    page.look(width=390, height=844, phone=True)
    assert page.value("document.documentElement.scrollWidth") == 390
    page.look()
    page.value("document.activeElement.click()")
    page.wait("document.querySelectorAll('#panel-recipients tbody tr').length === 8")


def test_html_that_would_tell_or_steal_does_neither(browser: Browser, url: str, overhearing: socket.socket) -> None:
    page = browser.page()
    opened(page, url)
    page.value(
        "{const s = document.querySelector('#click-map-of'); s.selectedIndex = 1; s.dispatchEvent(new Event('change'))}"
    )
    page.wait(
        "performance.getEntriesByType('resource').some(({name}) => name.includes('click-map.html') && name.includes('variant=B'))"
    )
    assert "10.0%" in page.text("#panel-click-map")
    assert page.value("document.title") == "Campaign · Sendlens"
    with pytest.raises(BlockingIOError):
        overhearing.accept()
    page.close()
