"""Checks rendered boards and alert rules: their form, that links lead somewhere, and that every query of theirs runs.

It reads the JSON that Grafana reads, not our own data, so that it sees what a viewer would meet.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse import queries
from dashboards import grafana, links, trial
from dashboards.panels import Area, Unit

GRID_COLUMNS = 24
LONGEST_UID = 40  # characters, Grafana's limit
_UNITS = frozenset(Unit)
_DENOMINATOR = re.compile(r"\b(of (all|the|sent|delivered|opened)\b|denominator)", re.IGNORECASE)


def check(
    client: Client | None = None,
    boards: Mapping[str, Any] | None = None,
    alerting: Mapping[str, Any] | None = None,
) -> list[str]:
    """What is wrong with the boards and alert rules (those rendered now, unless given), one line a problem.

    With a client, whose database must be migrated, every target, variable, annotation and rule is run as well, for each
    of `trial.CHOICES`.
    """
    models = boards if boards is not None else _rendered(grafana.DIST)
    (rules,) = (alerting,) if alerting is not None else _rendered(grafana.PROVISIONING / "alerting").values()
    problems = [f"{name}: {problem}" for name, model in models.items() for problem in _form(model)]
    problems += _shared(models.values(), ("uid",), "boards")
    problems += [f"{name}: {problem}" for name, model in models.items() for problem in links.wrong(model, models)]
    problems += [f"alert {problem}" for problem in _rules_form(rules)]
    if client is not None:
        for name, model in models.items():
            problems += [f"{name}: {problem}" for problem in trial.run_board(model, client)]
        problems += [f"alert {problem}" for problem in trial.run_rules(rules, client)]
    return problems


def _rendered(folder: Any) -> dict[str, Any]:
    return {path.name: json.loads(text) for path, text in grafana.render().items() if path.parent == folder}


def _form(model: Mapping[str, Any]) -> Iterator[str]:
    for key in ("uid", "title", "description", "tags"):
        if not model.get(key):
            yield f"the board has no {key}"
    if len(model.get("uid", "")) > LONGEST_UID:
        yield f"the uid is longer than {LONGEST_UID} characters"
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
    yield from _shared(panels, ("id", "title"), "panels")
    for panel in panels:
        for problem in _panel_form(panel):
            yield f"panel {panel.get('title') or panel.get('id')}: {problem}"
    for one, other in itertools.combinations(panels, 2):
        if _area(one).overlaps(_area(other)):
            yield f"panels {one['title']} and {other['title']} overlap"


def _shared(parts: Iterable[Mapping[str, Any]], keys: Iterable[str], what: str) -> Iterator[str]:
    """What should name one part alone, and names several."""
    for key in keys:
        for value, count in Counter(part.get(key) for part in parts).items():
            if count > 1:
                yield f"{key} {value} is on {count} {what}"


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
    for target in panel.get("targets", ()):
        if _inner(target["rawSql"]) not in _askable():
            yield "its SQL is no query of clickhouse/queries"


@cache
def _askable() -> frozenset[str]:
    """Every query that Grafana can ask, in its terms."""
    return frozenset(grafana.translate(query.sql) for query in queries.ALL.values() if grafana.can_ask(query))


def _rules_form(alerting: Mapping[str, Any]) -> Iterator[str]:
    rules = [rule for group in alerting["groups"] for rule in group["rules"]]
    yield from _shared(rules, ("uid", "title"), "rules")
    for rule in rules:
        for problem in _rule_form(rule):
            yield f"{rule.get('title') or rule.get('uid')}: {problem}"


def _rule_form(rule: Mapping[str, Any]) -> Iterator[str]:
    if not 0 < len(rule.get("uid", "")) <= LONGEST_UID:
        yield f"its uid must have 1 to {LONGEST_UID} characters"
    if not rule.get("title"):
        yield "no title"
    said = rule.get("annotations", {})
    for name in ("summary", "description"):
        if not said.get(name):
            yield f"no {name}"
        elif "$" in said[name]:
            yield f"its {name} has a dollar, which a file of provisioning takes for the environment's"
    if not _DENOMINATOR.search(said.get("description", "")):
        yield "the description does not state the denominator"
    if not rule.get("dashboardUid"):
        yield "it leads to no panel"
    asked = {query["refId"]: query for query in rule["data"]}
    if rule.get("condition") not in asked:
        yield "its condition is none of its queries"
    for query in asked.values():
        model = query["model"]
        if model.get("datasource", {}).get("uid") != query["datasourceUid"]:
            yield f"query {query['refId']} names two datasources"
        if "expression" in model and model["expression"] not in asked:
            yield f"query {query['refId']} compares what is not asked"


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


def _inner(raw_sql: str) -> str:
    """The query inside the target's `SELECT columns FROM ( ... )`, without the indentation it was given there."""
    _, _, rest = raw_sql.partition("\nFROM\n(\n")
    inner, _, _ = rest.rpartition("\n)")
    return "\n".join(line.removeprefix("    ") for line in inner.split("\n"))


def _area(panel: Mapping[str, Any]) -> Area:
    grid = panel["gridPos"]
    return Area(grid["x"], grid["y"], grid["w"], grid["h"])
