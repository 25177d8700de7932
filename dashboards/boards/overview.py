"""The Overview: what became of the emails of a period, and whose doing it was."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.boards.rates import (
    CLICKS_OF,
    HARD_BOUNCES,
    HEALTH,
    NOTHING_DELIVERED,
    NOTHING_OPENED,
    NOTHING_SENT,
    NOTHING_WITH_LINKS,
    NOTHING_WITH_PIXEL,
    OPENS_OF,
    RATES,
)
from dashboards.boards.words import CAMPAIGN_STATES, VERDICTS
from dashboards.panels import Board, Color, Field, GoodDirection, GridArea, Panel, PanelKind, RateCounts, RowLink, Unit
from dashboards.variables import CAMPAIGN

NO_HITS = "No opens or clicks"

_PANELS = (
    Panel(
        id=1,
        key="sent",
        kind=PanelKind.STAT,
        title="Emails sent",
        description="Emails put to a recipient's mail server in the period, which took or refused them. Each email "
        "counts once. A count, without a denominator: it is the denominator of bounces and deliveries.",
        query=get("headline"),
        fields=(Field("sent", "Sent", Unit.COUNT, color=Color.GREY),),
        area=GridArea(0, 0, 6, 5),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=18,
        key="reply-rate",
        kind=PanelKind.STAT,
        title="Reply rate",
        description="Of the emails sent in the period and delivered (sent minus bounced), the share that a person "
        "answered. Raw counts automatic answers, such as out of office, too.",
        query=get("headline"),
        fields=(
            Field("reply_rate", "Human", Unit.RATE),
            Field("raw_reply_rate", "Raw", Unit.RATE, color=Color.GREY),
        ),
        area=GridArea(6, 0, 6, 5),
        no_value=NOTHING_DELIVERED,
        of=RateCounts("replied", "delivered", "delivered"),
        better=GoodDirection.UP,
    ),
    Panel(
        id=2,
        key="open-rate",
        kind=PanelKind.STAT,
        title="Open rate",
        description="Of the emails sent in the period and delivered (sent minus bounced), the share that a person "
        "opened, however often; who follows a link has opened. Emails without a pixel are left out, for they show no "
        "open. Raw counts opens by anybody: people, robots and privacy proxies.",
        query=get("headline"),
        fields=(
            Field("open_rate", "Human", Unit.RATE),
            Field("raw_open_rate", "Raw", Unit.RATE, color=Color.GREY),
        ),
        area=GridArea(12, 0, 6, 5),
        no_value=NOTHING_WITH_PIXEL,
        of=RateCounts("opened_with_pixel", "delivered_with_pixel", OPENS_OF),
        better=GoodDirection.UP,
    ),
    Panel(
        id=3,
        key="click-rate",
        kind=PanelKind.STAT,
        title="Click rate",
        description="Of the emails sent in the period and delivered (sent minus bounced), the share in which a person "
        "followed a link. Emails without links of ours are left out. Raw counts clicks by anybody, security scanners "
        "included.",
        query=get("headline"),
        fields=(
            Field("click_rate", "Human", Unit.RATE),
            Field("raw_click_rate", "Raw", Unit.RATE, color=Color.GREY),
        ),
        area=GridArea(18, 0, 6, 5),
        no_value=NOTHING_WITH_LINKS,
        of=RateCounts("clicked", "delivered_with_links", CLICKS_OF),
        better=GoodDirection.UP,
    ),
    Panel(
        id=5,
        key="delivery-rate",
        kind=PanelKind.STAT,
        title="Delivered",
        description="Of the emails sent in the period, the share that did not bounce. An email that was taken at "
        "first and returned later counts as bounced.",
        query=get("headline"),
        fields=(Field("delivery_rate", "Delivered", Unit.RATE),),
        area=GridArea(0, 5, 4, 4),
        no_value=NOTHING_SENT,
        of=RateCounts("delivered", "sent", "sent"),
        better=GoodDirection.UP,
    ),
    Panel(
        id=6,
        key="hard-bounce-rate",
        kind=PanelKind.STAT,
        title="Hard bounces",
        description="Of the emails sent in the period, the share refused for good: no such mailbox or domain. Above "
        "2 % is a warning; above 5 % harms the sender.",
        query=get("headline"),
        fields=(Field("hard_bounce_rate", "Hard", Unit.RATE, thresholds=HARD_BOUNCES),),
        area=GridArea(4, 5, 5, 4),
        no_value=NOTHING_SENT,
        of=RateCounts("hard_bounced", "sent", "sent"),
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=7,
        key="soft-bounce-rate",
        kind=PanelKind.STAT,
        title="Soft bounces",
        description="Of the emails sent in the period, the share refused for a reason that may pass, such as a full "
        "mailbox. Blocked, of sent too, are those refused as spam, by policy or for the sender's reputation.",
        query=get("headline"),
        fields=(
            Field("soft_bounce_rate", "Soft", Unit.RATE),
            Field("block_rate", "Blocked", Unit.RATE, color=Color.GREY),
        ),
        area=GridArea(9, 5, 5, 4),
        no_value=NOTHING_SENT,
        of=RateCounts("soft_bounced", "sent", "sent"),
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=4,
        key="unsubscribe-rate",
        kind=PanelKind.STAT,
        title="Unsubscribe rate",
        description="Of the emails sent in the period and delivered (sent minus bounced), the share whose recipient "
        "unsubscribed through it, on the page or by one click in the mail client.",
        query=get("headline"),
        fields=(Field("unsubscribe_rate", "Unsubscribed", Unit.RATE),),
        area=GridArea(14, 5, 5, 4),
        no_value=NOTHING_DELIVERED,
        of=RateCounts("unsubscribed", "delivered", "delivered"),
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=8,
        key="click-to-open-rate",
        kind=PanelKind.STAT,
        title="Click-to-open",
        description="Of the emails sent in the period that a person opened, the share in which a person followed a "
        "link. Raw divides clicks by anybody by opens by anybody. At most 100 %: who follows a link has opened.",
        query=get("headline"),
        fields=(
            Field("click_to_open_rate", "Human", Unit.RATE),
            Field("raw_click_to_open_rate", "Raw", Unit.RATE, color=Color.GREY),
        ),
        area=GridArea(19, 5, 5, 4),
        no_value=NOTHING_OPENED,
        of=RateCounts("clicked", "opened", "opened"),
        better=GoodDirection.UP,
    ),
    Panel(
        id=11,
        key="activity",
        kind=PanelKind.TIME_SERIES,
        title="Activity",
        description="Emails sent, opened, clicked and answered by a person for the first time, and unsubscribed from, "
        "each at the time it happened, whenever the email was sent. Counts of emails, without a denominator. By "
        "the hour for ranges of up to 3 days, by the minute up to 3 hours.",
        query=get("activity"),
        label=Field("time", "Time", Unit.TEXT),
        fields=(
            Field("sent", "Sent", Unit.COUNT, "Emails sent.", Color.GREY),
            Field("opened", "Opened", Unit.COUNT, "Emails a person opened for the first time.", Color.BLUE, line=True),
            Field("clicked", "Clicked", Unit.COUNT, "Emails a person first clicked in.", Color.GREEN, line=True),
            Field("replied", "Replied", Unit.COUNT, "Emails a person first answered.", Color.PURPLE, line=True),
            Field("unsubscribed", "Unsubscribed", Unit.COUNT, "Emails unsubscribed from.", Color.VERMILLION, line=True),
        ),
        area=GridArea(0, 9, 16, 9),
        no_value="Nothing happened",
    ),
    Panel(
        id=12,
        key="funnel",
        kind=PanelKind.BAR,
        title="Funnel",
        description="Of the emails sent in the period, how many were delivered, opened by a person, clicked in by a "
        "person and answered by a person. Beside them raw: by anybody, machines included. Shares are those of the "
        "cards: of delivered, opens of those with a pixel and clicks of those with links; delivered of sent.",
        query=get("funnel"),
        label=Field("stage", "Stage", Unit.TEXT),
        fields=(
            Field("emails", "Human", Unit.COUNT, "Emails that got this far by a person's doing."),
            Field("raw_emails", "Raw", Unit.COUNT, "Emails that got this far by anybody's doing.", Color.GREY),
        ),
        area=GridArea(16, 9, 8, 9),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=13,
        key="campaigns",
        kind=PanelKind.TABLE,
        title="Campaigns",
        description="The emails sent in the period, campaign by campaign. Bounces are shares of sent; opens, clicks, "
        "replies, unsubscribes and complaints of delivered (sent minus bounced).",
        query=get("by_campaign"),
        label=Field("campaign_name", "Campaign", Unit.TEXT, "The campaign's name, which leads to its own board."),
        link=RowLink("campaign_id", CAMPAIGN, board="campaign"),
        fields=(Field("state", "State", Unit.TEXT, "Paused: nothing more is sent.", words=CAMPAIGN_STATES), *RATES),
        area=GridArea(0, 18, 24, 8),
        no_value=NOTHING_SENT,
    ),
    Panel(
        id=9,
        key="machine-open-rate",
        kind=PanelKind.STAT,
        title="Machine opens",
        description="Of the emails sent in the period and delivered, the share whose pixel was fetched ahead by a "
        "mailbox provider's privacy proxy. It says nothing about the person, so it is in the raw open rate only.",
        query=get("headline"),
        fields=(Field("machine_open_rate", "Machine", Unit.RATE, color=Color.PURPLE),),
        area=GridArea(0, 26, 5, 4),
        no_value=NOTHING_WITH_PIXEL,
        of=RateCounts("machine_opened", "delivered_with_pixel", OPENS_OF),
    ),
    Panel(
        id=10,
        key="bot-share",
        kind=PanelKind.STAT,
        title="Bot share",
        description="Of all opens and clicks that came in during the period, repeats included, the share made by "
        "robots: security scanners, crawlers, link checkers.",
        query=get("hit_headline"),
        fields=(Field("bot_share", "Robots", Unit.RATE, color=Color.VERMILLION),),
        area=GridArea(5, 26, 5, 4),
        no_value=NO_HITS,
        of=RateCounts("bot_hits", "hits", "hits"),
    ),
    Panel(
        id=15,
        key="verdicts",
        kind=PanelKind.BAR,
        title="Who opened and clicked",
        description="All opens and clicks that came in during the period, repeats included, by whose they were: a "
        "person's, a privacy proxy's (machine) or a robot's. Counts of hits; the whole bar is the denominator.",
        query=get("hits_by_verdict"),
        label=Field("hit", "Hits", Unit.TEXT),
        fields=(
            Field("human", "Human", Unit.COUNT, "Hits by people.", Color.BLUE),
            Field("machine", "Machine", Unit.COUNT, "Hits by privacy proxies.", Color.PURPLE),
            Field("bot", "Bot", Unit.COUNT, "Hits by robots.", Color.VERMILLION),
        ),
        area=GridArea(0, 30, 10, 6),
        no_value=NO_HITS,
        stacked=True,
    ),
    Panel(
        id=16,
        key="reasons",
        kind=PanelKind.TABLE,
        title="Verdicts by reason",
        description="All opens and clicks that came in during the period, by the rule that judged them. The share is "
        "of all hits, so the shares add up to 100 %.",
        query=get("hits_by_reason"),
        label=Field("reason", "Reason", Unit.TEXT, "The rule that gave the verdict."),
        fields=(
            Field("verdict", "Verdict", Unit.TEXT, "human, machine or bot.", words=VERDICTS),
            Field("opens", "Opens", Unit.COUNT, "Pixel fetches."),
            Field("clicks", "Clicks", Unit.COUNT, "Links followed."),
            Field("share", "Share of hits", Unit.RATE, "Of all hits of the period."),
        ),
        area=GridArea(10, 26, 14, 10),
        no_value=NO_HITS,
    ),
    Panel(
        id=17,
        key="senders",
        kind=PanelKind.TABLE,
        title="Senders",
        description="The senders of the emails sent in the period. Health is that of now, 0 to 100, whatever the "
        "period: an email that bounces hard costs 15, one that bounces otherwise, is blocked or put off costs 5, and "
        "20 in a row that meet nothing give 1 back. Bounces are shares of sent.",
        query=get("senders"),
        label=Field("sender", "Sender", Unit.TEXT, "The mailbox that emails are from."),
        fields=(
            Field("health", "Health", Unit.COUNT, "100 is untouched.", thresholds=HEALTH),
            Field("sent", "Sent", Unit.COUNT, "Emails put to the recipient's mail server."),
            Field("hard_bounce_rate", "Hard bounces", Unit.RATE, "Refused for good, of sent.", thresholds=HARD_BOUNCES),
            Field("soft_bounce_rate", "Soft bounces", Unit.RATE, "Refused for a reason that may pass, of sent."),
            Field("block_rate", "Blocked", Unit.RATE, "Refused as spam, by policy or for its reputation, of sent."),
        ),
        area=GridArea(0, 36, 24, 8),
        no_value=NOTHING_SENT,
    ),
)

OVERVIEW = Board(
    key="overview",
    uid="sendlens-overview",
    title="Overview",
    description="What became of the emails sent in the period, by people and by machines.",
    panels=_PANELS,
    marks=get("pause_marks"),
)
