"""`/v1` for those who read numbers: the known week's, as the boards have them, page by page, by whoever may."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from clickhouse.queries import get
from clickhouse.store import connect, insert_lines
from schemas.events import lines
from schemas.keys import new_key
from schemas.settings import Settings
from tests.dashboards.data import Email
from tests.ingest.api.known_week import WEEK, got
from tests.ingest.api.test_sends import problem_of
from tests.ingest.room import Room, running
from tests.support.processes import free_port


async def test_a_campaigns_numbers_are_those_of_the_board(week: Room) -> None:
    body = await got(week, "/v1/campaigns/spring/stats", **WEEK)
    assert (body["campaign"], body["name"]) == ("spring", "Spring sale")
    assert (body["since"], body["until"]) == ("2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z")
    stats = body["stats"]
    assert (stats["sent"], stats["delivered"], stats["opened"], stats["raw_opened"]) == (40, 36, 18, 31)
    assert (stats["clicked"], stats["replied"], stats["complained"], stats["unsubscribed"]) == (9, 4, 2, 3)
    assert (stats["open_rate"], stats["hard_bounce_rate"]) == (0.5, 0.05)
    assert (body["before"]["sent"], body["before"]["opened"]) == (20, 5)
    variants = [(one["step"], one["variant"], one["sent"], one["opened"]) for one in body["variants"]]
    assert variants == [(1, "A", 20, 9), (1, "B", 20, 9)]


async def test_a_campaign_that_sent_nothing_has_zeros_and_no_rates(week: Room) -> None:
    body = await got(week, "/v1/campaigns/quiet/stats", **WEEK)
    assert {value for name, value in body["stats"].items() if not name.endswith("_rate")} == {0}
    assert {value for name, value in body["stats"].items() if name.endswith("_rate")} == {None}
    assert body["variants"] == []


async def test_a_campaign_that_was_never_declared_is_not_found(week: Room) -> None:
    problem_of(answer := await week.client.get("/v1/campaigns/nobodys/stats", params=WEEK))
    assert answer.status_code == 404


async def test_every_day_is_there_and_the_days_add_up_to_the_period(week: Room) -> None:
    body = await got(week, "/v1/stats/daily", **WEEK)
    days = body["days"]
    assert [day["day"] for day in days] == [str(date(2026, 3, 2) + timedelta(days=n)) for n in range(7)]
    assert [day["sent"] for day in days] == [40, 0, 10, 0, 0, 0, 0]
    assert (days[0]["open_rate"], days[1]["open_rate"]) == (0.5, None)
    total = (await got(week, "/v1/campaigns/spring/stats", **WEEK))["stats"]
    for count in ("sent", "delivered", "opened", "raw_clicked", "unsubscribed"):
        of_spring = (await got(week, "/v1/stats/daily", campaign="spring", **WEEK))["days"]
        assert sum(day[count] for day in of_spring) == total[count]


async def test_what_happened_on_a_day_counts_by_its_own_time(week: Room) -> None:
    days = {day["day"]: day["happened"] for day in (await got(week, "/v1/stats/daily", **WEEK))["days"]}
    assert days["2026-03-03"] == {
        "sent": 0, "opened": 0, "clicked": 0, "replied": 0, "unsubscribed": 3,
    }  # fmt: skip
    assert (days["2026-03-02"]["unsubscribed"], days["2026-03-02"]["replied"]) == (0, 4)


async def test_a_day_is_one_of_the_timezone(week: Room) -> None:
    auckland = await got(week, "/v1/stats/daily", timezone="Pacific/Auckland", **WEEK)
    sent = {day["day"]: day["sent"] for day in auckland["days"] if day["sent"]}
    assert sent == {"2026-03-02": 40, "2026-03-05": 10}  # 15:00 UTC is the next morning there
    assert auckland["days"][0]["day"] == "2026-03-02"
    assert auckland["days"][-1]["day"] == "2026-03-09"


@pytest.mark.parametrize("timezone", ["UTC", "America/Santiago"])  # where clocks go back within the period
@pytest.mark.parametrize("limit", [1, 3, 400])
async def test_pages_fit_together_whatever_their_size(week: Room, timezone: str, limit: int) -> None:
    period = {"since": "2026-03-01T12:00:00Z", "until": "2026-04-10T01:30:00Z", "timezone": timezone}
    whole = (await got(week, "/v1/stats/daily", limit=400, **period))["days"]
    pages = [await got(week, "/v1/stats/daily", limit=limit, **period)]
    while pages[-1]["next"]:
        pages.append(await got(week, "/v1/stats/daily", limit=limit, cursor=pages[-1]["next"], **period))
        assert len(pages) < 50
    assert [day for page in pages for day in page["days"]] == whole
    assert max(len(page["days"]) for page in pages) <= limit
    assert {(page["since"], page["until"]) for page in pages} == {("2026-03-01T12:00:00Z", "2026-04-10T01:30:00Z")}


async def test_pages_of_a_relative_period_keep_to_the_first_ones_moment(week: Room) -> None:
    first = await got(week, "/v1/stats/daily", since="now-3d", limit=1)
    second = await got(week, "/v1/stats/daily", since="now-3d", limit=1, cursor=first["next"])
    assert (second["since"], second["until"]) == (first["since"], first["until"])
    assert second["days"][0]["day"] > first["days"][0]["day"]


async def test_what_happens_between_two_pages_does_not_move_them(asked: Settings, week: Room) -> None:
    may = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def sent(day: int) -> None:
        email = Email("may", 1, "A", f"lead-{day}", may + timedelta(days=day))
        with connect(asked) as client:
            insert_lines(client, "events", lines([email.sent()]))

    period = {"since": "2026-05-04", "until": "2026-05-08", "campaign": "may"}
    sent(2)
    first = await got(week, "/v1/stats/daily", limit=2, **period)
    sent(0)  # late, on a day that was given out already
    second = await got(week, "/v1/stats/daily", limit=2, cursor=first["next"], **period)
    assert [(day["day"], day["sent"]) for day in second["days"]] == [("2026-05-06", 1), ("2026-05-07", 0)]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v1/campaigns/spring/stats?since=soon", "since: write 2026-01-31"),
        ("/v1/campaigns/spring/stats?since=now&until=now-1d", "since must lie before until"),
        ("/v1/stats/daily?timezone=Nowhere", "IANA"),
        ("/v1/stats/daily?limit=0", "limit"),
        ("/v1/stats/daily?limit=401", "limit"),
        ("/v1/stats/daily?limit=many", "limit"),
        ("/v1/stats/daily?cursor=nonsense", "next"),
        ("/v1/stats/daily?cursor=%21%21", "next"),
        (
            "/v1/stats/daily?cursor=WyIyMDI2LTA0LTAxVDAwOjAwOjAwWiIsIjIwMjYtMDMtMDFUMDA6MDA6MDBaIiwiMjAyNi0wMy0wMlQwMDowMDowMFoiXQ",
            "one of ours",
        ),
        ("/v1/stats/daily?campaign=" + "x" * 65, "campaign ids"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_what_to_write(week: Room, path: str, says: str) -> None:
    answer = await week.client.get(path)
    assert answer.status_code == 422
    assert says in problem_of(answer)["detail"]


async def test_it_takes_a_key_with_the_scope_read(asked: Settings) -> None:
    given = {scope: new_key() for scope in ("read", "campaigns", "export", "page")}
    keys = ",".join(f"{scope}={scope}={kept}" for scope, (_, kept) in given.items())
    async with running(asked.model_copy(update={"api_keys": keys})) as room:

        async def status(path: str, scope: str) -> int:
            headers = {"Authorization": f"Bearer {given[scope][0]}"} if scope else {}
            return (await room.client.get(path, headers=headers)).status_code

        for path in ("/v1/stats/daily", "/v1/campaigns/spring/stats"):
            assert await status(path, "") == 401
            assert {await status(path, scope) for scope in ("campaigns", "export", "page")} == {403}
        assert await status("/v1/stats/daily", "read") == 200
        assert await status("/v1/export?table=emails", "read") == 403


async def test_while_clickhouse_is_away_it_says_so_and_hits_are_answered(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"clickhouse_url": f"http://127.0.0.1:{free_port()}"})
    async with running(nowhere) as room:
        answer: httpx.Response = await room.client.get("/v1/stats/daily")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        assert "ClickHouse" in problem_of(answer)["detail"]


def test_the_queries_are_those_of_the_boards() -> None:
    from dashboards.boards import BOARDS

    on_boards = {query.name for board in BOARDS for query in board.queries}
    assert {"headline", "by_variant"} <= on_boards
    assert get("daily").parameters.keys() == {"since", "until", "campaigns", "timezone"}
