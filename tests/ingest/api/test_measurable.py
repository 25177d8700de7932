"""An email without a pixel is in no open rate, one without wrapped links in no click rate: in the views, in /v1, and on the
page, of a campaign that is half text (tests/dashboards/half_text.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from clickhouse import counting
from clickhouse.queries import get
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from dashboards.page.page import router
from schemas.events import Campaign, lines
from schemas.settings import Settings
from schemas.topics import CAMPAIGNS
from tests.dashboards.data import SINCE, UNTIL
from tests.dashboards.half_text import AT, CAMPAIGN, half_text
from tests.ingest.room import Room, put, running
from tests.support.browser import CHROMIUM, chromium
from tests.support.served import served

WANTED = {
    **{"sent": 50, "delivered": 50, "delivered_with_pixel": 20, "delivered_with_links": 30},
    **{"opened": 12, "pixel_opened": 8, "opened_with_pixel": 9, "clicked": 8},
    **{"open_rate": 9 / 20, "click_rate": 8 / 30, "click_to_open_rate": 8 / 12},
}
# Open rate and click rate of each variant; None: not tracked.
VARIANTS = {"html": (9 / 20, 5 / 20), "plain": (None, None), "linked": (None, 3 / 10)}


@pytest.fixture(scope="module")
def database(own_database: Settings) -> Settings:
    with connect(own_database) as client:
        insert_lines(client, "events", lines(list(half_text(own_database.keyring))))
        client.insert("campaigns", [[CAMPAIGN, "Half text", AT]], column_names=["id", "name", "created_at"])
    return own_database


@pytest.fixture(scope="module")
def client(database: Settings) -> Iterator[Client]:
    with connect(database) as connected:
        yield connected


def ask(client: Client, view: str) -> list[dict[str, Any]]:
    query = get(view)
    values = query.values(QueryParameters(SINCE, UNTIL, (CAMPAIGN,), "UTC").parameters())
    return list(client.query(query.sql, parameters=values).named_results())


def rates(row: dict[str, Any]) -> tuple[float | None, float | None]:
    return row["open_rate"], row["click_rate"]


@pytest.mark.parametrize("ahead", [False, True], ids=["row by row", "counted ahead"])
def test_a_rate_is_of_the_emails_that_could_show_it(client: Client, ahead: bool) -> None:
    if ahead:
        counting.roll(client)
    _, now = ask(client, "headline")
    assert {name: now[name] for name in WANTED} == pytest.approx(WANTED)
    assert {row["variant"]: rates(row) for row in ask(client, "by_variant")} == VARIANTS
    funnel = {row["stage"]: (row["emails"], row["share"]) for row in ask(client, "funnel")}
    assert funnel == {
        "Sent": (50, None),
        "Delivered": (50, 1.0),
        "Opened": (12, pytest.approx(9 / 20)),
        "Clicked": (8, pytest.approx(8 / 30)),
        "Replied": (0, 0.0),
    }
    without = {row["outcome"]: (row["emails"], row["share"]) for row in ask(client, "recipients_without")}
    assert without["not_opened"] == (11, pytest.approx(11 / 20))
    assert without["not_clicked"] == (22, pytest.approx(22 / 30))
    (day,) = [row for row in ask(client, "daily_activity") if row["sent"]]
    assert (day["opened"], day["clicked"]) == (12, 8)
    _, waited = ask(client, "time_to_open")
    assert (waited["opened"], waited["p50"]) == (12, 3600)  # eight of the twelve by a click, an hour after


def test_a_test_of_what_cannot_be_seen_says_so(client: Client) -> None:
    found = {(row["variant"], row["metric"]): row for row in ask(client, "ab")}
    assert found["plain", "open"]["rate"] is None
    assert found["plain", "open"]["finding"] == "Not tracked: none delivered with a pixel"
    assert found["plain", "click"]["finding"] == "Not tracked: none delivered with links"
    assert (found["linked", "click"]["reached"], found["linked", "click"]["delivered"]) == (3, 10)
    assert found["plain", "reply"]["delivered"] == 20


@pytest.fixture
async def room(settings: Settings, database: Settings) -> AsyncIterator[Room]:
    where = {"clickhouse_url": database.clickhouse_url, "clickhouse_database": database.clickhouse_database}
    asked = settings.model_copy(update=where)
    put(asked, CAMPAIGNS, CAMPAIGN, Campaign(id=CAMPAIGN, name="Half text", created_at=AT))
    async with running(asked) as room:
        await room.until_ready()
        yield room


async def test_v1_says_null_of_what_is_not_tracked(room: Room) -> None:
    answer = await room.client.get(
        f"/v1/campaigns/{CAMPAIGN}/stats", params={"since": "2026-03-02", "until": "2026-03-09"}
    )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert {name: body["stats"][name] for name in WANTED} == pytest.approx(WANTED)
    assert {row["variant"]: rates(row) for row in body["variants"]} == VARIANTS


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_the_page_says_of_how_many_a_rate_is_and_what_is_not_tracked(database: Settings) -> None:
    app = FastAPI()
    app.include_router(router(database))
    with served(app) as url, chromium() as browser:
        page = browser.page()
        page.look()
        week = f"since=2026-03-02T00:00:00Z&until=2026-03-09T00:00:00Z&timezone=UTC&campaign={CAMPAIGN}"
        drawn = "document.querySelector('#board').getAttribute('aria-busy') === 'false'"
        page.open(f"{url}/?{week}")
        page.wait(drawn)
        assert "45.0%" in page.text("#panel-open-rate")
        assert "9 of 20 delivered with a pixel" in page.text("#panel-open-rate")
        assert "8 of 30 delivered with links" in page.text("#panel-click-rate")
        assert "66.7%" in page.text("#panel-click-to-open-rate")
        page.open(f"{url}/?board=campaign&{week}")
        page.wait(drawn)
        variants = page.text("#panel-variants")
        assert variants.count("not tracked") == 3  # opens and clicks of plain, opens of linked
        page.close()
