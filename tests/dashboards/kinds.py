"""Boards of the tests' own that have every kind of panel, every unit, every variable and marks, over real tables."""

from __future__ import annotations

from datetime import timedelta

from clickhouse.queries import read
from dashboards.boards import BOARDS
from dashboards.panels import Board, Color, Field, GridArea, HeatmapColumns, Panel, PanelKind, RowLink, Unit
from dashboards.variables import CAMPAIGN, LEAD, SENDER, STEP
from schemas.events import AnyEvent, CampaignPaused, CampaignResumed
from schemas.tokens import event_id
from tests.dashboards.data import PICK_AT, SPRING_AT, Email

_CHOSEN = """
    (empty({campaigns:Array(String)}) OR has({campaigns:Array(String)}, campaign))
    AND (empty({steps:Array(UInt8)}) OR has({steps:Array(UInt8)}, step))
    AND (empty({senders:Array(String)}) OR has({senders:Array(String)}, sender))
    AND sent_at >= {since:DateTime64(3, 'UTC')} AND sent_at < {until:DateTime64(3, 'UTC')}
"""

_SQL = """
-- name: kinds_amounts
-- Amounts of every unit.
SELECT
    count() AS emails, 11520 AS delay, 0.0042 AS latency, 3221225472 AS spooled, 12.345 AS pace, max(sent_at) AS last_at
FROM v_outcomes WHERE {_CHOSEN}

-- name: kinds_days
-- Rates, delays and paces, day by day.
SELECT
    toStartOfDay(sent_at, 'UTC') AS time,
    count() AS sent,
    countIf(first_open_at IS NOT NULL) / count() AS open_rate,
    avg(dateDiff('second', sent_at, first_open_at)) AS delay,
    count() / 86400 AS pace
FROM v_outcomes WHERE {_CHOSEN}
GROUP BY time ORDER BY time WITH FILL STEP toIntervalDay(1)

-- name: kinds_delays
-- Opens by delay.
SELECT ['under 1 h', '1 h and more', 'over 1 day'][place] AS delay, sum(emails) AS opened
FROM
(
    SELECT multiIf(first_open_at < sent_at + 3600, 1, first_open_at < sent_at + 86400, 2, 3) AS place, 1 AS emails
    FROM v_outcomes WHERE first_open_at IS NOT NULL AND {_CHOSEN}
    UNION ALL
    SELECT number + 1, 0 FROM numbers(3)
)
GROUP BY place ORDER BY place

-- name: kinds_hours
-- Opens by weekday and hour.
SELECT
    ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'][toDayOfWeek(first_open_at)] AS weekday,
    toHour(first_open_at, 'UTC') AS hour,
    count() AS opened
FROM v_outcomes WHERE first_open_at IS NOT NULL AND {_CHOSEN}
GROUP BY toDayOfWeek(first_open_at), weekday, hour ORDER BY toDayOfWeek(first_open_at), hour

-- name: kinds_leads
-- Leads, with when they were last mailed.
SELECT lead, max(sent_at) AS last_at, count() AS emails, 'bot' AS verdict
FROM v_outcomes WHERE {_CHOSEN}
GROUP BY lead ORDER BY length(lead), lead LIMIT 20

-- name: kinds_marks
-- Pauses.
SELECT at AS time, concat(campaign, if(kind = 'campaign_paused', ' paused: ', ' resumed'), detail) AS text
FROM events FINAL
WHERE kind IN ('campaign_paused', 'campaign_resumed')
    AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
ORDER BY at

-- name: kinds_story
-- All of a lead, newest first.
SELECT
    at, kind AS happened, kind, verdict, reason, campaign, toNullable(step) AS step,
    if(kind = 'open', user_agent, diagnostic) AS agent
FROM events FINAL WHERE lead = {lead:String} AND lead != '' ORDER BY at DESC, kind

-- name: kinds_backlog
-- What waits.
SELECT 'judge' AS stage, 3 AS records, 0.25 AS lag
""".replace("{_CHOSEN}", _CHOSEN)

_QUERIES = read([("kinds.sql", _SQL)])


def _panel(
    number: int, key: str, kind: PanelKind, query: str, fields: tuple[Field, ...], width: int = 12, **more: object
) -> Panel:
    about = f"{key}: of the emails sent in the period."
    area = GridArea(0, 10 * number, width, 8)
    return Panel(number, key, kind, key.title(), about, _QUERIES[query], fields, area, f"No {key}", **more)  # type: ignore[arg-type]


KINDS = Board(
    key="kinds",
    uid="sendlens-kinds",
    title="Every kind",
    description="A panel of each kind.",
    variables=(CAMPAIGN, STEP, SENDER),
    marks=_QUERIES["kinds_marks"],
    panels=(
        _panel(1, "delay", PanelKind.STAT, "kinds_amounts", (Field("delay", "Delay", Unit.SECONDS),), 4),
        _panel(2, "latency", PanelKind.STAT, "kinds_amounts", (Field("latency", "Latency", Unit.SECONDS),), 4),
        _panel(3, "spooled", PanelKind.STAT, "kinds_amounts", (Field("spooled", "Spooled", Unit.BYTES),), 4),
        _panel(4, "pace", PanelKind.STAT, "kinds_amounts", (Field("pace", "Pace", Unit.PER_SECOND),), 4),
        _panel(5, "last", PanelKind.STAT, "kinds_amounts", (Field("last_at", "Last", Unit.TIME),), 4),
        _panel(6, "emails", PanelKind.STAT, "kinds_amounts", (Field("emails", "Emails", Unit.COUNT),), 4),
        _panel(
            7,
            "days",
            PanelKind.TIME_SERIES,
            "kinds_days",
            (
                Field("sent", "Sent", Unit.COUNT, color=Color.GREY),
                Field("open_rate", "Open rate", Unit.RATE, color=Color.BLUE, line=True),
            ),
            label=Field("time", "Time", Unit.TEXT),
        ),
        _panel(
            8,
            "waits",
            PanelKind.TIME_SERIES,
            "kinds_days",
            (
                Field("delay", "Time to open", Unit.SECONDS, line=True),
                Field("pace", "Pace", Unit.PER_SECOND, line=True),
            ),
            label=Field("time", "Time", Unit.TEXT),
        ),
        _panel(
            9,
            "delays",
            PanelKind.HISTOGRAM,
            "kinds_delays",
            (Field("opened", "Opened", Unit.COUNT),),
            label=Field("delay", "Time to open", Unit.TEXT),
        ),
        _panel(
            10,
            "hours",
            PanelKind.HEATMAP,
            "kinds_hours",
            (Field("opened", "Opened", Unit.COUNT),),
            label=Field("weekday", "Weekday", Unit.TEXT),
            across=HeatmapColumns("hour", "Hour", tuple(range(24)), _QUERIES["kinds_hours"]),
        ),
        _panel(
            11,
            "leads",
            PanelKind.TABLE,
            "kinds_leads",
            (
                Field("last_at", "Last mailed", Unit.TIME),
                Field("emails", "Emails", Unit.COUNT),
                Field("verdict", "Verdict", Unit.TEXT),
            ),
            24,
            label=Field("lead", "Lead", Unit.TEXT),
            link=RowLink("lead", LEAD, board="story"),
        ),
    ),
)

STORY = Board(
    key="story",
    uid="sendlens-story",
    title="Story",
    description="All that happened to one lead.",
    variables=(LEAD,),
    panels=(
        _panel(
            1,
            "story",
            PanelKind.TIMELINE,
            "kinds_story",
            (
                Field("happened", "What", Unit.TEXT),
                Field("verdict", "Verdict", Unit.TEXT),
                Field("reason", "Reason", Unit.TEXT),
                Field("campaign", "Campaign", Unit.TEXT),
                Field("step", "Step", Unit.COUNT),
                Field("agent", "Agent", Unit.TEXT, color=Color.GREY),
            ),
            24,
            label=Field("at", "When", Unit.TIME),
        ),
    ),
)

MACHINE = Board(
    key="machine",
    uid="sendlens-machine",
    title="Machine",
    description="How the machine is.",
    variables=(),
    needs_emails=False,
    panels=(
        _panel(
            1,
            "backlog",
            PanelKind.BAR,
            "kinds_backlog",
            (Field("records", "Records", Unit.COUNT),),
            label=Field("stage", "Stage", Unit.TEXT),
        ),
    ),
)

OFFERED = (BOARDS[0], KINDS, STORY, MACHINE)


def pauses() -> list[AnyEvent]:
    """A pause and a resume within the known week, and an open of `lead-0` whose agent is said."""
    paused, resumed = PICK_AT + timedelta(hours=6), PICK_AT + timedelta(days=1)
    lead = Email("spring", 1, "A", "lead-0", SPRING_AT)
    return [
        CampaignPaused(
            id=str(event_id(lead.id, "paused")),
            at=paused,
            campaign="spring",
            reason="bounces",
            detail="2 of 40 bounced",
        ),
        CampaignResumed(id=str(event_id(lead.id, "resumed")), at=resumed, campaign="spring"),
    ]
