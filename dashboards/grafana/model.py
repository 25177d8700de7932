"""A board as Grafana's classic dashboard model, schemaVersion 42: file provisioning refuses the newer v2 form."""

from __future__ import annotations

from typing import Any

from clickhouse.queries import Query
from dashboards.grafana.panels import panel_model
from dashboards.grafana.source import ALL, DATASOURCE, PLUGIN, target, translate, translated_source
from dashboards.panels import Board, Color
from dashboards.variables import Variable

SCHEMA_VERSION = 42
OWN_STORE = {"type": "grafana", "uid": "-- Grafana --"}


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
        "time": {"from": board.since, "to": "now"},
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
        "annotations": {"list": [_marks(board.marks) if board.marks else _ANNOUNCED]},
        "templating": {"list": [_DATASOURCES, *map(_variable, board.variables)]},
        "panels": [panel_model(panel, board) for panel in board.panels],
    }


# What the guard tells Grafana when a campaign is paused or resumed (annotations.py). Never beside a board's own marks,
# which say the same out of ClickHouse.
_ANNOUNCED = {
    "name": "Pauses",
    "datasource": OWN_STORE,
    "enable": True,
    "iconColor": Color.VERMILLION,
    "target": {"type": "tags", "tags": ["sendlens"], "matchAny": True, "limit": 100},
}


def _marks(query: Query) -> dict[str, Any]:
    """A line across every panel over time for each row: `time` and `text` are the names that Grafana looks for."""
    sql = f"SELECT\n    time,\n    text,\n    'sendlens' AS tags\nFROM {translated_source(query)}\nORDER BY time"
    return {
        "name": "Pauses",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": Color.VERMILLION,
        "target": target("marks", sql),
    }


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
    return said | {
        "type": "query",
        "datasource": DATASOURCE,
        "query": {
            "refId": "var",
            "queryType": "sql",
            "editorType": "sql",
            "rawSql": translate(variable.options.sql),
        },
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
