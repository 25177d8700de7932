"""The boards for Grafana: as committed, as checked, and that the check sees each fault."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from clickhouse.store import connect
from dashboards import grafana
from dashboards.boards import BOARDS
from dashboards.grafana.alerts import provisioned
from dashboards.grafana.check import check
from dashboards.grafana.expand import Choice, expand
from dashboards.grafana.model import dashboard
from dashboards.grafana.trial import CHOICES, run_board, run_rules
from dashboards.page.page import STATIC
from tests.dashboards.conftest import settings_for
from tests.dashboards.data import SINCE, UNTIL
from tests.dashboards.specimen import SPECIMEN
from tests.support.migrated import MIGRATED, start_migrated

Model = dict[str, Any]
OVERVIEW = "overview.json"
ALL = {"all": CHOICES["all"]}


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return {path.name: text for path, text in grafana.render().items() if path.parent == grafana.DIST}


@pytest.fixture
def boards(rendered: dict[str, str]) -> dict[str, Model]:
    """Every board as Grafana would read it; free to be spoilt."""
    return {name: json.loads(text) for name, text in rendered.items()}


@pytest.fixture
def model(boards: dict[str, Model]) -> Model:
    return boards[OVERVIEW]


def test_the_committed_files_are_what_the_boards_render_now() -> None:
    assert grafana.stale() == []


@pytest.mark.parametrize("key", [board.key for board in BOARDS])
def test_every_target_and_variable_runs_for_one_many_all_and_awkward_campaigns(
    key: str, client: Client, boards: dict[str, Model]
) -> None:
    assert list(run_board(boards[f"{key}.json"], client)) == []


def each_once(boards: dict[str, Model]) -> Model:
    """A board that asks all that the boards ask, each query once; that panels can have their columns is tried above."""
    panels: dict[str, Model] = {}
    others: dict[str, list[Model]] = {"templating": [], "annotations": []}
    for board in boards.values():
        for panel in board["panels"]:
            for target in panel["targets"]:
                panels.setdefault(target["rawSql"].partition("\nFROM\n(\n")[2], {**panel, "targets": [target]})
        for part, found in others.items():
            found += [one for one in board[part]["list"] if one not in found]
    return {"panels": list(panels.values()), **{part: {"list": found} for part, found in others.items()}}


def test_every_query_runs_where_nothing_was_ever_sent(empty_client: Client, boards: dict[str, Model]) -> None:
    assert list(run_board(each_once(boards), empty_client, ALL)) == []


def test_a_query_that_does_not_run_is_reported_with_the_choice_it_fails_for(client: Client, model: Model) -> None:
    model["panels"] = model["panels"][:2]
    model["panels"][0]["targets"][0]["rawSql"] += " nonsense nonsense"
    problems = [problem for problem in run_board(model, client) if "panel Emails sent" in problem]
    assert [choice for choice in CHOICES for problem in problems if choice in problem] == list(CHOICES)


def spoil(path: str, value: object) -> Callable[[Model], None]:
    """Set what stands at a path. In a list a part is a place, or what something is called."""

    def named(part: Any, name: str) -> Any:
        if not isinstance(part, list):
            return part[name]
        if name.isdigit():
            return part[int(name)]
        (found,) = [
            one for one in part if name in (one.get("title"), one.get("name"), one.get("matcher", {}).get("options"))
        ]
        return found

    def apply(model: Model) -> None:
        *way, last = path.split(".")
        place: Any = model
        for part in way:
            place = named(place, part)
        place[int(last) if last.isdigit() else last] = value

    return apply


CAMPAIGNS = "panels.Campaigns.fieldConfig.overrides"


def spoil_link(old: str, new: str) -> Callable[[Model], None]:
    """Change the addresses that the Campaigns' names lead to."""

    def apply(model: Model) -> None:
        for override in next(p for p in model["panels"] if p["title"] == "Campaigns")["fieldConfig"]["overrides"]:
            for prop in override["properties"]:
                if prop["id"] == "links":
                    assert old in prop["value"][0]["url"]
                    prop["value"][0]["url"] = prop["value"][0]["url"].replace(old, new)

    return apply


def spoil_property(column: str, name: str, value: object) -> Callable[[Model], None]:
    """Set what is said of a column of the Campaigns; None takes it away."""

    def apply(model: Model) -> None:
        table = next(one for one in model["panels"] if one["title"] == "Campaigns")
        (override,) = [one for one in table["fieldConfig"]["overrides"] if one["matcher"]["options"] == column]
        kept = [prop for prop in override["properties"] if prop["id"] != name]
        assert len(kept) < len(override["properties"])
        override["properties"] = kept + ([] if value is None else [{"id": name, "value": value}])

    return apply


FAULTS = {
    "no uid": (spoil("uid", ""), "has no uid"),
    "no board title": (spoil("title", ""), "has no title"),
    "no tag": (spoil("tags", []), "has no tags"),
    "another schema": (spoil("schemaVersion", 41), "schemaVersion"),
    "editable": (spoil("editable", True), "editable"),
    "crosshairs apart": (spoil("graphTooltip", 0), "crosshair"),
    "no datasource variable": (spoil("templating.list.0.name", "other"), "no datasource variable"),
    "panel's datasource": (spoil("panels.2.datasource", {"type": "x", "uid": "P4F"}), "hard-coded datasource"),
    "target's datasource": (spoil("panels.2.targets.0.datasource.uid", "P4F"), "hard-coded datasource"),
    "variable's datasource": (spoil("templating.list.1.datasource.uid", "P4F"), "hard-coded datasource"),
    "a long uid": (spoil("uid", "x" * 41), "longer than 40"),
    "same id": (spoil("panels.3.id", 1), "id 1 is on 2 panels"),
    "same title": (spoil("panels.3.title", "Open rate"), "title Open rate is on 2"),
    "no panel title": (spoil("panels.3.title", ""), "no title"),
    "no denominator": (spoil("panels.3.description", "How many unsubscribed."), "denominator"),
    "no text for no value": (spoil("panels.3.fieldConfig.defaults.noValue", ""), "noValue"),
    "no unit": (spoil("panels.3.fieldConfig.defaults.unit", None), "unit None"),
    "odd unit": (spoil("panels.3.fieldConfig.defaults.unit", "parsecs"), "unit 'parsecs'"),
    "odd unit of a column": (spoil(f"{CAMPAIGNS}.Sent.properties.0.value", "x"), "unit 'x'"),
    "a rounded count": (spoil("panels.3.fieldConfig.defaults.unit", "short"), "5.87 K for 5,869"),
    "a change that Grafana makes up": (
        spoil("panels.3.options.showPercentChange", True),
        "say the change in the query",
    ),
    "too small": (spoil("panels.Activity.gridPos.h", 5), "too small to read"),
    "a column without a width": (spoil_property("Sent", "custom.width", None), "Sent: no width"),
    "columns off the screen": (spoil_property("Sent", "custom.width", 900), "on a screen of 1400"),
    "none that grows": (spoil_property("Campaign", "custom.minWidth", None), "no column gets the room"),
    "a state without colours": (spoil_property("State", "mappings", []), "State: its words have no colours"),
    "a word without a colour": (
        spoil_property("State", "mappings", [{"type": "value", "options": {"Paused": {"text": "Paused"}}}]),
        "State: a word has no colour",
    ),
    "a colour by what is not printed": (spoil_property("Complaints", "decimals", 1), "fewer than two decimals"),
    "overlap": (spoil("panels.3.gridPos.x", 16), "overlap"),
    "off the grid": (spoil("panels.3.gridPos.w", 7), "leaves the grid"),
    "no target": (spoil("panels.3.targets", []), "no target"),
    "SQL of its own": (spoil("panels.3.targets.0.rawSql", "SELECT 1"), "asks no view of"),
    "a variable that is not offered": (
        spoil("templating.list.campaign.name", "other"),
        "asks for the variable campaign",
    ),
    "no way to other boards": (spoil("links.0.keepTime", False), "no list of the other boards"),
    "other boards of another tag": (spoil("links.0.tags", ["x"]), "no list of the other boards"),
    "a link to no board": (spoil_link("/d/sendlens-", "/d/nowhere-"), "which is no board"),
    "a link that sets what is not there": (spoil_link("var-campaign", "var-camp"), "its link sets camp,"),
    "a link from a column that is not there": (spoil_link("campaign_id", "campaign_ids"), "does not give"),
    "a link that is not encoded": (spoil_link(":percentencode", ""), "which is not known"),
    "a link that forgets the period": (spoil_link("&${__url_time_range}", ""), "forgets the period"),
    "a link that forgets the datasource": (spoil_link("&${datasource:queryparam}", ""), "forgets the datasource"),
    "a link that keeps what is not there": (
        spoil_link("&${__url_time_range}", "&${__url_time_range}&${nothing:queryparam}"),
        "its link keeps nothing,",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_sees(fault: str, boards: dict[str, Model]) -> None:
    apply, complaint = FAULTS[fault]
    assert check(None, boards) == []
    apply(boards[OVERVIEW])
    assert complaint in "\n".join(check(None, boards))


def test_the_check_sees_a_link_that_forgets_a_choice(boards: dict[str, Model]) -> None:
    """A step of the Campaign board leads to its A/B test, of the campaign that was chosen."""
    text = json.dumps(boards["campaign.json"])
    assert "&${campaign:queryparam}" in text
    spoilt = json.loads(text.replace("&${campaign:queryparam}", ""))
    found = check(None, {**boards, "campaign.json": spoilt})
    assert "its link forgets the choice of campaign, which both boards offer" in "\n".join(found)


def test_the_check_sees_two_boards_of_one_uid(boards: dict[str, Model]) -> None:
    assert "uid sendlens-overview is on 2 boards" in check(None, {**boards, "y": boards[OVERVIEW]})


def test_the_check_sees_an_annotation_that_says_nothing(client: Client) -> None:
    spoilt = dashboard(SPECIMEN)
    target = spoilt["annotations"]["list"][0]["target"]
    target["rawSql"] = target["rawSql"].replace("    text,", "    1 AS text,")
    assert len([problem for problem in run_board(spoilt, client) if "needs a `time` and a `text`" in problem]) == 4


def test_the_reader_may_ask_all_that_boards_and_rules_ask_and_change_nothing(
    tmp_path: Path, boards: dict[str, Model]
) -> None:
    server = start_migrated(tmp_path / "data", password="writer", readonly_user="reader", readonly_password="reads")
    try:
        reader = settings_for(server.url, MIGRATED, clickhouse_user="reader", clickhouse_password="reads")
        with connect(reader) as client:
            assert list(run_board(each_once(boards), client, ALL)) == []
            assert list(run_rules(provisioned(), client)) == []
            with pytest.raises(DatabaseError, match="readonly"):
                client.command("TRUNCATE TABLE events")
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("campaigns", "sent"),
    [
        (None, 50),
        (["spring"], 40),
        (["owner's pick"], 10),
        (["owner's pick", "spring"], 50),
        (["x') OR 1=1 --"], 0),
        (["\\"], 0),
        (["all-of-them"], 0),
    ],
)
def test_grafana_counts_what_the_page_counts(
    campaigns: list[str] | None, sent: int, model: Model, client: Client
) -> None:
    sql = expand(model["panels"][0]["targets"][0]["rawSql"], Choice(SINCE, UNTIL, {"campaign": campaigns}), grafana.ALL)
    _, (now, _change) = client.query(sql).result_rows
    assert now == sent


@pytest.mark.parametrize("chosen", ["utc", "", "Europe/Paris", "Asia/Kolkata"])
def test_days_follow_the_timezone_that_grafana_names_its_own_way(chosen: str, model: Model, client: Client) -> None:
    activity = next(panel for panel in model["panels"] if panel["title"] == "Activity")
    sql = expand(activity["targets"][0]["rawSql"], Choice(SINCE, UNTIL, {}, chosen), grafana.ALL)
    assert sum(row[1] for row in client.query(sql).result_rows) == 50


def test_nothing_that_grafana_would_leave_in_the_sql_goes_unseen() -> None:
    with pytest.raises(ValueError, match="conditionalAll"):
        expand("SELECT $__conditionalAll(1, $campaign)", CHOICES["one of each"], "")
    with pytest.raises(ValueError, match="unknown"):
        expand("SELECT '${unknown}'", CHOICES["one of each"], "")


def test_a_table_hides_the_id_that_its_link_needs(model: Model) -> None:
    table = next(panel for panel in model["panels"] if panel["title"] == "Campaigns")
    overrides = {o["matcher"]["options"]: o["properties"] for o in table["fieldConfig"]["overrides"]}
    assert {"id": "custom.hideFrom.viz", "value": True} in overrides["campaign_id"]
    (link,) = [p["value"][0]["url"] for p in overrides["Campaign"] if p["id"] == "links"]
    assert link.startswith("/d/sendlens-campaign?var-campaign=${__data.fields.campaign_id:percentencode}")


def test_the_stat_shows_this_period_and_never_the_one_before(model: Model) -> None:
    """`lastNotNull` would show the earlier period's rate when nothing was sent in this one."""
    stats = [panel for panel in model["panels"] if panel["type"] == "stat"]
    assert {tuple(panel["options"]["reduceOptions"]["calcs"]) for panel in stats} == {("last",)}


def test_provisioning_names_the_plugin_and_no_secret() -> None:
    (source,) = yaml.safe_load((grafana.PROVISIONING / "datasources/sendlens.yaml").read_text())["datasources"]
    assert source["type"] == grafana.PLUGIN
    assert source["secureJsonData"]["password"].startswith("$")
    (provider,) = yaml.safe_load((grafana.PROVISIONING / "dashboards/sendlens.yaml").read_text())["providers"]
    assert (provider["type"], provider["disableDeletion"], provider["allowUiUpdates"]) == ("file", True, False)


def test_the_shipped_chart_library_is_the_one_its_note_names() -> None:
    rows = re.findall(r"`([\w.-]+\.js)`.*`([0-9a-f]{64})`", (STATIC / "vendor/README.md").read_text())
    assert [name for name, _ in rows] == sorted(path.name for path in (STATIC / "vendor").glob("*.js"))
    for name, digest in rows:
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest


def test_keys_and_ids_are_told_apart() -> None:
    for board in BOARDS:
        assert (
            len({panel.id for panel in board.panels}) == len({panel.key for panel in board.panels}) == len(board.panels)
        )
