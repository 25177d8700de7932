"""`/v1` of one lead, page by page, and of A/B tests: what the boards show, as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clickhouse.queries import get
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from schemas.events import lines
from schemas.keys import new_key
from schemas.settings import Settings
from tests.dashboards.data import PICK_AT, SINCE, UNTIL, Email, insert_known_week
from tests.ingest.api.known_week import WEEK, got
from tests.ingest.api.test_sends import problem_of
from tests.ingest.room import Room, running


@pytest.fixture(scope="module")
def database(own_database: Settings) -> Settings:
    """The known week, and the facts of one of its leads."""
    with connect(own_database) as client:
        insert_known_week(client)
        client.insert(
            "lead_facts",
            [["lead-0", "unsubscribed", datetime(2026, 3, 3, 9, tzinfo=UTC), True]],
            column_names=["lead", "fact", "at", "holds"],
        )
        ties = [Email("ties", n, "A", "tied", PICK_AT) for n in range(40)]
        insert_lines(client, "events", lines(event for email in ties for event in (email.sent(), email.delivered())))
    return own_database


async def pages(room: Room, lead: str, limit: int) -> list[list[dict[str, Any]]]:
    found = [await got(room, f"/v1/leads/{lead}/timeline", limit=limit)]
    while found[-1]["next"]:
        found.append(await got(room, f"/v1/leads/{lead}/timeline", limit=limit, cursor=found[-1]["next"]))
        assert len(found) < 100
    return [page["happenings"] for page in found]


async def test_a_leads_timeline_is_the_boards(week: Room) -> None:
    (ours,) = await pages(week, "lead-0", 500)
    query = get("lead_timeline")
    values = query.values(QueryParameters(SINCE, UNTIL, (), "UTC", lead="lead-0").parameters())
    with connect(week.settings) as client:
        theirs = list(client.query(query.sql, parameters=values).named_results())
    assert len(ours) == len(theirs) == 15

    def told(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [(row["happened"], row["verdict"], row["reason"], row["what"], row["step"]) for row in rows]

    assert sorted(map(str, told(ours))) == sorted(map(str, told(theirs)))
    assert [row["at"] for row in ours] == sorted((row["at"] for row in ours), reverse=True)
    assert [row["kind"] for row in ours if row["kind"] in ("fact", "unsubscribe", "click")] == [
        "click", "fact", "unsubscribe", "click",
    ]  # fmt: skip
    assert ours[-1]["kind"] == "sent"


@pytest.mark.parametrize(("lead", "rows"), [("lead-0", 15), ("tied", 80)])
@pytest.mark.parametrize("limit", [1, 7])
async def test_pages_fit_together_even_where_moments_are_the_same(week: Room, lead: str, rows: int, limit: int) -> None:
    (whole,) = await pages(week, lead, 500)
    assert len(whole) == rows
    parts = await pages(week, lead, limit)
    assert [row for page in parts for row in page] == whole
    assert max(map(len, parts)) <= limit


async def test_what_happens_while_one_reads_moves_no_page(asked: Settings, week: Room) -> None:
    first_email = Email("spring", 7, "A", "reader", PICK_AT)
    with connect(asked) as client:
        insert_lines(client, "events", lines([first_email.sent(), first_email.delivered()]))
        first = await got(week, "/v1/leads/reader/timeline", limit=1)
        insert_lines(client, "events", lines([first_email.opened(timedelta(hours=1), "human", "mail-client")]))
    second = await got(week, "/v1/leads/reader/timeline", limit=5, cursor=first["next"])
    assert [row["kind"] for row in first["happenings"] + second["happenings"]] == ["delivered", "sent"]
    assert [row["kind"] for row in (await pages(week, "reader", 5))[0]] == ["open", "delivered", "sent"]


async def test_an_id_may_be_any_text(asked: Settings, week: Room) -> None:
    with connect(asked) as client:
        insert_lines(client, "events", lines([Email("spring", 7, "A", "list/ada@example.com?'", PICK_AT).sent()]))
    body = await got(week, "/v1/leads/list%2Fada@example.com%3F'/timeline")
    assert (body["lead"], [row["kind"] for row in body["happenings"]]) == ("list/ada@example.com?'", ["sent"])


async def test_a_lead_that_nobody_knows_is_not_found(week: Room) -> None:
    answer = await week.client.get("/v1/leads/nobody/timeline")
    assert answer.status_code == 404
    problem_of(answer)


async def test_a_cursor_is_of_its_lead(week: Room) -> None:
    first = await got(week, "/v1/leads/lead-0/timeline", limit=1)
    answer = await week.client.get("/v1/leads/lead-1/timeline", params={"cursor": first["next"]})
    assert (answer.status_code, problem_of(answer)["reason"]) == (422, "cursor-invalid")


async def test_ab_tests_are_the_boards(week: Room) -> None:
    body = await got(week, "/v1/ab/spring", **WEEK)
    assert (body["campaign"], body["name"]) == ("spring", "Spring sale")
    rows = body["comparisons"]
    assert [(row["metric"], row["variant"], row["delivered"], row["reached"]) for row in rows] == [
        ("reply", "A", 18, 2), ("reply", "B", 18, 2),
        ("click", "A", 18, 5), ("click", "B", 18, 4),
        ("open", "A", 18, 9), ("open", "B", 18, 9),
    ]  # fmt: skip
    baseline, other = rows[:2]
    assert (baseline["outcome"], baseline["p_value"], baseline["difference"]) == ("baseline", None, None)
    assert (other["outcome"], other["p_value"]) == ("short", 1)
    assert other["missing"] > 0
    assert other["finding"].startswith("Not enough data: ")
    assert other["low"] < 0 < other["high"]


async def test_ab_tests_are_of_the_steps_asked_for(week: Room) -> None:
    assert (await got(week, "/v1/ab/spring", step=["0", "7"], **WEEK))["comparisons"] == []
    assert len((await got(week, "/v1/ab/spring", step="1", **WEEK))["comparisons"]) == 6


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/ab/nobodys", 404),
        ("/v1/ab/spring?step=256", 422),
        ("/v1/ab/spring?since=soon", 422),
        ("/v1/leads/lead-0/timeline?limit=501", 422),
        ("/v1/leads/lead-0/timeline?cursor=x", 422),
        ("/v1/leads/" + "x" * 321 + "/timeline", 422),
    ],
)
async def test_what_makes_no_sense_is_refused(week: Room, path: str, status: int) -> None:
    answer = await week.client.get(path)
    assert answer.status_code == status
    problem_of(answer)


async def test_both_take_a_key_with_the_scope_read(asked: Settings) -> None:
    given = {scope: new_key() for scope in ("read", "campaigns", "export")}
    keys = ",".join(f"{scope}={scope}={kept}" for scope, (_, kept) in given.items())
    async with running(asked.model_copy(update={"api_keys": keys})) as room:
        for path in ("/v1/leads/lead-0/timeline", "/v1/ab/spring"):
            assert (await room.client.get(path)).status_code == 401
            for scope in ("campaigns", "export"):
                headers = {"Authorization": f"Bearer {given[scope][0]}"}
                assert (await room.client.get(path, headers=headers)).status_code == 403
        headers = {"Authorization": f"Bearer {given['read'][0]}"}
        assert (await room.client.get("/v1/leads/lead-0/timeline", headers=headers)).status_code == 200
