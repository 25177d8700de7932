"""Of a period in which nothing happened a question is asked in its quiet form, and the answer is the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse import counting, queries
from clickhouse.inlining import select
from clickhouse.query_client import QueryClient
from clickhouse.query_parameters import QueryParameters
from clickhouse.store import connect, insert_lines
from schemas.events import AnyEvent, Bounced, Clicked, Delivered, Opened, Replied, Sent, Unsubscribed, lines
from schemas.settings import Settings
from tests.clickhouse.counted import BASE, Told, events_of

WRITTEN = queries.get("written_in_period")
DAY = timedelta(days=1)


def _given(since: datetime, until: datetime) -> dict[str, Any]:
    return QueryParameters(since, until, (), "Europe/Paris", lead="lead-1").parameters()


# Of those that a board, /v1 or a person asks; the others are only called by these, with more parameters.
QUIET = {
    name: view
    for name, view in queries.VIEWS.items()
    if view.quiet and view.parameters.keys() <= _given(BASE, BASE + DAY).keys()
}
# Kinds that stand in `slots` under the hour in which they happened; the others no view finds by their own time.
_IN_SLOTS = (Sent, Delivered, Bounced, Opened, Clicked, Replied, Unsubscribed)


@pytest.fixture(scope="module")
def told(own_database: Settings) -> list[AnyEvent]:
    """A week with emails on its first and its last day: the first day is counted ahead, the last is not."""
    first = [Told("spring", 1, lead, kind, BASE + timedelta(hours=9 + lead), 0) for lead, kind in _stories()]
    last = [Told("autumn", 2, lead, kind, BASE + 6 * DAY + timedelta(hours=9), 1) for lead, kind in _stories()]
    with connect(own_database) as client:
        insert_lines(client, "events", lines(events_of(first)))
        counting.roll(client)
        insert_lines(client, "events", lines(events_of(last)))
    return events_of([*first, *last])


def _stories() -> Iterator[tuple[int, str]]:
    for lead in range(3):
        for kind in Told.KINDS[lead:]:
            yield lead, kind


@pytest.fixture
def asker(own_database: Settings) -> Iterator[Client]:
    with connect(own_database) as client:
        yield client


def _answer(client: Client, query: queries.Query, since: datetime, until: datetime) -> tuple[list[str], list[Any]]:
    found = json.loads(client.raw_query(query.asked, parameters=query.values(_given(since, until)), fmt="JSONCompact"))
    return [column["name"] for column in found["meta"]], found["data"]


def test_the_boards_questions_have_a_quiet_form_that_reads_no_rows_of_the_period() -> None:
    for name in ("headline", "activity", "funnel", "by_campaign", "hits_by_reason", "campaign_headline", "ab_opens"):
        view = QUIET[name]
        assert "FROM slots" not in view.quiet
        assert len(view.quiet) < 0.85 * len(view.expanded)
    # Health is of all time, so its part of the question stays.
    assert "FROM slots" in QUIET["senders"].quiet
    assert not queries.VIEWS["v_senders"].quiet


@pytest.mark.parametrize("name", sorted(QUIET))
def test_the_quiet_form_gives_what_the_view_gives(told: list[AnyEvent], asker: Client, name: str) -> None:
    since, until = BASE + 4 * DAY, BASE + 5 * DAY + timedelta(milliseconds=17)
    assert _answer(asker, QUIET[name].of_quiet, since, until) == _answer(asker, QUIET[name], since, until)


def test_no_period_is_quiet_in_which_or_before_which_anything_happened(told: list[AnyEvent], asker: Client) -> None:
    moments = sorted(event.at for event in told if isinstance(event, _IN_SLOTS))
    edges = sorted(
        {moment + timedelta(milliseconds=ms) for moment in (moments[0], moments[-1]) for ms in (-1, 0, 1)}
        | {BASE + timedelta(hours=hours) for hours in (-24, 12, 24, 48, 71, 72, 119, 144, 168)}
    )
    quiet = 0
    for since, until in combinations(edges, 2):
        begin = since - (until - since)
        is_quiet = not asker.query(WRITTEN.sql, parameters=WRITTEN.values(_given(since, until))).result_rows
        assert not (is_quiet and any(begin <= moment < until for moment in moments)), (since, until)
        quiet += is_quiet
    assert quiet > 3


def test_a_view_that_looks_further_back_than_the_period_keeps_its_rows() -> None:
    """What begins elsewhere is not known to be quiet, so nothing of it is left out."""
    texts = [
        ("base.sql", (queries.VIEWS_FOLDER / "base.sql").read_text()),
        (
            "further.sql",
            "-- view: further\n-- What happened since the day before.\nSELECT sum(sent) FROM happened_counted(\n"
            "    since = subtractDays({since:DateTime64(3, 'UTC')}, 1),\n    until = {until:DateTime64(3, 'UTC')},\n"
            "    campaigns = [],\n    unit = 'day',\n    timezone = 'UTC'\n)",
        ),
    ]
    views = queries.read(texts, "view")
    assert views["further"].quiet == ""
    assert select(views["further"], views, quiet=True) == views["further"].expanded


class Listening:
    """A real client that keeps what it is asked."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked: list[str] = []

    def query(self, sql: str, *args: Any, **more: Any) -> Any:
        self.asked.append(sql)
        return self._client.query(sql, *args, **more)

    def close(self) -> None:
        self._client.close()


async def test_a_board_looks_once_and_asks_the_quiet_form_of_a_quiet_period_alone(
    told: list[AnyEvent], own_database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clickhouse.query_client._SETTINGS", {"readonly": 1})  # however busy the machine is
    asked = [queries.get("headline"), queries.get("hits_by_verdict")]
    for since, quiet in ((BASE + 4 * DAY, True), (BASE, False)):
        client = Listening(connect(own_database))
        reader = QueryClient(lambda client=client: client)  # type: ignore[misc]
        answers = await reader.answers("board", asked, _given(since, since + DAY))
        assert client.asked[0] == WRITTEN.sql
        assert sorted(client.asked[1:]) == sorted(query.quiet if quiet else query.expanded for query in asked)
        (sent,) = {row["sent"] for row in answers["headline"]["rows"] if row["period"] == 1}
        assert (sent == 0) is quiet
        # Where something was found before, nobody looks again.
        await reader.answers("later", asked, _given(since, since + 2 * DAY))
        assert client.asked.count(WRITTEN.sql) == (2 if quiet else 1)
        reader.close()
