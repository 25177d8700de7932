"""Renders boards as Grafana's classic dashboard JSON, for the ClickHouse datasource plugin, version 4.

schemaVersion 42, because file provisioning refuses the newer v2 form. Panels ask the very queries of
`clickhouse/queries`, with the parameters put as what Grafana offers for them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clickhouse.queries import PARAMETER, Query
from dashboards import variables
from dashboards.boards import BOARDS
from dashboards.panels import Better, Board, Color, Field, Kind, Link, Panel, Unit
from dashboards.variables import Variable

DIST = Path(__file__).with_name("dist")
SCHEMA_VERSION = 42
PLUGIN = "grafana-clickhouse-datasource"
PLUGIN_VERSION = "4.20.0"
DATASOURCE = {"type": PLUGIN, "uid": "${datasource}"}

# What "All" becomes in SQL (Grafana puts a custom all-value in as it is): it lacks the `id=` of what is chosen.
ALL = "all-of-them"

# Percent-encoded by Grafana and decoded by ClickHouse, so that neither a quote nor a backslash of a value can leave the
# SQL string (Grafana's own quoting formats leave backslashes alone). Several values are written as `id=VALUE&id=VALUE`.
# https://grafana.com/docs/grafana/latest/dashboards/variables/variable-syntax/
_TYPED = "decodeURLComponent('${NAME:percentencode}')"
_CHOSEN = (
    "arrayMap(part -> CAST(decodeURLComponent(substring(part, 4))), arrayFilter(part -> startsWith(part, 'id='), "
    "splitByChar('&', '${NAME:customqueryparam:id}')))"
)


def _in_sql(variable: Variable) -> str:
    if variable.options is None:
        return _TYPED.replace("NAME", variable.name)
    return _CHOSEN.replace("NAME", variable.name).replace("CAST", "toUInt8" if variable.is_number else "")


_MACROS = {
    "since": "toDateTime64($__fromTime, 3, 'UTC')",
    "until": "toDateTime64($__toTime, 3, 'UTC')",
    # Grafana's own name for UTC is in lower case; an empty one is its default.
    "timezone": "if('${__timezone}' IN ('utc', ''), 'UTC', '${__timezone}')",
    **{variable.parameter: _in_sql(variable) for variable in variables.ALL},
}

OWN_STORE = {"type": "grafana", "uid": "-- Grafana --"}
# What the guard writes when a campaign is paused or resumed (agents/sinks/announce.py).
_PAUSES = {
    "name": "Pauses",
    "datasource": OWN_STORE,
    "enable": True,
    "iconColor": Color.VERMILLION,
    "target": {"type": "tags", "tags": ["sendlens"], "matchAny": True, "limit": 100},
}

_CHANGE = {Better.UP: "standard", Better.DOWN: "inverted", Better.NEITHER: "same_as_value"}


def render() -> dict[Path, str]:
    """The files of `dashboards/dist/`, path to text. The same boards always give the same text."""
    return {DIST / f"{board.key}.json": _text(dashboard(board)) for board in BOARDS}


def stale() -> list[Path]:
    """Files of `dashboards/dist/` that are missing, or are not what `render` makes now."""
    wanted = render()
    there = {path: path.read_text() for path in DIST.glob("*.json")}
    return sorted(path for path in wanted.keys() | there.keys() if wanted.get(path) != there.get(path))


def dashboard(board: Board) -> dict[str, Any]:
    """One board as Grafana's dashboard model."""
    return {
        "uid": board.uid,
        "title": f"Sendlens {board.title}",
        "description": board.description,
        "tags": list(board.tags),
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # crosshair shared by all panels
        "timezone": "browser",
        "time": {"from": "now-30d", "to": "now"},
        "timepicker": {"refresh_intervals": ["5s", "10s", "30s", "1m", "5m", "15m"]},
        "refresh": "30s",
        "weekStart": "",
        "links": [
            {
                "type": "dashboards",
                "title": "Sendlens",
                "tags": ["sendlens"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "annotations": {"list": [_PAUSES]},
        "templating": {"list": [_DATASOURCES, *map(_variable, board.variables)]},
        "panels": [_panel(panel, board) for panel in board.panels],
    }


def raw_sql(panel: Panel) -> str:
    """The panel's query as a Grafana target: only the columns it shows, named as it shows them."""
    shown = [f'    {field.column} AS "{field.title}"' for field in panel.columns]
    if panel.link:
        shown.append(f"    {panel.link.column}")
    order = "ORDER BY period" if panel.kind is Kind.STAT else ""
    body = "\n".join("    " + line if line else line for line in translate(panel.query.sql).split("\n"))
    return "\n".join(["SELECT", ",\n".join(shown), "FROM", "(", body, ")", order]).rstrip()


def can_ask(query: Query) -> bool:
    """Whether Grafana has something for each parameter of the query; those of stages it has nothing for."""
    return set(query.parameters) <= set(_MACROS)


def translate(sql: str) -> str:
    """The query with its parameters in Grafana's terms. Raises KeyError on a parameter Grafana has nothing for."""
    return PARAMETER.sub(lambda found: _MACROS[found["name"]], sql)


_DATASOURCES = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": PLUGIN,
    "refresh": 1,
    "regex": "",
    "hide": 0,
    "multi": False,
    "includeAll": False,
    "options": [],
    "current": {},
}


def _variable(variable: Variable) -> dict[str, Any]:
    said = {"name": variable.name, "label": variable.label, "description": variable.about, "hide": 0}
    if variable.options is None:
        return said | {"type": "textbox", "query": "", "options": [], "current": {"text": "", "value": ""}}
    sql = translate(variable.options.sql)
    return said | {
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"refId": "var", "queryType": "sql", "editorType": "sql", "rawSql": sql},
        "definition": variable.options.about,
        "refresh": 2,  # whenever the time range changes: new campaigns appear
        "sort": 0,
        "regex": "",
        "multi": True,
        "includeAll": True,
        "allValue": ALL,
        "options": [],
        "current": {"text": ["All"], "value": ["$__all"], "selected": True},
    }


def _panel(panel: Panel, board: Board) -> dict[str, Any]:
    kind, options = _options(panel)
    area = panel.area
    return {
        "id": panel.id,
        "type": kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": area.x, "y": area.y, "w": area.width, "h": area.height},
        "fieldConfig": {
            "defaults": {
                "unit": panel.fields[0].unit.value if panel.kind is not Kind.TABLE else Unit.COUNT.value,
                "noValue": panel.no_value,
                "color": {"mode": "thresholds"},
                "thresholds": _thresholds(panel.fields[0] if panel.kind is Kind.STAT else None),
                "mappings": [],
                "custom": _custom(panel),
            },
            "overrides": _overrides(panel, board),
        },
        "options": options,
        "targets": [
            {
                "refId": "A",
                "datasource": DATASOURCE,
                "editorType": "sql",
                "pluginVersion": PLUGIN_VERSION,
                "queryType": "timeseries" if panel.kind is Kind.TIME_SERIES else "table",
                "format": 0 if panel.kind is Kind.TIME_SERIES else 1,
                "rawSql": raw_sql(panel),
                "meta": {},
            }
        ],
        "transparent": False,
    }


def _options(panel: Panel) -> tuple[str, dict[str, Any]]:
    """Grafana's name of the panel's kind, and its options."""
    tooltip = {"mode": "multi", "sort": "none"}
    legend = {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []}
    if panel.kind is Kind.STAT:
        return "stat", {
            # `last`, not `lastNotNull`: that would show the period before when nothing was sent in this one.
            "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
            "showPercentChange": True,
            "percentChangeColorMode": {Better.UP: "standard", Better.DOWN: "inverted"}.get(
                panel.better, "same_as_value"
            ),
            "textMode": "value_and_name" if len(panel.fields) > 1 else "value",
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "vertical",
            "wideLayout": True,
        }
    if panel.kind is Kind.TIME_SERIES:
        return "timeseries", {"legend": legend, "tooltip": tooltip}
    if panel.kind is Kind.BAR:
        return "barchart", {
            "orientation": "horizontal",
            "stacking": "normal" if panel.stacked else "none",
            "xField": panel.label.title if panel.label else "",
            "showValue": "auto",
            "barWidth": 0.8,
            "groupWidth": 0.8,
            "fullHighlight": False,
            "legend": legend,
            "tooltip": tooltip,
        }
    return "table", {"showHeader": True, "cellHeight": "sm", "sortBy": []}


def _custom(panel: Panel) -> dict[str, Any]:
    if panel.kind is Kind.TIME_SERIES:
        return {"drawStyle": "bars", "fillOpacity": 40, "lineWidth": 1, "axisSoftMin": 0, "showPoints": "never"}
    if panel.kind is Kind.BAR:
        return {"fillOpacity": 85, "lineWidth": 0, "axisSoftMin": 0}
    if panel.kind is Kind.TABLE:
        return {"align": "auto", "filterable": False, "inspect": False}
    return {}


def _thresholds(field: Field | None) -> dict[str, Any]:
    """Grafana's steps: the first is what lies below all thresholds."""
    steps: list[dict[str, Any]] = [{"value": None, "color": (field.color if field else Color.BLUE).value}]
    if field:
        steps += [{"value": step.value, "color": step.color.value} for step in field.thresholds]
    return {"mode": "absolute", "steps": steps}


def _overrides(panel: Panel, board: Board) -> list[dict[str, Any]]:
    overrides = [
        {"matcher": {"id": "byName", "options": field.title}, "properties": properties}
        for field in panel.columns
        if (properties := _properties(panel, field, board))
    ]
    if panel.link:
        # Two names of one wish: Grafana 12 and later read the first, 11 the second.
        hidden = [{"id": "custom.hideFrom.viz", "value": True}, {"id": "custom.hidden", "value": True}]
        overrides.append({"matcher": {"id": "byName", "options": panel.link.column}, "properties": hidden})
    return overrides


def _properties(panel: Panel, field: Field, board: Board) -> list[dict[str, Any]]:
    properties: list[dict[str, Any]] = []
    if panel.kind is Kind.TABLE:
        properties.append({"id": "unit", "value": field.unit.value})
        if field.about:
            properties.append({"id": "description", "value": field.about})
        if field is panel.label and panel.link:
            properties.append({"id": "links", "value": [_link(panel.link, board)]})
        if field.thresholds:
            properties.append({"id": "thresholds", "value": _thresholds(field)})
            properties.append({"id": "custom.cellOptions", "value": {"type": "color-text"}})
    elif panel.kind is Kind.STAT:
        properties.append({"id": "thresholds", "value": _thresholds(field)})
    elif field is not panel.label:
        properties.append({"id": "color", "value": {"mode": "fixed", "fixedColor": field.color.value}})
        if field.line:
            properties += [
                {"id": "custom.drawStyle", "value": "line"},
                {"id": "custom.lineWidth", "value": 2},
                {"id": "custom.fillOpacity", "value": 0},
            ]
    return properties


def _link(link: Link, board: Board) -> dict[str, Any]:
    to = next(other for other in BOARDS if other.key == link.board) if link.board else board
    kept = [f"&${{{one.name}:queryparam}}" for one in board.variables if one in to.variables and one != link.sets]
    url = (
        f"/d/{to.uid}?var-{link.sets.name}=${{__data.fields.{link.column}:percentencode}}"
        f"&${{__url_time_range}}&${{datasource:queryparam}}{''.join(kept)}"
    )
    return {"title": f"This {link.sets.label.lower()} alone", "url": url}


def _text(model: dict[str, Any]) -> str:
    return json.dumps(model, indent=2, ensure_ascii=False) + "\n"
