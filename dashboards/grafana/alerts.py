"""Alert rules as data, in the two forms in which Grafana takes them: a file of its provisioning, and its HTTP API.

A rule's query gives texts and one number to a row; each row is an alert of its own, told apart by the texts. Who is
told is Grafana's to say: its contact points and notification policies are the operator's.
https://grafana.com/docs/grafana/latest/alerting/set-up/provision-alerting-resources/
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from clickhouse.queries import PARAMETER, Query, get
from dashboards.boards import BOARDS
from dashboards.grafana.source import PERIOD, PLUGIN, PROVISIONED, target

# Not the boards' folder: Grafana provisions alerts before boards, and would make that folder under a uid of its own.
FOLDER_UID, FOLDER = "sendlens-alerts", "Sendlens alerts"
GROUP = "Sendlens"
INTERVAL = timedelta(minutes=1)  # what Grafana gives a group that it is told nothing of
_EXPRESSION = {"type": "__expr__", "uid": "__expr__"}


@dataclass(frozen=True)
class Rule:
    """It fires for each row of the query whose number has been above `above` for `pending`.

    `summary` is a template of Grafana's. In it stand `.Labels` and `.Values`, not `$labels`: a file of provisioning
    takes what follows a dollar for a variable of the environment. `panel` is the panel's key on the board `board`.
    """

    uid: str
    title: str
    about: str
    summary: str
    query: Query
    above: float
    window: timedelta
    pending: timedelta
    severity: str
    board: str
    panel: str
    no_rows: str = "OK"  # Grafana's state for a query without rows; "NoData" tells of it

    @property
    def sql(self) -> str:
        """As the plugin's back end takes it. Raises KeyError on a parameter that only a viewer could give."""
        return PARAMETER.sub(lambda found: PERIOD[found["name"]], self.query.sql)


RULES: tuple[Rule, ...] = (
    Rule(
        uid="sendlens-hard-bounces",
        title="Campaign bounces",
        about="More than 2 % of a campaign's emails of the last day bounced hard, of at least 100 sent. Mailbox "
        "providers start to distrust a sender there; at 5 % the campaign is paused by itself.",
        summary="Campaign {{ .Labels.campaign_name }}: {{ humanizePercentage .Values.A.Value }} of its emails of the "
        "last day bounced hard",
        query=get("alert_hard_bounces"),
        above=0.02,
        window=timedelta(days=1),
        pending=timedelta(minutes=5),
        severity="warning",
        board="overview",
        panel="campaigns",
    ),
    Rule(
        uid="sendlens-lag",
        title="Consumer lag",
        about="Records of a stage's topics that no worker has acknowledged: more than 10,000 for 10 minutes; a record "
        "of hits or events is a batch of them. A count, without a denominator. Without any row no worker told of "
        "itself for a minute: none runs, or ClickHouse is not written to.",
        summary="Stage {{ .Labels.stage }} lags by {{ humanize .Values.A.Value }} records",
        query=get("alert_lag"),
        above=10_000,
        window=timedelta(minutes=5),
        pending=timedelta(minutes=10),
        severity="warning",
        board="pipeline",
        panel="lag",
        no_rows="NoData",
    ),
    Rule(
        uid="sendlens-dead-letters",
        title="Dead letters",
        about="Records that a stage could not process and set aside in the last hour, with their reasons. A count, "
        "without a denominator. `sendlens dead list` tells which, and `sendlens dead replay` puts them back.",
        summary="Stage {{ .Labels.stage }} set {{ .Values.A.Value }} records aside in the last hour",
        query=get("alert_dead_letters"),
        above=0,
        window=timedelta(hours=1),
        pending=timedelta(0),
        severity="warning",
        board="pipeline",
        panel="dead",
    ),
)


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
