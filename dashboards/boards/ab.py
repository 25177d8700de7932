"""A/B: whether a variant of a step does better than another, or only seems to."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.boards.rates import DELIVERED, NOT_TRACKED
from dashboards.boards.words import FINDINGS
from dashboards.panels import Board, Color, Field, GridArea, Panel, PanelKind, RowLink, Unit
from dashboards.variables import CAMPAIGN, STEP

_NO_TEST = "No step was sent in two variants"

_HOW = (
    "The emails sent in the period, for each step sent in at least two variants. Rates are of delivered (sent minus "
    "bounced), of opens with a pixel, of clicks with links. Each variant is compared with the baseline: the one called "
    "control, else the first by name. The p-value "
    "is of the two-sided z-test with pooled variance, corrected by Holm where a step has more than two variants."
)


def _table(panel: int, query: str, key: str, title: str, about: str, did: str, y: int) -> Panel:
    """The variants by one metric; `did` is what people did, as in `emails that a person opened`."""
    return Panel(
        id=panel,
        key=key,
        kind=PanelKind.TABLE,
        title=title,
        description=f"{about} {_HOW}",
        query=get(query),
        label=Field("step_name", "Step", Unit.TEXT, "The email's place in the sequence. Choose it to see it alone."),
        link=RowLink("step", STEP),
        fields=(
            Field("variant", "Variant", Unit.TEXT, "The version of the text that was sent."),
            Field(
                "finding",
                "Finding",
                Unit.TEXT,
                "Better only when the corrected p-value is below 0.05 and both have the emails needed.",
                long=True,
                words=FINDINGS,
            ),
            Field("rate", "Rate", Unit.RATE, f"Emails that a person {did}, of delivered.", missing=NOT_TRACKED),
            Field(
                "lift", "Lift", Unit.RATE, "How much larger the rate is than the baseline's, of the baseline's rate."
            ),
            Field(
                "interval",
                "95 % interval",
                Unit.TEXT,
                "Of the rate minus the baseline's rate, in percentage points: by Newcombe's score method. Of each "
                "comparison by itself, where the p-value is corrected for all of the step.",
                width=150,
            ),
            Field(
                "p",
                "p-value",
                Unit.TEXT,
                "How often chance alone gives such a difference, corrected by Holm.",
                width=80,
            ),
            Field("reached", "Emails", Unit.COUNT, f"Emails that a person {did}."),
            DELIVERED,
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
                width=90,
            ),
            Field("campaign_name", "Campaign", Unit.TEXT, "The campaign's name.", width=150),
        ),
        area=GridArea(0, y, 24, 8),
        no_value=_NO_TEST,
    )


_PANELS = (
    Panel(
        id=1,
        key="tests",
        kind=PanelKind.BAR,
        title="Where the tests stand",
        description="The steps sent in at least two variants in the period, by what their replies say: a variant is "
        "better than another; none differs though there is data enough; or there is not. A test is a step of a "
        "campaign; all tests together are the denominator.",
        query=get("ab_summary"),
        label=Field("state", "State", Unit.TEXT),
        fields=(Field("tests", "Tests", Unit.COUNT, "Steps of campaigns sent in at least two variants."),),
        area=GridArea(0, 0, 24, 6),
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
