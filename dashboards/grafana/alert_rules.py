"""The alert rules, as data: what each asks ClickHouse, when it fires, and what it says.

`deploy/prometheus/sendlens.rules.yml` has the same, and what only `/metrics` knows, for a Prometheus.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from clickhouse.inlining import PARAMETER
from clickhouse.queries import Query, get
from dashboards.grafana.source import PERIOD


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
    Rule(
        uid="sendlens-hits",
        title="Hits lost",
        about="Hits of the last hour that are in no number. Lost: neither Kafka nor the disk had them when their "
        "process ended. Refused: too much waited for Kafka, or the spool was full. A count, without a denominator. "
        "Give Kafka back, or the spool room (`SENDLENS_SPOOL_MB`).",
        summary="{{ .Values.A.Value }} hits of the last hour were {{ .Labels.fate }}",
        query=get("alert_hits"),
        above=0,
        window=timedelta(hours=1),
        pending=timedelta(0),
        severity="critical",
        board="pipeline",
        panel="hits",
    ),
    Rule(
        uid="sendlens-spool",
        title="Spool age",
        about="An ingest holds hits on its disk that Kafka has not taken for more than 5 minutes. They are safe while "
        "that disk is. An age in seconds, without a denominator.",
        summary="{{ .Labels.instance }} keeps hits of {{ humanizeDuration .Values.A.Value }} ago on its disk",
        query=get("alert_spool"),
        above=300,
        window=timedelta(minutes=5),
        pending=timedelta(minutes=2),
        severity="warning",
        board="pipeline",
        panel="spool",
    ),
    Rule(
        uid="sendlens-unanswered",
        title="Unanswered emails",
        about="Emails that were cut off at their mail server, so that nobody knows whether they went out. They wait "
        "for you: `sendlens unanswered list`, and `settle`. A count, without a denominator.",
        summary="{{ .Values.A.Value }} emails of {{ .Labels.sender_address }} wait for your decision",
        query=get("alert_unanswered"),
        above=0,
        window=timedelta(minutes=5),
        pending=timedelta(minutes=5),
        severity="warning",
        board="deliverability",
        panel="waiting-emails",
    ),
    Rule(
        uid="sendlens-inbox",
        title="Mailboxes away",
        about="Mailboxes that have not been readable for 10 minutes, of all the mailboxes of senders.toml: their "
        "replies and bounces wait there, and a campaign is not paused for what is not read. The log of the inbox and "
        "`sendlens senders check` say why.",
        summary="{{ .Values.A.Value }} mailboxes can't be read by {{ .Labels.instance }}",
        query=get("alert_inbox"),
        above=0,
        window=timedelta(minutes=5),
        pending=timedelta(minutes=10),
        severity="warning",
        board="pipeline",
        panel="processes",
    ),
    Rule(
        uid="sendlens-webhooks",
        title="Webhook disabled",
        about="An endpoint took nothing for 24 hours, or is gone, and is told of nothing any more. Mend it, then "
        "`sendlens webhooks enable` and `redeliver`. 1 for each, without a denominator.",
        summary="The webhook at {{ .Labels.host }} is disabled",
        query=get("alert_webhooks"),
        above=0,
        window=timedelta(minutes=5),
        pending=timedelta(0),
        severity="warning",
        board="pipeline",
        panel="lag",
    ),
)
