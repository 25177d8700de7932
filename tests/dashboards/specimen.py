"""A board with a panel of every kind, for what no shipped board shows yet: the known week, asked in the plainest way."""

from __future__ import annotations

from clickhouse.inlining import PARAMETER
from clickhouse.queries import Query
from dashboards.panels import Board, Color, Field, GridArea, HeatmapColumns, Panel, PanelKind, RowLink, Unit
from dashboards.variables import CAMPAIGN, LEAD, SENDER, STEP

_PERIOD = "sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}"


def query(name: str, sql: str) -> Query:
    return Query(name, sql, "Of these tests.", {found["name"]: found["type"] for found in PARAMETER.finditer(sql)})


WEEKDAYS = query(
    "weekdays",
    f"""SELECT ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][toDayOfWeek(sent_at)] AS weekday,
    toHour(sent_at) AS hour, count() AS emails, any(campaign) AS campaign_id
FROM v_outcomes
WHERE {_PERIOD}
GROUP BY toDayOfWeek(sent_at), weekday, hour
ORDER BY toDayOfWeek(sent_at) DESC, hour""",
)
WEEKDAY_LINES = query(
    "weekday_lines",
    f"""SELECT weekday, anyOrNullIf(emails, hour = 9) AS `9`, anyOrNullIf(emails, hour = 15) AS `15`,
    any(campaign_id) AS campaign_id
FROM ({WEEKDAYS.sql})
GROUP BY weekday
ORDER BY min(rowNumberInAllBlocks())""",
)
BUCKETS = query(
    "buckets",
    f"SELECT toString(step) AS bucket, count() AS emails, 0.5 AS share FROM v_outcomes WHERE {_PERIOD} GROUP BY step",
)
STORY = query(
    "story",
    "SELECT sent_at AS at, 'sent' AS what, lead FROM v_outcomes WHERE lead = {lead:String} ORDER BY at DESC",
)
SPEED = query(
    "speed",
    f"""SELECT toStartOfDay(sent_at) AS time, count() AS emails, 1.5 AS wait, 2048 AS size FROM v_outcomes
WHERE {_PERIOD} AND (empty({{steps:Array(UInt8)}}) OR has({{steps:Array(UInt8)}}, step))
    AND (empty({{senders:Array(String)}}) OR has({{senders:Array(String)}}, sender))
GROUP BY time ORDER BY time""",
)
NEWEST = query("newest", "SELECT 1 AS period, max(sent_at) AS newest, 'fine' AS state FROM v_outcomes")
CAMPAIGNS = query(
    "numbers", f"SELECT campaign, count() AS emails FROM v_outcomes WHERE {_PERIOD} GROUP BY campaign ORDER BY campaign"
)
MARKS = query(
    "marks", "SELECT toDateTime64({since:DateTime64(3, 'UTC')}, 3) AS time, 'Spring sale paused' AS text, 1 AS more"
)

_EMAILS = Field("emails", "Emails", Unit.COUNT)


def _panel(number: int, kind: PanelKind, asks: Query, fields: tuple[Field, ...], **more: object) -> Panel:
    about = "Of all emails sent."
    area = GridArea(0, 4 * number, 24, 4)
    name = kind.value
    return Panel(number, name, kind, name, about, asks, fields, area, "Nothing sent", **more)  # type: ignore[arg-type]


SPECIMEN = Board(
    key="specimen",
    uid="sendlens-specimen",
    title="Specimen",
    description="A panel of every kind.",
    variables=(CAMPAIGN, STEP, SENDER, LEAD),
    marks=MARKS,
    panels=(
        _panel(
            1,
            PanelKind.STAT,
            NEWEST,
            (Field("newest", "Newest", Unit.TIME), Field("state", "State", Unit.TEXT)),
        ),
        _panel(
            2,
            PanelKind.TIME_SERIES,
            SPEED,
            (_EMAILS, Field("wait", "Wait", Unit.SECONDS, line=True), Field("size", "Size", Unit.BYTES)),
            label=Field("time", "Time", Unit.TEXT),
        ),
        _panel(
            3,
            PanelKind.BAR,
            CAMPAIGNS,
            (_EMAILS,),
            label=Field("campaign", "Campaign", Unit.TEXT),
            link=RowLink("campaign", CAMPAIGN, board="overview"),
        ),
        _panel(
            4,
            PanelKind.HISTOGRAM,
            BUCKETS,
            (_EMAILS, Field("share", "Share", Unit.RATE)),
            label=Field("bucket", "Step", Unit.TEXT),
        ),
        _panel(
            5,
            PanelKind.HEATMAP,
            WEEKDAYS,
            (Field("emails", "Emails", Unit.COUNT, color=Color.GREEN),),
            label=Field("weekday", "Weekday", Unit.TEXT),
            across=HeatmapColumns("hour", "Hour", (9, 15), WEEKDAY_LINES),
            link=RowLink("campaign_id", CAMPAIGN),
        ),
        _panel(
            6,
            PanelKind.TIMELINE,
            STORY,
            (Field("what", "What", Unit.TEXT),),
            label=Field("at", "When", Unit.TIME),
            link=RowLink("lead", LEAD),
        ),
        _panel(
            7,
            PanelKind.TABLE,
            CAMPAIGNS,
            (_EMAILS,),
            label=Field("campaign", "Campaign", Unit.TEXT),
            link=RowLink("campaign", CAMPAIGN),
        ),
    ),
)
