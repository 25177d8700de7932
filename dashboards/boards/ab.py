"""A/B: whether a variant of a step does better than another, or only seems to."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.boards.rates import DELIVERED
from dashboards.panels import Area, Board, Color, Field, Kind, Link, Panel, Unit
from dashboards.variables import CAMPAIGN, STEP

_NO_TEST = "No step was sent in two variants"

_HOW = (
    "The emails sent in the period, for each step sent in at least two variants. Rates are of delivered (sent minus "
    "bounced). Each variant is compared with the baseline: the one called control, else the first by name. The p-value "
    "is of the two-sided z-test with pooled variance, corrected by Holm where a step has more than two variants."
)


def _table(panel: int, query: str, key: str, title: str, about: str, did: str, y: int) -> Panel:
    """The variants by one metric; `did` is what people did, as in `emails that a person opened`."""
    return Panel(
        id=panel,
        key=key,
        kind=Kind.TABLE,
        title=title,
        description=f"{about} {_HOW}",
        query=get(query),
        label=Field("step_name", "Step", Unit.TEXT, "The email's place in the sequence. Choose it to see it alone."),
        link=Link("step", STEP),
        fields=(
            Field("campaign_name", "Campaign", Unit.TEXT, "The campaign's name."),
            Field("variant", "Variant", Unit.TEXT, "The version of the text that was sent."),
            Field(
                "finding",
                "Finding",
                Unit.TEXT,
                "Better only when the corrected p-value is below 0.05 and both have the emails needed.",
            ),
            DELIVERED,
            Field("reached", "Emails", Unit.COUNT, f"Emails that a person {did}."),
            Field("rate", "Rate", Unit.RATE, f"Emails that a person {did}, of delivered."),
            Field(
                "lift", "Lift", Unit.RATE, "How much larger the rate is than the baseline's, of the baseline's rate."
            ),
            Field(
                "interval",
                "95 % interval",
                Unit.TEXT,
                "Of the rate minus the baseline's rate, in percentage points: by Newcombe's score method.",
            ),
            Field("p", "p-value", Unit.TEXT, "How often chance alone gives such a difference, corrected by Holm."),
            Field(
                "needed",
                "Needed of each",
                Unit.COUNT,
                "Delivered emails of each variant, to find with a power of 80 % at 5 % the difference seen, or a fifth "
                "of the baseline's rate where less was seen.",
            ),
            Field(
                "to_find",
                "To find",
                Unit.TEXT,
                "Which difference that is: one as seen, or of a fifth of the baseline's rate.",
                Color.GREY,
            ),
        ),
        area=Area(0, y, 24, 8),
        no_value=_NO_TEST,
    )


_PANELS = (
    Panel(
        id=1,
        key="tests",
        kind=Kind.BAR,
        title="Where the tests stand",
        description="The steps sent in at least two variants in the period, by what their replies say: a variant is "
        "better than another; none differs though there is data enough; or there is not. A test is a step of a "
        "campaign; all tests together are the denominator.",
        query=get("ab_summary"),
        label=Field("state", "State", Unit.TEXT),
        fields=(Field("tests", "Tests", Unit.COUNT, "Steps of campaigns sent in at least two variants."),),
        area=Area(0, 0, 24, 6),
        no_value=_NO_TEST,
    ),
    _table(
        2,
        "ab_replies",
        "replies",
        "Replies, which decide",
        "What people answered is what a campaign is for.",
        "answered",
        6,
    ),
    _table(3, "ab_clicks", "clicks", "Clicks", "A hint where replies are few.", "clicked in", 14),
    _table(
        4,
        "ab_opens",
        "opens",
        "Opens",
        "The weakest hint: many mail clients hide whether a person opened.",
        "opened",
        22,
    ),
)

AB = Board(
    key="ab",
    uid="sendlens-ab",
    title="A/B",
    description="Whether one variant of a step does better than another, and how many emails it takes to know.",
    panels=_PANELS,
    variables=(CAMPAIGN, STEP),
)
