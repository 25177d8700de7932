"""Deliverability: what mail servers and mailbox providers make of our emails, and of our senders."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.boards.list_panels import LIST_PANELS
from dashboards.boards.rates import (
    COMPLAINTS,
    HARD_BOUNCES,
    HEALTH,
    NOT_TRACKED,
    NOTHING_DELIVERED,
    NOTHING_SENT,
    OPENS_OF,
)
from dashboards.boards.words import BOUNCE_CLASSES, CAMPAIGN_STATES, WAITS
from dashboards.panels import Board, Color, Field, GoodDirection, GridArea, Panel, PanelKind, RateCounts, RowLink, Unit
from dashboards.variables import CAMPAIGN, LEAD, SENDER

_NO_BOUNCES = "No emails bounced"
_NOTHING_WAITS = "Nothing waits"

_HARD = Field("hard_bounce_rate", "Hard bounces", Unit.RATE, "Refused for good, of sent.", thresholds=HARD_BOUNCES)
_SOFT = Field("soft_bounce_rate", "Soft bounces", Unit.RATE, "Refused for a reason that may pass, of sent.")
_BLOCK = Field(
    "block_rate", "Blocked", Unit.RATE, "Refused as spam, by policy or for the sender's reputation, of sent."
)
_COMPLAINT = Field(
    "complaint_rate",
    "Complaints",
    Unit.RATE,
    "Emails that the recipient reported as spam, of delivered.",
    thresholds=COMPLAINTS,
)
_SENT = Field("sent", "Sent", Unit.COUNT, "Emails put to the recipient's mail server, which took or refused them.")
_DELIVERED = Field("delivery_rate", "Delivered", Unit.RATE, "Emails that did not bounce, of sent.")
_OUTCOMES = (_SENT, _HARD, _COMPLAINT, _BLOCK, _SOFT, _DELIVERED)
_HOSTED = "A company's own domain may be hosted by Google or Microsoft: only its MX tells, so it is in Other domains."

_STATS = (
    Panel(
        id=1,
        key="delivered",
        kind=PanelKind.STAT,
        title="Delivered",
        description="Of the emails sent in the period, the share that did not bounce. An email that was taken at first "
        "and returned later counts as bounced.",
        query=get("delivery_headline"),
        fields=(Field("delivery_rate", "Delivered", Unit.RATE, color=Color.GREEN),),
        area=GridArea(0, 0, 5, 5),
        no_value=NOTHING_SENT,
        of=RateCounts("delivered", "sent", "sent"),
        better=GoodDirection.UP,
    ),
    Panel(
        id=2,
        key="hard-bounces",
        kind=PanelKind.STAT,
        title="Hard bounces",
        description="Of the emails sent in the period, the share refused for good: no such mailbox or domain. Above "
        "2 % is a warning; above 5 % harms the sender.",
        query=get("delivery_headline"),
        fields=(Field("hard_bounce_rate", "Hard", Unit.RATE, thresholds=HARD_BOUNCES),),
        area=GridArea(5, 0, 5, 5),
        no_value=NOTHING_SENT,
        of=RateCounts("hard_bounced", "sent", "sent"),
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=3,
        key="soft-bounces",
        kind=PanelKind.STAT,
        title="Soft bounces",
        description="Of the emails sent in the period, the share refused for a reason that may pass, such as a full "
        "mailbox, or that nobody can name.",
        query=get("delivery_headline"),
        fields=(Field("soft_bounce_rate", "Soft", Unit.RATE),),
        area=GridArea(10, 0, 4, 5),
        no_value=NOTHING_SENT,
        of=RateCounts("soft_bounced", "sent", "sent"),
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=4,
        key="blocked",
        kind=PanelKind.STAT,
        title="Blocked",
        description="Of the emails sent in the period, the share refused as spam, by policy or for the sender's "
        "reputation. It says nothing of the address.",
        query=get("delivery_headline"),
        fields=(Field("block_rate", "Blocked", Unit.RATE),),
        area=GridArea(14, 0, 5, 5),
        no_value=NOTHING_SENT,
        of=RateCounts("blocked", "sent", "sent"),
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=5,
        key="complaints",
        kind=PanelKind.STAT,
        title="Complaints",
        description="Of the emails sent in the period and delivered (sent minus bounced), the share that the recipient "
        "reported as spam, where the provider tells (Gmail does not). Gmail and Yahoo ask to stay below 0.1 %, "
        "and never to reach 0.3 %.",
        query=get("delivery_headline"),
        fields=(Field("complaint_rate", "Complaints", Unit.RATE, thresholds=COMPLAINTS),),
        area=GridArea(19, 0, 5, 5),
        no_value=NOTHING_DELIVERED,
        of=RateCounts("complained", "delivered", "delivered"),
        better=GoodDirection.DOWN,
    ),
)

_PANELS = (
    *_STATS,
    Panel(
        id=6,
        key="over-time",
        kind=PanelKind.TIME_SERIES,
        title="Bounces and complaints",
        description="The emails sent on each day (in each hour for ranges of up to 3 days), whenever they bounced. "
        "Hard bounces, soft bounces and blocked are shares of sent, complaints of delivered.",
        query=get("delivery_over_time"),
        label=Field("time", "Time", Unit.TEXT),
        fields=(
            Field("hard_bounce_rate", "Hard", Unit.RATE, "Refused for good, of sent.", Color.VERMILLION, line=True),
            Field("soft_bounce_rate", "Soft", Unit.RATE, "Refused for a while, of sent.", Color.ORANGE, line=True),
            Field(
                "block_rate", "Blocked", Unit.RATE, "Refused as spam or by policy, of sent.", Color.PURPLE, line=True
            ),
            Field("complaint_rate", "Complaints", Unit.RATE, "Reported as spam, of delivered.", Color.BLUE, line=True),
        ),
        area=GridArea(0, 5, 14, 9),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=7,
        key="categories",
        kind=PanelKind.BAR,
        title="Why emails bounced",
        description="Of the emails sent in the period, those that bounced, by what was wrong. An email counts once in "
        "each class that it met, by what it met first. Counts of emails; the denominator of the rates is all that was "
        "sent.",
        query=get("bounces_by_category"),
        label=Field("wrong", "Category", Unit.TEXT),
        fields=(
            Field("hard", "Hard", Unit.COUNT, "Refused for good.", Color.VERMILLION),
            Field("soft", "Soft", Unit.COUNT, "Refused for a reason that may pass.", Color.ORANGE),
            Field("blocked", "Blocked", Unit.COUNT, "Refused as spam, by policy or reputation.", Color.PURPLE),
        ),
        area=GridArea(14, 5, 10, 9),
        no_value=_NO_BOUNCES,
        stacked=True,
    ),
    Panel(
        id=8,
        key="refused-by-provider",
        kind=PanelKind.BAR,
        title="Refused by provider",
        description="Of the emails sent in the period to each provider, the share that bounced in any way, the largest "
        f"first. {_HOSTED}",
        query=get("refusals_by_provider"),
        label=Field("provider_name", "Provider", Unit.TEXT),
        fields=(Field("refusal_rate", "Refused", Unit.RATE, "Of sent.", Color.VERMILLION),),
        area=GridArea(0, 14, 8, 10),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=9,
        key="providers",
        kind=PanelKind.TABLE,
        title="Mailbox providers",
        description="The emails sent in the period, by who runs their recipients' mailboxes. Bounces are shares of "
        f"sent; complaints and opens of delivered. {_HOSTED}",
        query=get("by_provider"),
        label=Field("provider_name", "Provider", Unit.TEXT, "Who runs the recipients' mailboxes."),
        fields=(
            Field("domains", "Domains", Unit.COUNT, "Different domains of the recipients' addresses."),
            *_OUTCOMES,
            Field(
                "open_rate",
                "Open rate",
                Unit.RATE,
                f"Emails that a person opened, of {OPENS_OF}.",
                missing=NOT_TRACKED,
            ),
        ),
        area=GridArea(8, 14, 16, 10),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=10,
        key="refusals",
        kind=PanelKind.TABLE,
        title="What providers said",
        description="The emails sent in the period that bounced, by provider, class, category and status. An email "
        "counts once in each class. The share is of all emails sent to that provider in the period.",
        query=get("bounces_by_provider"),
        label=Field("provider_name", "Provider", Unit.TEXT, "Who runs the recipients' mailboxes."),
        fields=(
            Field(
                "class",
                "Class",
                Unit.TEXT,
                "hard: for good. soft: it may pass. block: about us, not the address.",
                width=80,
                words=BOUNCE_CLASSES,
            ),
            Field("wrong", "Category", Unit.TEXT, "What was wrong, in a word."),
            Field("status", "Status", Unit.TEXT, "The enhanced status code (RFC 3463), or the SMTP code."),
            Field("emails", "Emails", Unit.COUNT),
            Field("share", "Share", Unit.RATE, "Of the emails sent to this provider."),
            Field(
                "words",
                "For example",
                Unit.TEXT,
                "What the server said to one of them, without addresses.",
                long=True,
            ),
        ),
        area=GridArea(0, 24, 24, 9),
        no_value=_NO_BOUNCES,
    ),
    Panel(
        id=11,
        key="domains",
        kind=PanelKind.TABLE,
        title="Recipient domains",
        description="The emails sent in the period, for the 50 domains that got most. Bounces are shares of sent; "
        "complaints of delivered (sent minus bounced).",
        query=get("by_domain"),
        label=Field("domain_name", "Domain", Unit.TEXT, "What stands after the @ of the recipients' addresses."),
        fields=(Field("provider_name", "Provider", Unit.TEXT, "Who runs its mailboxes, where known."), *_OUTCOMES),
        area=GridArea(0, 33, 24, 8),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=12,
        key="health-over-time",
        kind=PanelKind.TIME_SERIES,
        title="Sender health",
        description="Health at the end of each day, 0 to 100, of the senders of the emails sent in the period: the "
        "lowest, the middle and the highest; choose a sender to see it alone. An email that bounces hard costs 15, one "
        "that bounces otherwise, is blocked or put off costs 5, and 20 in a row that meet nothing give 1 back. All of "
        "the sender's emails count, whatever the campaign. No denominator.",
        query=get("sender_health_over_time"),
        label=Field("time", "Time", Unit.TEXT),
        fields=(
            Field("lowest", "Lowest", Unit.COUNT, "Of the sender that is worst off.", Color.VERMILLION, line=True),
            Field("middle", "Middle", Unit.COUNT, "Half of the senders are no better.", Color.BLUE, line=True),
            Field("highest", "Highest", Unit.COUNT, "Of the sender that is best off.", Color.GREEN, line=True),
            Field("lowest_of", "Lowest is of", Unit.TEXT, "The sender that is worst off."),
        ),
        area=GridArea(0, 41, 10, 9),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=13,
        key="senders",
        kind=PanelKind.TABLE,
        title="Senders",
        description="The senders of the emails sent in the period, the worst first. Health is that at the end of the "
        "period, which is now if the period ends now; the lowest is that at the end of a day of it. Bounces are shares "
        "of sent, complaints of delivered.",
        query=get("senders_in_period"),
        label=Field("sender", "Sender", Unit.TEXT, "The mailbox that emails are from. Choose it to see it alone."),
        link=RowLink("sender", SENDER),
        fields=(
            Field("health", "Health", Unit.COUNT, "100 is untouched.", thresholds=HEALTH),
            Field("lowest", "Lowest", Unit.COUNT, "The lowest at the end of a day.", thresholds=HEALTH),
            *_OUTCOMES[:-1],
        ),
        area=GridArea(10, 41, 14, 9),
        no_value=NOTHING_SENT,
    ),
    *LIST_PANELS,
    Panel(
        id=14,
        key="pauses",
        kind=PanelKind.TABLE,
        title="Pauses",
        description="Each time that a campaign stood still in the period, if only for a part of it, whoever its "
        "senders are: since when, why, and when it was resumed. No denominator.",
        query=get("pause_list"),
        label=Field("campaign_name", "Campaign", Unit.TEXT, "The campaign's name. Choose it to see this campaign."),
        link=RowLink("campaign_id", CAMPAIGN, board="campaign"),
        fields=(
            Field("state", "State", Unit.TEXT, "Paused: nothing more is sent.", words=CAMPAIGN_STATES),
            Field("paused_at", "Paused", Unit.TIME),
            Field("resumed_at", "Resumed", Unit.TIME, "Empty while it is paused."),
            Field("seconds", "For", Unit.SECONDS, "Until it was resumed, or the period's end."),
            Field("why", "Why", Unit.TEXT),
            Field("detail", "In numbers", Unit.TEXT, long=True),
        ),
        area=GridArea(0, 58, 24, 7),
        no_value="No campaign was paused",
    ),
    Panel(
        id=15,
        key="deferrals",
        kind=PanelKind.TABLE,
        title="Put off",
        description="Answers of “not now” that came in the period, by status: to how many emails, and how many of "
        "these were sent since or wait still. Counts of what happened, without a denominator.",
        query=get("deferrals"),
        label=Field("said", "Status", Unit.TEXT, "The enhanced status code (RFC 3463), or the SMTP code."),
        fields=(
            Field("deferrals", "Times", Unit.COUNT, "Answers of this status."),
            Field("emails", "Emails", Unit.COUNT, "Different emails that were put off."),
            Field("sent_since", "Sent since", Unit.COUNT, "Of these emails, those that got their final answer."),
            Field("waiting_still", "Wait still", Unit.COUNT, "Of these emails, those that wait now."),
            Field("last_at", "Last", Unit.TIME),
            Field("words", "Newest words", Unit.TEXT, "What the server said last, without addresses.", long=True),
        ),
        area=GridArea(0, 65, 14, 8),
        no_value="Nothing was put off",
    ),
    Panel(
        id=16,
        key="waiting",
        kind=PanelKind.TABLE,
        title="Waiting now",
        description="Emails that wait now, whatever the period, by why they wait. An unanswered email may have gone "
        "out: `sendlens unanswered list` shows it to the operator who decides. Counts, without a denominator.",
        query=get("waiting_by_state"),
        label=Field("why", "Why", Unit.TEXT),
        fields=(
            Field("emails", "Emails", Unit.COUNT),
            Field(
                "oldest", "Longest since", Unit.TIME, "When the first attempt of the one that waits longest was made."
            ),
            Field("next_due", "Next due", Unit.TIME, "When the next of them is tried."),
        ),
        area=GridArea(14, 65, 10, 8),
        no_value=_NOTHING_WAITS,
    ),
    Panel(
        id=17,
        key="waiting-emails",
        kind=PanelKind.TABLE,
        title="Emails that wait",
        description="The emails that wait now, whatever the period: those that nobody knows of whether they went out "
        "first, then those that wait longest, at most 100; the column Of says of how many. No denominator.",
        query=get("waiting_list"),
        label=Field("lead", "Lead", Unit.TEXT, "Choose it to see all that happened to it."),
        link=RowLink("lead", LEAD, board="lead"),
        fields=(
            Field("campaign_name", "Campaign", Unit.TEXT),
            Field("step", "Step", Unit.COUNT, "The email's place in the sequence."),
            Field("sender", "Sender", Unit.TEXT),
            Field("state", "State", Unit.TEXT, "deferred, away, over-limit, again or unanswered.", words=WAITS),
            Field("attempts", "Attempts", Unit.COUNT, "How often it was put to its mail server."),
            Field("first_at", "First attempt", Unit.TIME),
            Field("next_due", "Next", Unit.TIME, "Empty where an operator decides."),
            Field("total", "Of", Unit.COUNT, "How many wait in all."),
        ),
        area=GridArea(0, 73, 24, 8),
        no_value=_NOTHING_WAITS,
    ),
)

DELIVERABILITY = Board(
    key="deliverability",
    uid="sendlens-deliverability",
    title="Deliverability",
    description="What mail servers and mailbox providers made of the emails sent in the period, and of their senders.",
    panels=_PANELS,
    variables=(CAMPAIGN, SENDER),
    marks=get("pause_marks"),
)
