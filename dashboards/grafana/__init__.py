"""Boards, alerts and their datasource as Grafana takes them, by file and by its HTTP API.

`source` is the datasource and how queries are put to it, `panels` and `model` make a dashboard of a board, `alerts` the
alert rules, `files` what is checked in, `push` what is sent to a running Grafana.
"""

from dashboards.grafana.files import DIST, PROVISIONING, render, stale
from dashboards.grafana.model import OWN_STORE, SCHEMA_VERSION, dashboard
from dashboards.grafana.source import ALL, DATASOURCE, PLUGIN, PLUGIN_VERSION, can_ask, translate, translated_source

__all__ = [
    "ALL",
    "DATASOURCE",
    "DIST",
    "OWN_STORE",
    "PLUGIN",
    "PLUGIN_VERSION",
    "PROVISIONING",
    "SCHEMA_VERSION",
    "can_ask",
    "dashboard",
    "render",
    "stale",
    "translate",
    "translated_source",
]
