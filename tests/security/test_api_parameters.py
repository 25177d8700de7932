"""Each parameter of `/v1` and of the page's numbers with hostile values: the literal value is asked for, or refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.security.house import house
from tests.security.words import CANARY, LEAK, WORDS
from tests.support.broker import Broker

WEEK = {"since": "2026-03-01", "until": "2026-03-09"}
# A slash ends a campaign's id in a path; one with a line's end is no route of ours.
PATHS = [word for word in WORDS if not set(word) & set("/\n")]
BOARD = "/boards/overview.json"
CHECKED = {
    "/v1/stats/daily": ("since", "until", "timezone", "limit", "cursor"),
    "/v1/export?table=events": ("since", "until", "format"),
    "/v1/export": ("table",),
    "/v1/leads/x/timeline": ("limit", "cursor"),
    "/v1/ab/x": ("since", "until", "step"),
    "/v1/campaigns/x/stats": ("since", "until"),
    BOARD: ("since", "until", "timezone", "step"),
}


@pytest.fixture(scope="module")
def client(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Asks ingest and the page, over a database that has an email and a campaign of each word."""
    with house(broker, tmp_path_factory.mktemp("hostile"), WORDS) as (url, _), httpx.Client(base_url=url) as client:
        client.timeout = httpx.Timeout(60)
        yield client


def harmless(answer: httpx.Response) -> httpx.Response:
    """Neither a failure, nor an answer that tells SQL or what nobody may read."""
    assert answer.status_code < 500, answer.text
    for told in (CANARY, "FROM events", "Code: ", "DB::Exception"):
        assert told not in answer.text
    return answer


def got(client: httpx.Client, path: str, **params: Any) -> dict[str, Any]:
    answer = harmless(client.get(path, params=params))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_campaign_of_a_hostile_id_has_its_own_numbers(client: httpx.Client) -> None:
    for word in PATHS:
        stats = got(client, f"/v1/campaigns/{quote(word, safe='')}/stats", **WEEK)
        assert (stats["campaign"], stats["stats"]["sent"], stats["stats"]["replied"]) == (word, 2, 1)
    for word in ("'", "\\", LEAK):
        assert got(client, f"/v1/ab/{quote(word, safe='')}", **WEEK)["campaign"] == word


def test_a_hostile_choice_of_campaigns_finds_those_alone(client: httpx.Client) -> None:
    for word in WORDS:
        daily = got(client, "/v1/stats/daily", campaign=word, **WEEK)
        assert sum(day["sent"] for day in daily["days"]) == 2, word
        rows = exported(client, campaign=word)
        assert [row["campaign"] for row in rows] == [word, word]
    everybody = got(client, BOARD, campaign=WORDS, **WEEK)
    assert everybody["answers"]["headline"]["rows"][-1]["sent"] == 2 * len(WORDS)
    nobody = got(client, BOARD, campaign=[word + "x" for word in WORDS], **WEEK)
    assert nobody["answers"]["headline"]["rows"][-1]["sent"] == 0


def exported(client: httpx.Client, **params: str) -> list[dict[str, Any]]:
    answer = harmless(client.get("/v1/export", params={"table": "emails", "format": "ndjson", **params, **WEEK}))
    return [json.loads(line) for line in answer.text.split("\n") if line]


def test_a_hostile_lead_has_its_own_timeline(client: httpx.Client) -> None:
    for word in PATHS:
        path = f"/v1/leads/{quote(word, safe='')}/timeline"
        timeline = got(client, path, limit=3)
        assert timeline["lead"] == word
        after = got(client, path, limit=3, cursor=timeline["next"])  # the cursor has the word in it
        assert {row["campaign"] for row in timeline["happenings"] + after["happenings"]} == {word}
    for word in ("'", "\\", LEAK):
        board = got(client, "/boards/lead.json", lead=word, **WEEK)
        assert board["answers"]["lead_summary"]["rows"], word
        assert all("rows" in one for one in board["answers"].values()), board["answers"]


def test_hostile_senders_are_themselves_on_a_board(client: httpx.Client) -> None:
    board = got(client, "/boards/deliverability.json", sender=WORDS, **WEEK)
    assert all("rows" in one for one in board["answers"].values()), board["answers"]


def test_a_forged_cursor_is_a_value_too(client: httpx.Client) -> None:
    lead = "’ OR ’1’=’1"
    for word in WORDS:
        mark = [lead, "2026-03-09T00:00:00Z", 1, word]
        cursor = base64.urlsafe_b64encode(json.dumps(mark).encode()).decode().rstrip("=")
        answer = harmless(client.get(f"/v1/leads/{quote(lead)}/timeline", params={"cursor": cursor}))
        assert answer.status_code == 200


@pytest.mark.parametrize(("path", "names"), CHECKED.items(), ids=CHECKED)
def test_what_has_a_form_is_refused_in_any_other(client: httpx.Client, path: str, names: tuple[str, ...]) -> None:
    for name in names:
        for word in WORDS:
            answer = harmless(client.get(path, params={**httpx.URL(path).params, name: word}))
            assert answer.status_code == 422, (name, word, answer.text)
            assert answer.headers["content-type"] in ("application/problem+json", "application/json")
