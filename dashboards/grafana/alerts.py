"""Alert rules as data, in the two forms in which Grafana takes them: a file of its provisioning, and its HTTP API.

A rule's query gives texts and one number to a row; each row is an alert of its own, told apart by the texts. Who is
told is Grafana's to say: its contact points and notification policies are the operator's.
https://grafana.com/docs/grafana/latest/alerting/set-up/provision-alerting-resources/
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from dashboards.boards import BOARDS
from dashboards.grafana.alert_rules import RULES, Rule
from dashboards.grafana.source import PLUGIN, PROVISIONED, target

# Not the boards' folder: Grafana provisions alerts before boards, and would make that folder under a uid of its own.
FOLDER_UID, FOLDER = "sendlens-alerts", "Sendlens alerts"
GROUP = "Sendlens"
INTERVAL = timedelta(minutes=1)  # what Grafana gives a group that it is told nothing of
_EXPRESSION = {"type": "__expr__", "uid": "__expr__"}


def provisioned() -> dict[str, Any]:
    """The file of `provisioning/alerting`: all rules in one group."""
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": FOLDER,
        "interval": duration(INTERVAL),
        "rules": [_common(rule) | _shown_on(rule) for rule in RULES],
    }
    return {"apiVersion": 1, "groups": [group]}


def for_api(rule: Rule) -> dict[str, Any]:
    """The rule as /api/v1/provisioning/alert-rules takes it."""
    return _common(rule) | {"ruleGroup": GROUP, "folderUID": FOLDER_UID}


def _common(rule: Rule) -> dict[str, Any]:
    shown = _shown_on(rule)
    places = {"__dashboardUid__": shown["dashboardUid"], "__panelId__": str(shown["panelId"])} if shown else {}
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "B",
        "data": _data(rule),
        "noDataState": rule.no_rows,
        "execErrState": "Error",
        "for": duration(rule.pending),
        "annotations": {"summary": rule.summary, "description": rule.about, **places},
        "labels": {"severity": rule.severity, "source": "sendlens"},
        "isPaused": False,
    }


def _data(rule: Rule) -> list[dict[str, Any]]:
    """A asks, B compares."""
    asked = target("A", rule.sql, source={"type": PLUGIN, "uid": PROVISIONED})
    compared = {
        "refId": "B",
        "type": "threshold",
        "expression": "A",
        "conditions": [{"evaluator": {"type": "gt", "params": [rule.above]}}],
        "datasource": _EXPRESSION,
    }
    window = {"from": int(rule.window.total_seconds()), "to": 0}
    return [
        {
            "refId": "A",
            "queryType": asked["queryType"],
            "relativeTimeRange": window,
            "datasourceUid": PROVISIONED,
            "model": asked,
        },
        {
            "refId": "B",
            "queryType": "",
            "relativeTimeRange": {"from": 0, "to": 0},
            "datasourceUid": _EXPRESSION["uid"],
            "model": compared,
        },
    ]


def _shown_on(rule: Rule) -> dict[str, Any]:
    """The panel that an alert leads to."""
    for board in BOARDS:
        for panel in board.panels:
            if (board.key, panel.key) == (rule.board, rule.panel):
                return {"dashboardUid": board.uid, "panelId": panel.id}
    return {}


def duration(length: timedelta) -> str:
    """Less than a day as Prometheus writes it, which is how Grafana answers: `5m`, `1h30m`."""
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
