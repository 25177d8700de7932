"""What is a part of a view is answered by asking the view once, with the rows that the part itself gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from clickhouse import counting, queries, rounds
from clickhouse.query_client import QueryClient
from clickhouse.query_parameters import QueryParameters
from clickhouse.rounds import PARTS, apart, gathered
from clickhouse.store import connect, insert_lines
from schemas.events import lines
from schemas.settings import Settings
from tests.clickhouse.counted import BASE, Told, events_of
from tests.clickhouse.test_quiet_periods import Listening

AB = [queries.get(name) for name in ("ab_summary", "ab_replies", "ab_clicks", "ab_opens")]


@pytest.fixture(scope="module")
def variants_told(own_database: Settings) -> Settings:
    """Two campaigns of two steps, each in two variants, some of whose emails were opened, clicked in and replied to."""
    stories = [
        Told(campaign, step, lead, kind, BASE + timedelta(hours=lead), 0)
        for campaign in ("spring", "autumn")
        for step in (1, 2)
        for lead in range(12)
        for kind in ("sent", "open human", "click human", "reply")[: 1 + (lead * step) % 4]
    ]
    with connect(own_database) as client:
        insert_lines(client, "events", lines(events_of(stories)))
        counting.roll(client)
    return own_database


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: a question that took too long is another test's subject."""
    monkeypatch.setattr("clickhouse.query_client._SETTINGS", {"readonly": 1})


async def _answers(settings: Settings, asked: list[queries.Query]) -> tuple[dict[str, object], list[str]]:
    client = Listening(connect(settings))
    reader = QueryClient(lambda: client)  # type: ignore[arg-type,return-value]
    given = QueryParameters(BASE - timedelta(hours=1), BASE + timedelta(days=2), (), "UTC").parameters()
    answers = await reader.answers("board", asked, given)
    reader.close()
    return dict(answers), client.asked


async def test_a_board_of_tests_asks_for_all_of_them_once(
    variants_told: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: dict[str, object] = {}
    for query in AB:
        alone |= (await _answers(variants_told, [query]))[0]
    together, sent = await _answers(variants_told, AB)
    assert together == alone
    assert all(len(answer["rows"]) > 2 for answer in together.values())  # type: ignore[index]
    assert sorted(sent[1:]) == sorted(query.expanded for query in (AB[0], queries.get("ab")))

    # A whole that may have been cut is not relied on.
    monkeypatch.setattr(rounds, "PARTS", {name: replace(part, most=24) for name, part in PARTS.items()})
    together, sent = await _answers(variants_told, AB)
    assert together == alone
    assert {query.expanded for query in AB} < set(sent)


def test_one_part_by_itself_is_asked_as_it_is() -> None:
    assert gathered(AB[:2]) == AB[:2]
    assert [query.name for query in gathered(AB)] == ["ab_summary", "ab"]
    assert gathered([queries.get("headline"), queries.get("headline")]) == [queries.get("headline")]


def test_a_whole_that_failed_is_the_failure_of_its_parts() -> None:
    failed = {"error": "Memory limit exceeded"}
    assert apart(AB, {"ab_summary": {"rows": []}, "ab": failed}) == {
        "ab_summary": {"rows": []}, "ab_replies": failed, "ab_clicks": failed, "ab_opens": failed,
    }  # fmt: skip


def test_parts_are_found_by_what_the_views_say_and_have_the_order_of_the_whole() -> None:
    assert set(PARTS) == {"ab_replies", "ab_clicks", "ab_opens"}
    assert {(part.whole.name, part.column, part.limit, part.most) for part in PARTS.values()} == {
        ("ab", "metric", 1000, 3000)
    }
    order = "ORDER BY campaign_name, campaign_id, step, "
    assert order + "indexOf(['reply', 'click', 'open'], metric), variant != baseline, variant" in (
        queries.VIEWS["ab"].definition
    )
    for name in PARTS:
        assert order + "variant != baseline, variant" in queries.VIEWS[name].definition
