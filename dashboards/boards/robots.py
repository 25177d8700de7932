"""Robots: whose the opens and clicks were, by which rule, network and agent, what each rule took out, and with what
people came."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.boards.overview import NO_HITS
from dashboards.boards.people import people_panels
from dashboards.boards.rates import NOT_TRACKED, OPENS_OF
from dashboards.boards.words import VERDICTS
from dashboards.panels import Board, Color, Field, GoodDirection, GridArea, Panel, PanelKind, RateCounts, Unit
from dashboards.variables import CAMPAIGN, STEP

_NO_ROBOTS = "No robots came"

_PANELS = (
    Panel(
        id=1,
        key="bot-share",
        kind=PanelKind.STAT,
        title="Robots",
        description="Of all opens and clicks that came in during the period, repeats included, the share made by "
        "robots: security scanners, crawlers, link checkers. They count in no rate but the raw ones.",
        query=get("robot_headline"),
        fields=(Field("bot_share", "Robots", Unit.RATE, color=Color.VERMILLION),),
        area=GridArea(0, 0, 6, 5),
        no_value=NO_HITS,
        of=RateCounts("bot_hits", "hits", "hits"),
        better=GoodDirection.NEITHER,
    ),
    Panel(
        id=2,
        key="machine-share",
        kind=PanelKind.STAT,
        title="Machines",
        description="Of all opens and clicks that came in during the period, repeats included, the share made by "
        "privacy proxies, which fetch ahead for a person who may never look.",
        query=get("robot_headline"),
        fields=(Field("machine_share", "Machines", Unit.RATE, color=Color.PURPLE),),
        area=GridArea(6, 0, 6, 5),
        no_value=NO_HITS,
        of=RateCounts("machine_hits", "hits", "hits"),
    ),
    Panel(
        id=3,
        key="human-share",
        kind=PanelKind.STAT,
        title="People",
        description="Of all opens and clicks that came in during the period, repeats included, the share by people.",
        query=get("robot_headline"),
        fields=(Field("human_share", "People", Unit.RATE, color=Color.BLUE),),
        area=GridArea(12, 0, 6, 5),
        no_value=NO_HITS,
        of=RateCounts("human_hits", "hits", "hits"),
    ),
    Panel(
        id=4,
        key="bot-emails",
        kind=PanelKind.STAT,
        title="Emails robots touched",
        description="Of the emails sent in the period that anybody opened or clicked in, whenever that was, the share "
        "in which a robot had a part.",
        query=get("robot_headline"),
        fields=(Field("bot_email_share", "Touched", Unit.RATE, color=Color.ORANGE),),
        area=GridArea(18, 0, 6, 5),
        no_value=NO_HITS,
        of=RateCounts("bot_emails", "emails", "emails"),
    ),
    Panel(
        id=5,
        key="over-time",
        kind=PanelKind.TIME_SERIES,
        title="Hits over time",
        description="All opens and clicks, repeats included, at the time they came, by whose they were. Counts of "
        "hits, by the hour for ranges of up to 3 days; the three together are the denominator of the shares.",
        query=get("robots_over_time"),
        label=Field("time", "Time", Unit.TEXT),
        fields=(
            Field("human_hits", "People", Unit.COUNT, "Hits by people.", Color.BLUE),
            Field("machine_hits", "Machines", Unit.COUNT, "Hits by privacy proxies.", Color.PURPLE),
            Field("bot_hits", "Robots", Unit.COUNT, "Hits by robots.", Color.VERMILLION),
        ),
        area=GridArea(0, 5, 24, 9),
        no_value=NO_HITS,
        stacked=True,
    ),
    Panel(
        id=6,
        key="rules",
        kind=PanelKind.TABLE,
        title="What each rule removed",
        description="The hits of the period that each rule said were a robot's or a machine's, and, of the emails sent "
        "in the period, what the rates would be if that rule's hits had counted as a person's. Rates are of delivered "
        "(sent minus bounced); shares of all hits that any rule removed, so they add up to 100 %.",
        query=get("removed_by_rule"),
        label=Field("reason", "Rule", Unit.TEXT, "The rule that spoke first."),
        fields=(
            Field("verdict", "Verdict", Unit.TEXT, "bot, or machine for a privacy proxy.", words=VERDICTS),
            Field("hits", "Hits", Unit.COUNT, "Opens and clicks that it removed, repeats included."),
            Field("share", "Share", Unit.RATE, "Of all hits that a rule removed."),
            Field("emails", "Emails", Unit.COUNT, "Emails sent in the period with such a hit, whenever."),
            Field(
                "open_rate",
                "Open rate",
                Unit.RATE,
                f"As it is: emails that a person opened, of {OPENS_OF}.",
                missing=NOT_TRACKED,
            ),
            Field("open_rate_without", "Without the rule", Unit.RATE, "If its opens were a person's.", Color.GREY),
            Field("click_rate", "Click rate", Unit.RATE, "As it is: emails a person clicked in, of delivered."),
            Field("click_rate_without", "Clicks without it", Unit.RATE, "If its clicks were a person's.", Color.GREY),
        ),
        area=GridArea(0, 14, 24, 9),
        no_value="No rule removed anything",
    ),
    Panel(
        id=7,
        key="networks",
        kind=PanelKind.TABLE,
        title="Networks",
        description="Networks from which robots or machines came in the period, those with most such hits first: by "
        "name where the rules know them, else by the first part of the address. The share is of all hits by robots and "
        "machines. AS numbers are known where the operator supplies an ASN database.",
        query=get("robots_by_network"),
        label=Field(
            "network_name", "Network", Unit.TEXT, "Its name, or the first 24 bits (IPv6: 48) of its addresses."
        ),
        fields=(
            Field("bot_hits", "Robots", Unit.COUNT, "Hits by robots."),
            Field("machine_hits", "Machines", Unit.COUNT, "Hits by privacy proxies."),
            Field("opens", "Opens", Unit.COUNT, "Pixel fetches, by both."),
            Field("clicks", "Clicks", Unit.COUNT, "Links followed, by both."),
            Field("share", "Share", Unit.RATE, "Of all hits by robots and machines."),
            Field("agents", "Calls itself", Unit.TEXT, "Up to three of its robots' and machines' names.", long=True),
        ),
        area=GridArea(0, 23, 24, 10),
        no_value=_NO_ROBOTS,
    ),
    Panel(
        id=8,
        key="agents",
        kind=PanelKind.TABLE,
        title="Agents",
        description="What the user agents of robots and machines are known as, by hits in the period. A robot that "
        "dresses as a browser stands under browser: timing, links or its network gave it away. The share is of all "
        "hits by robots and machines.",
        query=get("robots_by_agent"),
        label=Field("agent_name", "Agent", Unit.TEXT, "The robot's own name, or what kind of program it says it is."),
        fields=(
            Field("verdict", "Verdict", Unit.TEXT, "bot, or machine for a privacy proxy.", words=VERDICTS),
            Field("opens", "Opens", Unit.COUNT, "Pixel fetches."),
            Field("clicks", "Clicks", Unit.COUNT, "Links followed."),
            Field("hits", "Hits", Unit.COUNT, "Both together, repeats included."),
            Field("share", "Share", Unit.RATE, "Of all hits by robots and machines."),
        ),
        area=GridArea(0, 33, 24, 9),
        no_value=_NO_ROBOTS,
    ),
    Panel(
        id=9,
        key="user-agents",
        kind=PanelKind.TABLE,
        title="User agents of robots",
        description="The user agents that robots sent in the period, as they were written, the 30 with most hits. The "
        "share is of all hits by robots.",
        query=get("robots_by_user_agent"),
        label=Field("sent_as", "User agent", Unit.TEXT, "As it was sent."),
        fields=(
            Field("agent_name", "Known as", Unit.TEXT),
            Field("reasons", "Rules", Unit.TEXT, "Those that said that it is a robot's."),
            Field("opens", "Opens", Unit.COUNT, "Pixel fetches."),
            Field("clicks", "Clicks", Unit.COUNT, "Links followed."),
            Field("share", "Share", Unit.RATE, "Of all hits by robots."),
        ),
        area=GridArea(0, 42, 24, 9),
        no_value=_NO_ROBOTS,
    ),
    *people_panels(10, 51),
)

ROBOTS = Board(
    key="robots",
    uid="sendlens-robots",
    title="Robots",
    description="Whose the opens and clicks were: people's, privacy proxies' or robots', and how that is known.",
    panels=_PANELS,
    variables=(CAMPAIGN, STEP),
)
