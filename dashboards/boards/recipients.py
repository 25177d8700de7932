"""Recipients: the emails behind a number, one by one, by what became of them."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.panels import Board, Color, Field, GridArea, Panel, PanelKind, RowLink, Unit
from dashboards.variables import CAMPAIGN, LEAD, LINK, OUTCOME, STEP, VARIANT

_NOTHING = "No emails sent"
_EMAILS = Field("emails", "Emails", Unit.COUNT, "Emails, each once. A lead that got several counts as often.")

_PANELS = (
    Panel(
        id=1,
        key="chosen",
        kind=PanelKind.STAT,
        title="Emails chosen",
        description="Of the emails sent in the period, those that have every outcome chosen: as many rows as the list "
        "below has, counted one by one.",
        query=get("recipients_chosen"),
        fields=(_EMAILS,),
        area=GridArea(0, 0, 6, 4),
        no_value="None of the emails sent in the period",
        compared=False,
    ),
    Panel(
        id=2,
        key="without",
        kind=PanelKind.BAR,
        title="Who did not",
        description="Of the emails sent in the period and delivered (sent minus bounced), those that no person opened, "
        "clicked in or answered. A bar leads to its list.",
        query=get("recipients_without"),
        label=Field("label", "Outcome", Unit.TEXT),
        link=RowLink("outcome", OUTCOME),
        fields=(Field("emails", "Emails", Unit.COUNT, color=Color.GREY),),
        area=GridArea(0, 4, 6, 6),
        no_value="No emails delivered",
    ),
    Panel(
        id=3,
        key="outcomes",
        kind=PanelKind.BAR,
        title="Who did",
        description="What became of the emails sent in the period: bounces and deliveries as shares of sent, what "
        "people did of delivered (sent minus bounced). Not sent are those that were skipped in the period and not sent "
        "since then. A bar leads to its list.",
        query=get("recipients_by_outcome"),
        label=Field("label", "Outcome", Unit.TEXT),
        link=RowLink("outcome", OUTCOME),
        fields=(Field("emails", "Emails", Unit.COUNT),),
        area=GridArea(6, 0, 18, 10),
        no_value=_NOTHING,
    ),
    Panel(
        id=4,
        key="recipients",
        kind=PanelKind.TABLE,
        title="Recipients",
        description="The emails sent in the period that have every outcome chosen, a row each, by the hour of "
        "sending: to whom, and when each thing first happened, by a person. Rows, not shares: of the emails "
        "chosen, 100 at a time.",
        query=get("recipients_list"),
        label=Field("lead", "Lead", Unit.TEXT, "The lead's id. Choose it to see all that happened to it."),
        link=RowLink("lead", LEAD, board="lead"),
        fields=(
            Field("sent_at", "Sent", Unit.TIME, "The mail server's final answer, yes or no.", width=100),
            Field("campaign_name", "Campaign", Unit.TEXT, "The campaign's name.", width=100),
            Field("step", "Step", Unit.COUNT, "The email's place in the sequence.", width=56),
            Field("variant", "Variant", Unit.TEXT, "The version of the text that was sent.", width=74),
            Field("opened_at", "Opened", Unit.TIME, "When a person first opened it, or followed a link.", width=100),
            Field("clicked_at", "Clicked", Unit.TIME, "When a person first followed a link.", width=100),
            Field("replied_at", "Replied", Unit.TIME, "When a person first answered.", width=100),
            Field("bounced_at", "Bounced", Unit.TIME, "When it first bounced.", width=100),
            Field("unsubscribed_at", "Unsubscribed", Unit.TIME, "When it was unsubscribed from.", width=106),
            Field("complained_at", "Complained", Unit.TIME, "When it was reported as spam.", width=100),
            Field("skipped_at", "Not sent", Unit.TIME, "When it was decided not to send it.", width=100),
            Field(
                "why",
                "Why",
                Unit.TEXT,
                "Why it was not sent, what the mail server said when it bounced, why its reader unsubscribed, or what "
                "list was left.",
                width=100,
                long=True,
            ),
            Field(
                "recipient_domain",
                "Domain",
                Unit.TEXT,
                "The domain of the recipient's address.",
                Color.GREY,
                width=90,
            ),
        ),
        area=GridArea(0, 10, 24, 16),
        no_value="None of the emails sent in the period",
        pages=get("recipients_page"),
        whole=get("export_recipients"),
    ),
)

RECIPIENTS = Board(
    key="recipients",
    uid="sendlens-recipients",
    title="Recipients",
    description="Who opened, who did not, who clicked, replied, bounced, unsubscribed or complained: the emails behind "
    "every number, one by one.",
    panels=_PANELS,
    variables=(CAMPAIGN, STEP, VARIANT, LINK, OUTCOME),
)
