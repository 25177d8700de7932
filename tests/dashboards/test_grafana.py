"""Every kind of panel as Grafana draws it, asked of the known week as Grafana would ask."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import grafana, links, trial
from dashboards.boards import BOARDS
from dashboards.expand import Choice, expand
from dashboards.grafana.model import dashboard
from dashboards.panels import Board, Unit
from tests.dashboards.data import BEFORE_AT, PICK_AT, SINCE, SPRING_AT, UNTIL
from tests.dashboards.specimen import SPECIMEN

Model = dict[str, Any]
MODELS = [*BOARDS, SPECIMEN]


@pytest.fixture(scope="module")
def model() -> Model:
    return dashboard(SPECIMEN)


def panel(model: Model, kind: str) -> Model:
    (found,) = [one for one in model["panels"] if one["title"] == kind]
    assert isinstance(found, dict)
    return found


def override(panel: Model, name: str) -> dict[str, Any]:
    """The properties of a column."""
    return {
        prop["id"]: prop["value"]
        for one in panel["fieldConfig"]["overrides"]
        if one["matcher"] == {"id": "byName", "options": name}
        for prop in one["properties"]
    }


def rows(panel: Model, client: Client, **chosen: list[str]) -> list[tuple[Any, ...]]:
    sql = expand(panel["targets"][0]["rawSql"], Choice(SINCE, UNTIL, chosen), grafana.ALL)
    return [tuple(row) for row in client.query(sql).result_rows]


def test_the_specimen_is_whole_and_runs(model: Model, client: Client, empty_client: Client) -> None:
    boards = {"overview": dashboard(BOARDS[0]), "specimen": model}
    assert list(links.wrong(model, boards)) == []
    assert list(trial.run_board(model, client)) == []
    assert list(trial.run_board(model, empty_client)) == []


def test_a_heatmap_is_a_table_with_a_line_of_coloured_cells(model: Model, client: Client) -> None:
    heatmap = panel(model, "heatmap")
    assert heatmap["type"] == "table"
    defaults = heatmap["fieldConfig"]["defaults"]
    assert defaults["custom"]["cellOptions"]["type"] == "color-background"
    assert defaults["color"]["mode"].startswith("continuous-")
    assert override(heatmap, "Weekday")["custom.cellOptions"] == {"type": "auto"}
    # Lines in the order of the query, which is Sunday first; no row, no number.
    assert rows(heatmap, client) == [("Wed", None, 10, "owner's pick"), ("Mon", 40, None, "spring")]
    sql = heatmap["targets"][0]["rawSql"]
    assert '"9"' in sql
    assert '"15"' in sql


def test_the_lines_of_a_heatmap_keep_their_order_however_many_threads_there_are(model: Model, client: Client) -> None:
    sql = expand(panel(model, "heatmap")["targets"][0]["rawSql"], Choice(SINCE, UNTIL), grafana.ALL)
    for threads in (1, 2, 8, 16):
        for _ in range(5):
            lines = client.query(sql, settings={"max_threads": threads, "max_block_size": 1}).result_rows
            assert [line[0] for line in lines] == ["Wed", "Mon"]


def test_a_histogram_is_upright_bars_in_the_order_of_the_rows(model: Model, client: Client) -> None:
    histogram = panel(model, "histogram")
    assert (histogram["type"], histogram["options"]["orientation"]) == ("barchart", "vertical")
    assert histogram["options"]["xField"] == "Step"
    assert sorted(rows(histogram, client)) == [("1", 40, 0.5), ("2", 10, 0.5)]
    # What has another unit is told by the tooltip: as a bar it would say the same again on an axis of its own.
    assert override(histogram, "Share")["custom.hideFrom"] == {"viz": True, "legend": True, "tooltip": False}
    assert histogram["options"]["legend"]["showLegend"] is False
    assert "custom.hideFrom" not in override(histogram, "Emails")
    assert panel(model, "bar")["options"]["orientation"] == "horizontal"


def test_a_timeline_is_a_table_of_moments_newest_first(model: Model, client: Client) -> None:
    timeline = panel(model, "timeline")
    assert timeline["type"] == "table"
    assert override(timeline, "When")["unit"] == Unit.TIME
    found = rows(timeline, client, lead=["lead-3"])
    assert [moment.date() for moment, *_ in found] == [PICK_AT.date(), SPRING_AT.date(), BEFORE_AT.date()]
    assert [what for _, what, _ in found] == ["sent"] * 3
    assert rows(timeline, client) == []  # no lead named, none shown


def test_each_field_has_its_unit_and_each_unit_an_axis(model: Model) -> None:
    series = panel(model, "time-series")
    assert series["fieldConfig"]["defaults"]["unit"] == Unit.COUNT
    assert override(series, "Wait")["unit"] == Unit.SECONDS
    assert override(series, "Size")["unit"] == Unit.BYTES
    assert "unit" not in override(series, "Emails")
    assert series["targets"][0]["rawSql"].endswith('ORDER BY "Time"')


def test_a_stat_of_words_or_of_a_moment_is_not_passed_over(model: Model) -> None:
    assert panel(model, "stat")["options"]["reduceOptions"]["fields"] == "/.*/"
    overview = dashboard(BOARDS[0])
    assert {one["options"]["reduceOptions"]["fields"] for one in overview["panels"] if one["type"] == "stat"} == {""}


def test_a_cell_without_a_value_is_a_dash_and_a_table_without_rows_says_why(model: Model) -> None:
    table = panel(model, "table")
    assert table["fieldConfig"]["defaults"]["noValue"] == "Nothing sent"
    first = table["fieldConfig"]["overrides"][0]
    assert first == {
        "matcher": {"id": "byRegexp", "options": "/.*/"},
        "properties": [{"id": "noValue", "value": "–"}],
    }


def test_marks_come_from_the_boards_datasource_and_not_from_the_guard_too(model: Model, client: Client) -> None:
    (marks,) = model["annotations"]["list"]
    assert marks["datasource"] == grafana.DATASOURCE
    result = client.query(expand(marks["target"]["rawSql"], Choice(SINCE, UNTIL), grafana.ALL))
    assert result.column_names == ("time", "text", "tags")
    assert result.result_rows[0][1:] == ("Spring sale paused", "sendlens")


def without_marks() -> Iterator[Board]:
    yield from (board for board in BOARDS if not board.marks)


def test_a_board_without_marks_shows_what_the_guard_told_grafana() -> None:
    for board in without_marks():
        (told,) = dashboard(board)["annotations"]["list"]
        assert told["datasource"] == grafana.OWN_STORE


def test_a_bar_leads_to_another_board_with_the_choices_that_both_know(model: Model) -> None:
    (link,) = panel(model, "bar")["fieldConfig"]["defaults"]["links"]
    assert link["url"] == (
        "/d/sendlens-overview?var-campaign=${__data.fields.campaign:percentencode}"
        "&${__url_time_range}&${datasource:queryparam}"
    )
    (row,) = override(panel(model, "table"), "Campaign")["links"]
    assert row["url"].endswith("&${step:queryparam}&${sender:queryparam}&${lead:queryparam}")


def test_the_list_of_boards_keeps_period_and_choices(model: Model) -> None:
    (boards,) = model["links"]
    assert (boards["type"], boards["keepTime"], boards["includeVars"]) == ("dashboards", True, True)
    assert boards["tags"] == ["sendlens"]


def test_a_lead_is_typed(model: Model) -> None:
    (lead,) = [one for one in model["templating"]["list"] if one["name"] == "lead"]
    assert (lead["type"], lead["current"]["value"]) == ("textbox", "")


def lost(said: Any, kept: Any, place: str = "") -> list[str]:
    """What Grafana's own types do not know of a model, by place."""
    if isinstance(said, dict):
        return [
            one
            for name, value in said.items()
            for one in (lost(value, kept[name], f"{place}.{name}") if name in kept else [f"{place}.{name}"])
            if name in kept or value is not None
        ]
    if isinstance(said, list):
        assert len(said) == len(kept), place
        return [one for n, pair in enumerate(zip(said, kept, strict=True)) for one in lost(*pair, f"{place}.{n}")]
    return [] if said == kept else [place]


def through_grafanas_types(model: Model) -> Model:
    register_default_plugins()
    read = Dashboard.from_json(copy.deepcopy(model))
    encoded: Model = json.loads(JSONEncoder().encode(read))
    return encoded


@pytest.mark.parametrize("board", MODELS, ids=lambda board: board.key)
def test_grafanas_own_types_know_every_word_of_it(board: Board) -> None:
    """Of the Foundation SDK, which is generated from Grafana's schemas: what they do not know is dropped."""
    model = dashboard(board)
    assert lost(model, through_grafanas_types(model)) == []


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ((), "graphToolTip"),
        (("panels", 0), "titel"),
        (("panels", 0, "fieldConfig", "defaults"), "noValues"),
        (("panels", 1, "options", "legend"), "show"),
        (("panels", 1, "fieldConfig", "defaults", "custom"), "fillOpaqueness"),
        (("annotations", "list", 0), "colour"),
        (("templating", "list", 1), "allValues"),
    ],
)
def test_a_word_that_grafana_does_not_know_would_be_seen(place: tuple[str | int, ...], name: str) -> None:
    model = dashboard(SPECIMEN)
    part: Any = model
    for step in place:
        part = part[step]
    part[name] = "x"
    assert lost(model, through_grafanas_types(model)) == [".".join(map(str, ("", *place, name)))]
