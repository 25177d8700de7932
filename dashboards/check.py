"""Checks rendered boards: their form, and that every query of theirs runs.

It reads the JSON that Grafana reads, not our own data, so that it sees what a viewer would meet.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from clickhouse import queries
from dashboards import grafana
from dashboards.expand import Choice, expand
from dashboards.panels import Area, Unit

GRID_COLUMNS = 24
_UNITS = frozenset(Unit)
_DENOMINATOR = re.compile(r"\b(of (all|the|sent|delivered|opened)\b|denominator)", re.IGNORECASE)
_SINCE, _UNTIL = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 4, 4, tzinfo=UTC)

# What viewers choose: one, many, all; values with what breaks quoting.
_AWKWARD = ["owner's pick", 'say "hi"', "back\\"]
CHOICES = {
    "one of each": Choice(
        _SINCE, _UNTIL, {"campaign": ["spring"], "step": ["1"], "sender": ["a@example.com"], "lead": ["lead-1"]}
    ),
    "many": Choice(
        _SINCE,
        _UNTIL,
        {
            "campaign": ["spring", "autumn", "a,b&id=c"],
            "step": ["0", "1", "255"],
            "sender": ["a@example.com", "b@example.com"],
        },
        "Europe/Paris",
    ),
    "all": Choice(_SINCE, _UNTIL, {}, "America/New_York"),
    "an apostrophe": Choice(
        _SINCE, _UNTIL, {"campaign": _AWKWARD, "sender": _AWKWARD, "lead": ["owner's \\"]}, "Asia/Kolkata"
    ),
}


def check(client: Client | None = None, boards: Mapping[str, Any] | None = None) -> list[str]:
    """What is wrong with the boards (those of `dashboards/dist` as rendered, unless given), one line a problem.

    With a client, whose database must be migrated, every target and variable is run as well, for each of CHOICES.
    """
    models = boards if boards is not None else _rendered()
    problems = [f"{name}: {problem}" for name, model in models.items() for problem in _form(model)]
    uids = Counter(model.get("uid") for model in models.values())
    problems += [f"uid {uid} is used by {count} boards" for uid, count in uids.items() if count > 1]
    if client is not None:
        for name, model in models.items():
            problems += [f"{name}: {problem}" for problem in _runs(model, client)]
    return problems


def _rendered() -> dict[str, Any]:
    return {path.name: json.loads(text) for path, text in grafana.render().items()}


def _form(model: Mapping[str, Any]) -> Iterator[str]:
    for key in ("uid", "title", "description", "tags"):
        if not model.get(key):
            yield f"the board has no {key}"
    if model.get("schemaVersion") != grafana.SCHEMA_VERSION:
        yield f"schemaVersion is not {grafana.SCHEMA_VERSION}"
    if model.get("editable") is not False:
        yield "the board is editable"
    if model.get("graphTooltip") != 1:
        yield "panels do not share a crosshair"
    names = [variable["name"] for variable in model["templating"]["list"]]
    if "datasource" not in names:
        yield "there is no datasource variable"
    yield from _datasources(model)
    panels = model["panels"]
    for key in ("id", "title"):
        for value, count in Counter(panel.get(key) for panel in panels).items():
            if count > 1:
                yield f"{key} {value} is on {count} panels"
    for panel in panels:
        for problem in _panel_form(panel):
            yield f"panel {panel.get('title') or panel.get('id')}: {problem}"
    for one, other in itertools.combinations(panels, 2):
        if _area(one).overlaps(_area(other)):
            yield f"panels {one['title']} and {other['title']} overlap"


def _panel_form(panel: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(panel.get("id"), int):
        yield "no id"
    if not panel.get("title"):
        yield "no title"
    description = panel.get("description", "")
    if not _DENOMINATOR.search(description):
        yield "the description does not state the denominator"
    defaults = panel["fieldConfig"]["defaults"]
    if not defaults.get("noValue"):
        yield "no noValue text"
    units = [defaults.get("unit")] + [
        prop["value"]
        for override in panel["fieldConfig"]["overrides"]
        for prop in override["properties"]
        if prop["id"] == "unit"
    ]
    for unit in units:
        if unit not in _UNITS:
            yield f"unit {unit!r} is not one of {', '.join(sorted(_UNITS))}"
    area = _area(panel)
    if area.x < 0 or area.y < 0 or area.width < 1 or area.height < 1 or area.x + area.width > GRID_COLUMNS:
        yield "it leaves the grid"
    if not panel.get("targets"):
        yield "no target"
    known = {grafana.translate(query.sql) for query in queries.ALL.values() if grafana.can_ask(query)}
    for target in panel.get("targets", ()):
        if _inner(target["rawSql"]) not in known:
            yield "its SQL is no query of clickhouse/queries"


def _datasources(part: Any) -> Iterator[str]:
    """Every datasource reference must go through the variable: a fixed uid fits one Grafana only. Every Grafana has its
    own store of annotations."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "datasource" and value not in (grafana.DATASOURCE, grafana.OWN_STORE):
                yield f"hard-coded datasource {value}"
            else:
                yield from _datasources(value)
    elif isinstance(part, list):
        for item in part:
            yield from _datasources(item)


def _runs(model: Mapping[str, Any], client: Client) -> Iterator[str]:
    variables = [v for v in model["templating"]["list"] if v["type"] == "query"]
    asked = [(f"variable {v['name']}", v["query"]["rawSql"]) for v in variables]
    asked += [(f"panel {p['title']}", target["rawSql"]) for p in model["panels"] for target in p["targets"]]
    for what, raw_sql in asked:
        for choice_name, choice in CHOICES.items():
            try:
                client.query(expand(raw_sql, choice, grafana.ALL))
            except (ClickHouseError, ValueError) as error:
                yield f"{what}, {choice_name}: {str(error).splitlines()[0][:300]}"


def _inner(raw_sql: str) -> str:
    """The query inside the target's `SELECT columns FROM ( ... )`, without the indentation it was given there."""
    _, _, rest = raw_sql.partition("\nFROM\n(\n")
    inner, _, _ = rest.rpartition("\n)")
    return "\n".join(line.removeprefix("    ") for line in inner.split("\n"))


def _area(panel: Mapping[str, Any]) -> Area:
    grid = panel["gridPos"]
    return Area(grid["x"], grid["y"], grid["w"], grid["h"])
