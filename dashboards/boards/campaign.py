"""Campaign: what became of one campaign's emails, step by step, and what people did with them when, and with what."""

from __future__ import annotations

from dataclasses import replace

from clickhouse.queries import Query, get
from dashboards.boards.overview import OVERVIEW
from dashboards.boards.people import people_panels
from dashboards.boards.rates import (
    COMPLAINTS,
    HARD_BOUNCES,
    NOTHING_DELIVERED,
    NOTHING_OPENED,
    NOTHING_SENT,
    RATES,
)
from dashboards.boards.words import CAMPAIGN_STATES
from dashboards.panels import (
    Board,
    Color,
    Field,
    GoodDirection,
    GridArea,
    HeatmapColumns,
    Panel,
    PanelKind,
    RateCounts,
    RowLink,
    Unit,
)
from dashboards.variables import CAMPAIGN, LEAD, STEP

_HEADLINE = get("campaign_headline")
_CAMPAIGN = Field("campaign_name", "Campaign", Unit.TEXT, "The campaign's name.", width=150)
_LIMIT = "The share of hard bounces, of emails sent, beyond which the campaign is paused."

_OVERVIEW = {panel.key: panel for panel in OVERVIEW.panels}


def _as_on_overview(key: str, panel_id: int, area: GridArea, query: Query = _HEADLINE) -> Panel:
    """The Overview's panel of that key, of the steps chosen."""
    return replace(_OVERVIEW[key], id=panel_id, area=area, query=query)


_STATS = (
    _as_on_overview("sent", 1, GridArea(0, 0, 6, 5)),
    _as_on_overview("reply-rate", 2, GridArea(6, 0, 6, 5)),
    _as_on_overview("open-rate", 3, GridArea(12, 0, 6, 5)),
    _as_on_overview("click-rate", 4, GridArea(18, 0, 6, 5)),
    _as_on_overview("delivery-rate", 5, GridArea(0, 5, 4, 4)),
    Panel(
        id=6,
        key="hard-bounce-rate",
        kind=PanelKind.STAT,
        title="Hard bounces",
        description="Of the emails sent in the period, the share refused for good: no such mailbox or domain. Beside "
        "it the limit beyond which the campaign is paused, the lowest where several are chosen. The limit is held "
        "against all emails since the campaign was last resumed: see Distance to the pause.",
        query=_HEADLINE,
        fields=(
            Field("hard_bounce_rate", "Hard", Unit.RATE, thresholds=HARD_BOUNCES),
            Field("bounce_limit", "Limit", Unit.RATE, _LIMIT, Color.GREY),
        ),
        area=GridArea(4, 5, 4, 4),
        no_value=NOTHING_SENT,
        of=RateCounts("hard_bounced", "sent", "sent"),
        better=GoodDirection.DOWN,
    ),
    _as_on_overview("unsubscribe-rate", 7, GridArea(8, 5, 4, 4)),
    Panel(
        id=8,
        key="complaint-rate",
        kind=PanelKind.STAT,
        title="Complaints",
        description="Of the emails sent in the period and delivered (sent minus bounced), the share that the recipient "
        "reported as spam. Gmail and Yahoo ask to stay below 0.1 % and never to reach 0.3 %.",
        query=_HEADLINE,
        fields=(Field("complaint_rate", "Complaints", Unit.RATE, thresholds=COMPLAINTS),),
        area=GridArea(12, 5, 4, 4),
        no_value=NOTHING_DELIVERED,
        of=RateCounts("complained", "delivered", "delivered"),
        better=GoodDirection.DOWN,
    ),
    _as_on_overview("click-to-open-rate", 9, GridArea(16, 5, 4, 4)),
    Panel(
        id=21,
        key="stop-requests",
        kind=PanelKind.STAT,
        title="Asked to stop",
        description="Of the emails sent in the period that a person replied to, those whose reply asks for no more "
        "mail, by the person's own words: the replies below show them. Laws count such a reply as an unsubscribe "
        "(CAN-SPAM, GDPR); a campaign declared with unsubscribe_on_reply acts on it by itself.",
        query=get("campaign_stop_requests"),
        fields=(Field("asked_to_stop", "Asked to stop", Unit.COUNT),),
        area=GridArea(20, 5, 4, 4),
        no_value="No replies",
        of=RateCounts("asked_to_stop", "replied", "replied"),
        compared=False,
    ),
)

_PANELS = (
    *_STATS,
    _as_on_overview("activity", 10, GridArea(0, 9, 16, 8), get("campaign_activity")),
    Panel(
        id=20,
        key="answers",
        kind=PanelKind.TIME_SERIES,
        title="Replies and unsubscribes",
        description="Emails that a person answered for the first time, and emails unsubscribed from, each at the time "
        "it happened, whenever the email was sent: as in Activity, where they lie flat under what was sent. Counts of "
        "emails, without a denominator.",
        query=get("campaign_activity"),
        label=Field("time", "Time", Unit.TEXT),
        fields=(
            Field("replied", "Replied", Unit.COUNT, "Emails a person first answered.", Color.PURPLE, line=True),
            Field("unsubscribed", "Unsubscribed", Unit.COUNT, "Emails unsubscribed from.", Color.VERMILLION, line=True),
        ),
        area=GridArea(16, 9, 8, 8),
        no_value="No replies and no unsubscribes",
    ),
    Panel(
        id=11,
        key="variants",
        kind=PanelKind.TABLE,
        title="Steps and variants",
        description="The emails sent in the period, for each variant of each step; a step leads to its A/B test. "
        "Bounces are shares of sent; opens, clicks, replies, unsubscribes and complaints of delivered (sent minus "
        "bounced).",
        query=get("by_variant"),
        label=Field("step_name", "Step", Unit.TEXT, "The email's place in the sequence, which leads to its A/B test."),
        link=RowLink("step", STEP, board="ab"),
        fields=(
            Field("variant", "Variant", Unit.TEXT, "The version of the text that was sent.", width=100),
            *RATES,
            _CAMPAIGN,
        ),
        area=GridArea(0, 17, 24, 8),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=12,
        key="open-delays",
        kind=PanelKind.HISTOGRAM,
        title="Time to open",
        description="Of the emails sent in the period that a person opened, how long after delivery the first open by "
        "a person came. Counts of emails; all columns together are the denominator.",
        query=get("open_delays"),
        label=Field("delay", "After delivery", Unit.TEXT),
        fields=(
            Field("opened", "Emails", Unit.COUNT, "Emails that a person first opened after so long."),
            Field("share", "Share", Unit.RATE, "Of the emails that a person opened."),
        ),
        area=GridArea(0, 25, 16, 8),
        no_value=NOTHING_OPENED,
    ),
    Panel(
        id=13,
        key="time-to-open-half",
        kind=PanelKind.STAT,
        title="Half open within",
        description="The median of the time from delivery to the first open by a person: half of the emails that a "
        "person opened, of those sent in the period, were opened within it. Exact, not an estimate.",
        query=get("time_to_open"),
        fields=(Field("p50", "p50", Unit.SECONDS),),
        area=GridArea(16, 25, 8, 4),
        no_value=NOTHING_OPENED,
    ),
    Panel(
        id=14,
        key="time-to-open-most",
        kind=PanelKind.STAT,
        title="90 % open within",
        description="The 90th percentile of the time from delivery to the first open by a person: nine in ten of the "
        "emails that a person opened, of those sent in the period, were opened within it. Exact, not an estimate.",
        query=get("time_to_open"),
        fields=(Field("p90", "p90", Unit.SECONDS),),
        area=GridArea(16, 29, 8, 4),
        no_value=NOTHING_OPENED,
    ),
    Panel(
        id=15,
        key="open-hours",
        kind=PanelKind.HEATMAP,
        title="When people open",
        description="Emails that a person first opened in the period, whenever they were sent, by the weekday and the "
        "hour in which it was, in your timezone. Counts of emails; all cells together are the denominator.",
        query=get("open_hours"),
        label=Field("weekday", "Weekday", Unit.TEXT),
        across=HeatmapColumns("hour", "Hour", tuple(range(24)), get("open_hours_by_weekday")),
        fields=(
            Field("opened", "Emails", Unit.COUNT, "Emails that a person first opened then."),
            Field("share", "Share", Unit.RATE, "Of the emails that a person first opened in the period."),
        ),
        area=GridArea(0, 33, 24, 9),
        no_value=NOTHING_OPENED,
    ),
    Panel(
        id=16,
        key="links",
        kind=PanelKind.TABLE,
        title="Top links",
        description="The links that were followed in the emails sent in the period, those that most people followed "
        "first: emails, each once, however often its link was followed. The rates are of the campaign's delivered "
        "emails (sent minus bounced), whether they had the link or not.",
        query=get("followed_links"),
        label=Field("link", "Link", Unit.TEXT, "Where it leads."),
        fields=(
            Field("clicked", "Emails", Unit.COUNT, "Emails in which a person followed the link."),
            Field("click_rate", "Click rate", Unit.RATE, "Emails in which a person followed the link, of delivered."),
            Field("raw_clicked", "Emails, raw", Unit.COUNT, "Emails in which anybody followed the link.", Color.GREY),
            _CAMPAIGN,
        ),
        area=GridArea(0, 42, 24, 8),
        no_value="No links followed",
    ),
    Panel(
        id=31,
        key="click-map",
        kind=PanelKind.CLICK_MAP,
        title="Click map",
        description="Who clicked where: on the HTML that the platform declared for a variant, at each link the emails "
        "sent in the period in which a person followed it, and their share of the variant's emails that were delivered "
        "with links. Links to one address are one link. It is nobody's own email, and images are not loaded. In "
        "Grafana: which variants have such HTML.",
        query=get("declared_emails"),
        label=Field("step_name", "Step", Unit.TEXT, "The email's place in the sequence."),
        fields=(
            Field("variant", "Variant", Unit.TEXT, "The version of the text.", width=120),
            Field("declared_at", "Declared", Unit.TIME, "Since when its HTML stands so."),
            _CAMPAIGN,
        ),
        area=GridArea(0, 50, 24, 14),
        no_value="No HTML was declared for the click map",
    ),
    Panel(
        id=17,
        key="replies",
        kind=PanelKind.TABLE,
        title="Replies",
        description="What people answered in the period, newest first, whenever the email was sent. A row is a reply, "
        "so an email may have several. Words, not a share: the reply rate, of delivered, stands above.",
        query=get("replies"),
        label=Field("lead", "Lead", Unit.TEXT, "The lead's id. Choose it to see all that happened to it."),
        link=RowLink("lead", LEAD, board="lead"),
        fields=(
            Field("time", "When", Unit.TIME, "When the reply came."),
            Field("step_name", "Step", Unit.TEXT, "The email that was answered: its place in the sequence."),
            Field("variant", "Variant", Unit.TEXT, "The version of the text that was answered."),
            Field("after", "After", Unit.SECONDS, "How long after the email was delivered."),
            Field("subject", "Subject", Unit.TEXT, "The reply's subject.", width=240),
            Field("words", "Reply", Unit.TEXT, "Its first 300 characters, without quotes and signature.", long=True),
            Field("asks_to_stop", "Asks to stop", Unit.TEXT, "The words that ask for no more mail.", width=160),
            _CAMPAIGN,
        ),
        area=GridArea(0, 64, 24, 8),
        no_value="No replies",
    ),
    Panel(
        id=19,
        key="send-hours",
        kind=PanelKind.HISTOGRAM,
        title="Open rate by the hour of sending",
        description="Of the emails sent in the period and delivered (sent minus bounced), by the hour of the day in "
        "which they were sent, in your timezone, the share that a person opened. An hour in which little was sent says "
        "little: the table has how many were delivered.",
        query=get("send_hours"),
        label=Field("sent_in", "Hour of sending", Unit.TEXT),
        fields=(
            Field("open_rate", "Open rate", Unit.RATE, "Emails that a person opened, of delivered."),
            Field("delivered", "Delivered", Unit.COUNT, "Emails sent in this hour of the day that did not bounce."),
            Field("reply_rate", "Reply rate", Unit.RATE, "Emails that a person answered, of delivered.", Color.PURPLE),
        ),
        area=GridArea(0, 78, 24, 8),
        no_value=NOTHING_DELIVERED,
    ),
    Panel(
        id=18,
        key="bounce-limits",
        kind=PanelKind.TABLE,
        title="Distance to the pause",
        description="How near each campaign is to being paused for its hard bounces, now and whatever the period: of "
        "the emails sent since it was last resumed, or ever, the share that bounced hard, beside its limit.",
        query=get("bounce_limits"),
        label=Field(
            "campaign_name", "Campaign", Unit.TEXT, "The campaign's name. Choose it to see this campaign alone."
        ),
        link=RowLink("campaign_id", CAMPAIGN),
        fields=(
            Field("state", "State", Unit.TEXT, "Paused: nothing more is sent.", words=CAMPAIGN_STATES),
            Field("sent", "Sent", Unit.COUNT, "Emails sent since it was last resumed, or ever."),
            Field("hard_bounced", "Hard bounces", Unit.COUNT, "Of them, those refused for good."),
            Field("hard_bounce_rate", "Share", Unit.RATE, "Refused for good, of sent.", thresholds=HARD_BOUNCES),
            Field("bounce_limit", "Limit", Unit.RATE, _LIMIT),
            Field("bounce_min_sends", "From", Unit.COUNT, "Emails that must have been sent before it is paused."),
            Field("spare", "To spare", Unit.COUNT, "Hard bounces that it still stands; one more pauses it."),
        ),
        area=GridArea(0, 72, 24, 6),
        no_value=NOTHING_SENT,
    ),
    *people_panels(41, 86),
)

CAMPAIGN_BOARD = Board(
    key="campaign",
    uid="sendlens-campaign",
    title="Campaign",
    description="What became of a campaign's emails sent in the period, step by step, and when people opened them.",
    panels=_PANELS,
    variables=(CAMPAIGN, STEP),
    marks=get("pause_marks"),
)
