"""Every kind of panel as Grafana draws it, asked of the known week as Grafana would ask."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import grafana
from dashboards.boards import BOARDS
from dashboards.grafana import links, trial
from dashboards.grafana.expand import Choice, expand
from dashboards.grafana.model import dashboard
from dashboards.panels import Board, Color, Unit
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
    assert series["fieldConfig"]["defaults"]["unit"] == "locale", "5,869, not 5.87 K"
    assert override(series, "Wait")["unit"] == Unit.SECONDS
    assert override(series, "Size")["unit"] == Unit.BYTES
    assert "unit" not in override(series, "Emails")
    assert series["targets"][0]["rawSql"].endswith('ORDER BY "Time"')


def test_a_stat_of_words_or_of_a_moment_is_not_passed_over(model: Model) -> None:
    assert panel(model, "stat")["options"]["reduceOptions"]["fields"] == "/.*/"


def change(name: str, client: Client, **chosen: list[str]) -> Any:
    """What a card of the Overview says of the period before."""
    card = panel(dashboard(BOARDS[0]), name)
    assert card["options"]["showPercentChange"] is False
    assert ' AS "Change"\nFROM ' in card["targets"][0]["rawSql"]
    return rows(card, client, **chosen)[-1][-1]


def test_a_change_is_in_points_for_rates_and_in_percent_for_counts_and_none_where_there_is_nothing_before(
    client: Client, empty_client: Client
) -> None:
    sent = panel(dashboard(BOARDS[0]), "Emails sent")
    (before, none), (now, moved) = rows(sent, client)
    assert none is None
    assert moved == f"{100 * (now / before - 1):+.0f} %"
    opened = panel(dashboard(BOARDS[0]), "Open rate")
    first, last = rows(opened, client)
    assert last[-1] == f"{100 * (last[0] - first[0]):+.1f} points"
    assert change("Emails sent", client, campaign=["owner's pick"]) is None, "none was sent before"
    assert change("Open rate", empty_client) is None


def test_a_lead_has_no_period_before_so_its_cards_compare_nothing() -> None:
    (lead,) = [board for board in BOARDS if board.key == "lead"]
    for card in dashboard(lead)["panels"]:
        assert "Change" not in card["targets"][0]["rawSql"]


def test_a_better_change_is_green_and_one_that_rounds_to_nothing_is_grey() -> None:
    for name, better in (("Open rate", "+1.0 points"), ("Hard bounces", "-1.0 points")):
        mappings = override(panel(dashboard(BOARDS[0]), name), "Change")["mappings"]

        def color(said: str, mappings: list[dict[str, Any]] = mappings) -> list[str]:
            return [
                one["options"]["result"]["color"]
                for one in mappings
                if re.search(one["options"]["pattern"].strip("/"), said)
            ]

        assert color(better) == [Color.GREEN]
        assert color(better.translate(str.maketrans("+-", "-+"))) == [Color.VERMILLION]
        assert color("+0.0 points") == color("-0.0 points") == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_a_rates_colour_is_that_of_the_number_as_it_is_printed(board: Board) -> None:
    """Both are of the number to a hundredth of a percent: 0.0996 % is printed as 0.10 %, and has that colour."""
    model = dashboard(board)
    for shown in board.panels:
        for field in shown.columns:
            if field.thresholds and field.unit is Unit.RATE:
                drawn = panel(model, shown.title)
                assert f'round({field.column}, 4) AS "{field.title}"' in drawn["targets"][0]["rawSql"]
                defaults = drawn["fieldConfig"]["defaults"]
                assert override(drawn, field.title).get("decimals", defaults.get("decimals")) == 2


def test_a_table_gives_its_room_to_long_texts_and_else_to_what_tells_its_rows_apart() -> None:
    boards = {board.key: dashboard(board) for board in BOARDS}
    replies = panel(boards["campaign"], "Replies")
    assert "custom.minWidth" in override(replies, "Reply")
    assert "custom.width" in override(replies, "Lead")
    assert "custom.minWidth" in override(panel(boards["overview"], "Campaigns"), "Campaign")


def test_words_of_a_state_have_their_colours() -> None:
    boards = {board.key: dashboard(board) for board in BOARDS}
    (states,) = override(panel(boards["overview"], "Campaigns"), "State")["mappings"]
    assert states["options"]["Paused"]["color"] == Color.VERMILLION
    findings = override(panel(boards["ab"], "Replies, which decide"), "Finding")["mappings"]
    assert {one["type"] for one in findings} == {"value", "regex"}


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
