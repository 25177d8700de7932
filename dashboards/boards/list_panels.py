"""Panels of what the list lost, and why people went."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.boards.rates import NOTHING_SENT
from dashboards.panels import Color, Field, GridArea, Panel, PanelKind, Unit

LIST_PANELS = (
    Panel(
        id=21,
        key="list-health",
        kind=PanelKind.TIME_SERIES,
        title="List health",
        description="What the list lost, each day or, in periods over half a year, each week, at the time that it "
        "happened, whenever the email was sent: emails unsubscribed from, refused for good and reported as spam, each "
        "once; and what operators suppressed by hand or by an import, whatever the campaign. Of all senders. Counts, "
        "without a denominator: what was sent meanwhile stands beside them.",
        query=get("list_health"),
        label=Field("time", "Time", Unit.TEXT),
        fields=(
            Field("unsubscribed", "Unsubscribed", Unit.COUNT, "Emails unsubscribed from.", Color.ORANGE),
            Field("hard_bounced", "Hard bounces", Unit.COUNT, "Emails refused for good.", Color.VERMILLION),
            Field("complained", "Complaints", Unit.COUNT, "Emails reported as spam.", Color.PURPLE),
            Field("suppressed", "Suppressed", Unit.COUNT, "Leads, addresses and domains, by operators.", Color.GREY),
        ),
        area=GridArea(0, 50, 8, 8),
        no_value="The list lost nobody",
        stacked=True,
    ),
    Panel(
        id=22,
        key="list-sends",
        kind=PanelKind.TIME_SERIES,
        title="Sent meanwhile",
        description="Emails sent in each day or week of List health, of all senders. Counts, without a denominator.",
        query=get("list_health"),
        label=Field("time", "Time", Unit.TEXT),
        fields=(Field("sent", "Sent", Unit.COUNT, "Emails that their mail server took or refused."),),
        area=GridArea(8, 50, 8, 8),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=23,
        key="unsubscribe-reasons",
        kind=PanelKind.TABLE,
        title="Why people unsubscribed",
        description="The emails of List health that were unsubscribed from in the period, by the reason chosen on the "
        "page, or by the way it came where none was. The share is of all of them.",
        query=get("unsubscribe_reasons"),
        label=Field("why", "Reason", Unit.TEXT, "What was chosen on the page; else how it came."),
        fields=(
            Field("emails", "Emails", Unit.COUNT, "Emails unsubscribed from."),
            Field("share", "Share", Unit.RATE, "Of all that were unsubscribed from."),
        ),
        area=GridArea(16, 50, 8, 8),
        no_value="Nobody unsubscribed",
    ),
)
