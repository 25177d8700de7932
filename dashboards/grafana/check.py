"""Checks rendered boards and alert rules: their form, that links lead somewhere, and that every query of theirs runs.

It reads the JSON that Grafana reads, not our own data, so that it sees what a viewer would meet.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse import queries
from dashboards import grafana
from dashboards.grafana import links, looks, trial
from dashboards.grafana.columns import GRID_COLUMNS
from dashboards.panels import GridArea

LONGEST_UID = 40  # characters, Grafana's limit
# Of a panel's SQL, which its owner is to read and to change. The longest takes five choices, of 190 characters each.
MOST_LINES, MOST_CHARACTERS = 25, 1200
_CHOICE = re.compile(r"arraySlice\(splitByChar\(.*\)(?=,?$)", re.MULTILINE)
_DENOMINATOR = re.compile(r"\b(of (all|the|sent|delivered|opened)\b|denominator)", re.IGNORECASE)


def check(
    client: Client | None = None,
    boards: Mapping[str, Any] | None = None,
    alerting: Mapping[str, Any] | None = None,
    *,
    keys: Sequence[str] = (),
) -> list[str]:
    """What is wrong with the boards and alert rules (those rendered now, unless given), one line a problem.

    With a client, whose database must be migrated, every target, variable, annotation and rule is run as well, for each
    of `trial.CHOICES`; of the boards of these `keys` alone, if there are any.
    """
    models = boards if boards is not None else _rendered(grafana.DIST)
    (rules,) = (alerting,) if alerting is not None else _rendered(grafana.PROVISIONING / "alerting").values()
    problems = [f"{name}: {problem}" for name, model in models.items() for problem in _form(model)]
    problems += _shared(models.values(), ("uid",), "boards")
    problems += [f"{name}: {problem}" for name, model in models.items() for problem in links.wrong(model, models)]
    problems += [f"alert {problem}" for problem in _rules_form(rules)]
    if client is not None:
        for name in (f"{key}.json" for key in keys) if keys else models:
            problems += [f"{name}: {problem}" for problem in trial.run_board(models[name], client)]
        if not keys:
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


_Panel = Mapping[str, Any]

# What must be so of every panel, and what is said where it is not.
_OF_PANELS: tuple[tuple[str, Callable[[_Panel], bool]], ...] = (
    ("no id", lambda panel: isinstance(panel.get("id"), int)),
    ("no title", lambda panel: bool(panel.get("title"))),
    (
        "the description does not state the denominator",
        lambda panel: bool(_DENOMINATOR.search(panel.get("description", ""))),
    ),
    ("no noValue text", lambda panel: bool(panel["fieldConfig"]["defaults"].get("noValue"))),
    ("it leaves the grid", lambda panel: _is_on_grid(_area(panel))),
    ("no target", lambda panel: bool(panel.get("targets"))),
)


def _panel_form(panel: _Panel) -> Iterator[str]:
    yield from (complaint for complaint, holds in _OF_PANELS if not holds(panel))
    yield from looks.wrong(panel)
    for target in panel.get("targets", ()):
        if _inner(target["rawSql"]) not in _askable():
            yield "its SQL asks no view of clickhouse/views"
        # What a viewer chose is the same long phrase for each variable, whose place its owner knows by its name.
        lines, size = target["rawSql"].count("\n") + 1, len(_CHOICE.sub("", target["rawSql"]))
        if lines > MOST_LINES or size > MOST_CHARACTERS:
            yield f"its SQL has {lines} lines and {size} characters, more than {MOST_LINES} or {MOST_CHARACTERS}"


def _is_on_grid(area: GridArea) -> bool:
    starts_on_it = area.x >= 0 and area.y >= 0
    return starts_on_it and area.width >= 1 and area.height >= 1 and area.x + area.width <= GRID_COLUMNS


@cache
def _askable() -> frozenset[str]:
    """What Grafana can select from, in its terms."""
    return frozenset(grafana.translated_source(query) for query in queries.VIEWS.values() if grafana.can_ask(query))


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
    """What the target selects from."""
    _, _, rest = raw_sql.partition("\nFROM ")
    return re.split(r"\n(?:WHERE|GROUP BY|ORDER BY|LIMIT) ", rest)[0]


def _area(panel: Mapping[str, Any]) -> GridArea:
    grid = panel["gridPos"]
    return GridArea(grid["x"], grid["y"], grid["w"], grid["h"])
