"""`GET /v1/recipients`: as many as the numbers say, page by page, and `GET /v1/campaigns`, all of them with numbers."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from clickhouse.store import connect, insert_lines
from schemas.events import lines
from schemas.keys import new_key
from schemas.settings import Settings
from schemas.tokens import Purpose
from tests.dashboards.data import LINK, PICK_AT, Email
from tests.ingest.api.known_week import WEEK, got
from tests.ingest.api.test_sends import problem_of
from tests.ingest.room import Room, running


async def listed(room: Room, limit: int = 1000, **choice: Any) -> list[dict[str, Any]]:
    """All pages."""
    found = await got(room, "/v1/recipients", limit=limit, **choice)
    rows = found["recipients"]
    while found["next"]:
        assert len(found["recipients"]) == limit
        found = await got(room, "/v1/recipients", limit=limit, cursor=found["next"], **choice)
        rows += found["recipients"]
    return rows


async def test_a_list_is_as_long_as_the_campaigns_numbers_say(week: Room) -> None:
    stats = (await got(week, "/v1/campaigns/spring/stats", **WEEK))["stats"]
    for outcome in ("sent", "delivered", "opened", "clicked", "replied", "hard_bounced", "blocked", "complained"):
        rows = await listed(week, limit=7, campaign="spring", outcome=outcome, **WEEK)
        assert len(rows) == stats[outcome] > 0, outcome
        assert {row["campaign"] for row in rows} == {"spring"}


async def test_who_did_not_open_step_1(week: Room) -> None:
    rows = await listed(week, campaign="spring", step=1, outcome="not_opened", **WEEK)
    assert {row["lead"] for row in rows} == {f"lead-{n}" for n in range(18, 36)}
    assert {row["opened_at"] for row in rows} == {None}
    of_b = await listed(week, campaign="spring", variant="B", outcome=["not_opened"], **WEEK)
    assert {row["lead"] for row in of_b} == {f"lead-{n}" for n in range(19, 36, 2)}


async def test_who_followed_a_link_and_what_else_is_known_of_them(week: Room) -> None:
    rows = await listed(week, campaign="spring", link=LINK, **WEEK)
    assert {row["lead"] for row in rows} == {f"lead-{n}" for n in range(9)}
    row = next(row for row in rows if row["lead"] == "lead-2")
    assert row["links"] == [LINK]
    assert (row["sent_at"], row["opened_at"]) == ("2026-03-02T09:01:00Z", "2026-03-02T10:01:00Z")
    assert (row["clicked_at"], row["unsubscribed_at"]) == ("2026-03-02T10:02:00Z", "2026-03-03T09:01:00Z")
    assert (row["replied_at"], row["bounced_at"], row["why"]) == (None, None, "")


async def test_pages_are_of_the_first_pages_period_and_what_comes_meanwhile_moves_none(week: Room) -> None:
    whole = await listed(week, **WEEK)
    first = await got(week, "/v1/recipients", limit=20, **WEEK)
    late = Email("a-first", 0, "A", "late", PICK_AT - timedelta(days=2, hours=8))  # its place is on the first page
    with connect(week.settings) as client:
        insert_lines(client, "events", lines([late.sent()]))
    rest = await got(week, "/v1/recipients", limit=1000, since="2026-03-08", until="2026-03-09", cursor=first["next"])
    assert (rest["since"], rest["until"], rest["next"]) == (first["since"], first["until"], None)
    assert first["recipients"] + rest["recipients"] == whole


@pytest.mark.parametrize(
    "query",
    [
        "outcome=loved", "step=256", "link=x", "since=soon", "limit=1001", "limit=0", "cursor=x", "cursor=W10",
        "campaign=", "variant=" + "x" * 321,
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(week: Room, query: str) -> None:
    answer = await week.client.get(f"/v1/recipients?{query}")
    assert answer.status_code == 422
    problem_of(answer)


async def test_campaigns_are_listed_with_their_numbers_page_by_page(week: Room) -> None:
    with connect(week.settings) as client:
        rows = [[f"quiet-{n:02}", f"Quiet {n}", PICK_AT] for n in range(12)]
        client.insert("campaigns", rows, column_names=["id", "name", "created_at"])
    found = await got(week, "/v1/campaigns", limit=5, **WEEK)
    pages = [found]
    while pages[-1]["next"]:
        pages.append(await got(week, "/v1/campaigns", limit=5, cursor=pages[-1]["next"]))
    campaigns = [campaign for page in pages for campaign in page["campaigns"]]
    assert [len(page["campaigns"]) for page in pages] == [5, 5, 4]
    assert {(page["since"], page["until"]) for page in pages} == {("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z")}
    assert [one["id"] for one in campaigns] == ["owner's pick", *(f"quiet-{n:02}" for n in range(12)), "spring"]
    stats = {one["id"]: one["stats"] for one in campaigns}
    assert stats["spring"] == (await got(week, "/v1/campaigns/spring/stats", **WEEK))["stats"]
    assert (stats["quiet-03"]["sent"], stats["quiet-03"]["open_rate"]) == (0, None)
    assert [one["state"] for one in campaigns if one["stats"]["sent"]] == ["Paused", "Active"]


async def test_a_lead_is_found_by_its_email_address(week: Room) -> None:
    address = week.settings.keyring.address_ids("Ada@example.com")[0]
    emails = [Email("spring", n, "A", lead, PICK_AT + timedelta(hours=n)) for n, lead in ((7, "ada"), (8, "list/ada"))]
    with connect(week.settings) as client:
        insert_lines(client, "events", lines(replace(email.sent(), address=address) for email in emails))
    found = await week.client.post("/v1/leads/find", json={"email": "Ada Lovelace <ada@EXAMPLE.com>"})
    assert found.json() == {
        "leads": [
            {"lead": "list/ada", "last_sent_at": "2026-03-04T23:00:00Z"},
            {"lead": "ada", "last_sent_at": "2026-03-04T22:00:00Z"},
        ]
    }
    assert (await week.client.post("/v1/leads/find", json={"email": "da@example.com"})).json() == {"leads": []}
    refused = await week.client.post("/v1/leads/find", json={"email": "nobody"})
    assert (refused.status_code, problem_of(refused)["reason"]) == (422, "address-invalid")


async def test_recipients_are_exported_in_every_format(week: Room) -> None:
    choice = {"table": "recipients", "campaign": "spring", "outcome": ["opened", "not_clicked"], **WEEK}
    rows = await listed(week, campaign="spring", outcome=["opened", "not_clicked"], **WEEK)
    csv = await week.client.get("/v1/export", params=choice | {"format": "csv"})
    ndjson = await week.client.get("/v1/export", params=choice | {"format": "ndjson"})
    parquet = await week.client.get("/v1/export", params=choice | {"format": "parquet"})
    assert len(csv.text.splitlines()) == len(rows) + 1 == 10
    told = [json.loads(line) for line in ndjson.text.splitlines()]
    assert {row["lead"] for row in told} == {row["lead"] for row in rows}
    assert {row["opened_at"] for row in told} == {row["opened_at"].replace("Z", ".000Z") for row in rows}
    assert (parquet.content[:4], parquet.content[-4:]) == (b"PAR1", b"PAR1")
    refused = await week.client.get("/v1/export", params={"table": "emails", "outcome": "opened"})
    assert (refused.status_code, problem_of(refused)["reason"]) == (422, "table-invalid")


async def test_both_take_a_key_with_the_scope_read(asked: Settings) -> None:
    given = {scope: new_key() for scope in ("read", "campaigns", "export")}
    keys = ",".join(f"{scope}={scope}={kept}" for scope, (_, kept) in given.items())
    async with running(asked.model_copy(update={"api_keys": keys})) as room:
        for path in ("/v1/recipients", "/v1/campaigns"):
            assert (await room.client.get(path)).status_code == 401
            statuses = {}
            for scope, (key, _) in given.items():
                answer = await room.client.get(path, headers={"Authorization": f"Bearer {key}"})
                statuses[scope] = answer.status_code
            assert statuses == {"read": 200, "campaigns": 403, "export": 403}


async def test_a_long_answer_is_compressed_for_those_who_take_it_and_what_is_fetched_or_streamed_never(
    week: Room,
) -> None:
    asked = {"params": {**WEEK, "limit": 20}}
    packed = await week.client.get("/v1/recipients", **asked)
    plain = await week.client.get("/v1/recipients", **asked, headers={"Accept-Encoding": "identity"})
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < len(plain.content) / 4
    for path in (f"/o/{week.token(Purpose.OPEN)}.gif", f"/v1/export?table=emails&since={WEEK['since']}"):
        answer = await week.client.get(path, headers={"Accept-Encoding": "gzip"})
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers
