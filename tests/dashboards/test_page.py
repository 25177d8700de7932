"""The page's routes over real HTTP: numbers, refusals, and what happens when the database is away."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from clickhouse.queries import Query
from clickhouse.query_client import QueryClient
from clickhouse.store import connect
from dashboards.boards import BOARDS
from dashboards.page.page import STATIC, router
from dashboards.panels import Board
from schemas.errors import Retry
from schemas.settings import Settings
from tests.dashboards.conftest import settings_for
from tests.support.processes import free_port
from tests.support.served import served

WEEK = {"since": "2026-03-02", "until": "2026-03-09"}
NUMBERS = "/boards/overview.json"


def app_of(settings: Settings) -> FastAPI:
    app = FastAPI()
    app.include_router(router(settings))
    return app


@pytest.fixture(scope="module")
def http(full: Settings) -> Iterator[httpx.Client]:
    with served(app_of(full)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def test_the_board_comes_with_its_numbers(http: httpx.Client) -> None:
    answer = http.get(NUMBERS, params=WEEK | {"timezone": "Europe/Paris"})
    assert answer.status_code == 200
    board = answer.json()
    before, now = board["answers"]["headline"]["rows"]
    assert (before["sent"], now["sent"], now["open_rate"]) == (20, 50, 0.5)
    assert board["since"] == "2026-03-02T00:00:00+00:00"
    assert board["answers"]["activity"]["rows"][0]["time"] == "2026-03-01T23:00:00+00:00"  # midnight in Paris
    assert board["options"]["campaign"] == [
        {"id": "owner's pick", "label": "Owner's pick"},
        {"id": "spring", "label": "Spring sale"},
    ]
    assert [panel["key"] for panel in board["board"]["panels"]] == [panel.key for panel in BOARDS[0].panels]
    assert len(answer.content) < 64 * 1024


def test_campaigns_are_chosen_in_the_url(http: httpx.Client) -> None:
    def sent(campaigns: list[str]) -> int:
        answer = http.get(NUMBERS, params={**WEEK, "campaign": campaigns}).json()
        return int(answer["answers"]["headline"]["rows"][1]["sent"])

    assert sent(["owner's pick"]) == 10
    assert sent(["owner's pick", "spring"]) == 50
    assert sent(["'; DROP TABLE events --"]) == 0
    assert sent([]) == 50


def test_a_board_asked_for_twice_in_a_second_is_whole_both_times(http: httpx.Client) -> None:
    params = WEEK | {"timezone": "Asia/Tokyo"}
    assert http.get(NUMBERS, params=params).json() == http.get(NUMBERS, params=params).json()


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        (f"{NUMBERS}?since=soon", 422, "since: write 2026-01-31"),
        (f"{NUMBERS}?since=now&until=now-1d", 422, "since must lie before until"),
        (f"{NUMBERS}?timezone=Nowhere", 422, "IANA"),
        ("/boards/nonsense.json", 404, "There are: overview"),
        ("/static/nonsense.js", 404, "no such file"),
        ("/static/../page.py", 404, "Not Found"),
        ("/static/%2e%2e/page.py", 404, "no such file"),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_refused(path: str, status: int, says: str, http: httpx.Client) -> None:
    answer = http.get(path)
    assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text


def test_everything_is_kept_to_this_host(http: httpx.Client) -> None:
    page = http.get("/")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert page.headers["content-type"].startswith("text/html")
    assert "<script>" not in page.text
    assert " style=" not in page.text


def test_a_file_is_sent_once_and_the_library_is_kept_for_good(http: httpx.Client) -> None:
    first = http.get("/static/app.js")
    again = http.get("/static/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (first.headers["cache-control"], again.status_code, again.content) == ("no-cache", 304, b"")
    (library,) = [path.name for path in (STATIC / "vendor").glob("*.js")]
    with http.stream("GET", f"/static/vendor/{library}") as answer:
        packed = b"".join(answer.iter_raw())
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed) == (STATIC / "vendor" / library).read_bytes()


def raw(http: httpx.Client, path: str, **headers: str) -> tuple[httpx.Headers, bytes]:
    """An answer as it came over the line."""
    with http.stream("GET", path, params=WEEK, headers={"Accept-Encoding": "", **headers}) as answer:
        assert answer.status_code == 200
        return answer.headers, b"".join(answer.iter_raw())


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_a_board_is_compressed_for_those_who_take_it(http: httpx.Client, board: Board) -> None:
    path = f"/boards/{board.key}.json?lead=lead-0"
    headers, packed = raw(http, path, **{"Accept-Encoding": "br;q=1.0, GZIP;q=0.8", "Sec-Fetch-Site": "same-origin"})
    _, plain = raw(http, path)
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) == len(packed) < min(16_000, len(plain) / 3)
    assert json.loads(gzip.decompress(packed))["board"] == json.loads(plain)["board"]


@pytest.mark.parametrize("takes", ["", "br", "gzip;q=0", "*;q=0.000", "gzip;q=0, *"])
def test_who_does_not_take_it_gets_plain_json(http: httpx.Client, takes: str) -> None:
    headers, plain = raw(http, NUMBERS, **{"Accept-Encoding": takes})
    assert "content-encoding" not in headers
    assert headers["vary"] == "Accept-Encoding"
    assert json.loads(plain)["board"]["key"] == "overview"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_makes_a_browser_ask_is_not_compressed(http: httpx.Client, site: str) -> None:
    headers, _ = raw(http, NUMBERS, **{"Accept-Encoding": "gzip", "Sec-Fetch-Site": site})
    assert "content-encoding" not in headers


def test_an_export_is_streamed_as_it_comes(http: httpx.Client) -> None:
    headers, rows = raw(http, "/boards/overview/campaigns.csv", **{"Accept-Encoding": "gzip"})
    assert "content-encoding" not in headers
    assert rows.startswith(b'"Campaign"')


def test_one_failing_question_leaves_the_others_their_numbers(maimed: Settings) -> None:
    with served(app_of(maimed)) as url:
        answers = httpx.get(url + NUMBERS, params=WEEK).json()["answers"]
    assert answers["by_campaign"]["error"].startswith("The database could not answer this one.")
    assert "rows" not in answers["by_campaign"]
    assert answers["headline"]["rows"][1]["sent"] == 50


def test_without_a_database_the_page_says_so_and_comes_back_by_itself(full: Settings) -> None:
    away = True

    def reach() -> Client:
        return connect(settings_for(f"http://127.0.0.1:{free_port()}", "full") if away else full)

    app = FastAPI()
    app.include_router(router(full, reach))
    with served(app) as url:
        answer = httpx.get(url + NUMBERS, params=WEEK)
        assert answer.status_code == 503
        assert answer.json()["detail"].startswith("It may be restarting. Nothing is lost")
        assert answer.headers["retry-after"] == "3"
        assert httpx.get(url + "/").status_code == 200
        away = False
        back = httpx.get(url + NUMBERS, params=WEEK | {"timezone": "Europe/Paris"})
    assert back.json()["answers"]["headline"]["rows"][1]["sent"] == 50


def test_with_an_api_key_nobody_sees_a_number_without_it(full: Settings) -> None:
    key = "a long key with: a colon"
    right = base64.b64encode(f"anyone:{key}".encode()).decode()
    wrong = base64.b64encode(b"anyone:guess").decode()
    with served(app_of(full.model_copy(update={"api_key": key}))) as url:
        for path in ("/", NUMBERS, "/static/app.js"):
            for refused in (
                {},
                {"Authorization": f"Basic {wrong}"},
                {"Authorization": "Basic ???"},
                {"Authorization": "Bearer x"},
            ):
                answer = httpx.get(url + path, headers=refused)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Basic ")
            assert httpx.get(url + path, headers={"Authorization": f"Basic {right}"}).status_code == 200
            assert httpx.get(url + path, headers={"Authorization": f"Bearer {key}"}).status_code == 200


class Counted:
    """A real client that counts what it is asked."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked = 0

    def query(self, *args: Any, **more: Any) -> Any:
        self.asked += 1
        return self._client.query(*args, **more)

    def close(self) -> None:
        self._client.close()


ONE = Query("one", "SELECT 1 AS one", "One.")


async def test_viewers_who_ask_the_same_at_the_same_time_cost_one_query(full: Settings) -> None:
    client = Counted(connect(full))
    reader = QueryClient(lambda: client)  # type: ignore[arg-type,return-value]
    answers = await asyncio.gather(*(reader.answers("same", [ONE], {}) for _ in range(20)))
    assert answers == [{"one": {"rows": [{"one": 1}]}}] * 20
    assert client.asked == 1
    await reader.answers("other", [ONE], {})
    assert client.asked == 2
    reader.close()


async def test_an_answer_is_not_kept_for_longer_than_it_should(full: Settings) -> None:
    client = Counted(connect(full))
    reader = QueryClient(lambda: client, keep_seconds=0)  # type: ignore[arg-type,return-value]
    for _ in range(3):
        await reader.answers("same", [ONE], {})
    assert client.asked == 3
    reader.close()


async def test_the_loop_goes_on_while_clickhouse_thinks(full: Settings) -> None:
    reader = QueryClient(lambda: connect(full))
    slow = asyncio.create_task(reader.answers("slow", [Query("slow", "SELECT sleep(0.5) AS slept", "Slow.")], {}))
    turns = 0
    while not slow.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert turns > 20  # a loop that waits for the answer has one or two
    assert (await slow)["slow"]["rows"] == [{"slept": 0}]
    reader.close()


async def test_a_viewer_who_leaves_does_not_take_the_answer_from_the_others(full: Settings) -> None:
    reader = QueryClient(lambda: connect(full))
    query = Query("slow", "SELECT sleep(0.2) AS slept", "Slow.")
    leaver = asyncio.create_task(reader.answers("same", [query], {}))
    stayer = asyncio.create_task(reader.answers("same", [query], {}))
    await asyncio.sleep(0)
    leaver.cancel()
    assert (await stayer)["slow"]["rows"] == [{"slept": 0}]
    reader.close()


async def test_the_page_can_only_read(full: Settings) -> None:
    reader = QueryClient(lambda: connect(full))
    answer = await reader.answers("x", [Query("bad", "CREATE TABLE stray (x UInt8) ENGINE = Memory", "Bad.")], {})
    assert "readonly" in answer["bad"]["error"].lower()
    reader.close()


async def test_too_many_different_questions_are_refused_rather_than_piled_up(
    full: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clickhouse.query_client.WAITING", 2)
    reader = QueryClient(lambda: connect(full))
    query = Query("slow", "SELECT sleep(0.2) AS slept", "Slow.")
    first = [asyncio.create_task(reader.answers(n, [query], {})) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Retry, match="too many"):
        await reader.answers(3, [query], {})
    await asyncio.gather(*first)
    reader.close()


def test_a_first_visit_loads_less_than_450_kb() -> None:
    files = [path for path in STATIC.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg")]
    assert len(files) > 20
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 450_000
