"""The Pipeline: whether everything keeps up, and where it does not."""

from __future__ import annotations

from clickhouse.queries import get
from dashboards.boards.words import BROKERS, PROCESS_STATES
from dashboards.panels import Board, Color, Field, GoodDirection, GridArea, Panel, PanelKind, Threshold, Unit

UNTOLD = "No samples: are the processes up, and is SENDLENS_SAMPLE_SECONDS above 0?"

_TIME = Field("time", "Time", Unit.TEXT)

# A mail client waits for its pixel no longer than ack latency, and at 2 s hits go to the spool (answer_within_ms).
_ACKS = (Threshold(0.25, Color.ORANGE), Threshold(2.0, Color.VERMILLION))
_LAGS = (Threshold(1_000, Color.ORANGE), Threshold(10_000, Color.VERMILLION))
_SPOOLED = (Threshold(1, Color.ORANGE),)
_DEAD = (Threshold(1, Color.VERMILLION),)


def _stages(unit: Unit, about: str, *, line: bool = True) -> tuple[Field, ...]:
    """A field for each stage, in the order of the stream."""
    colors = (Color.BLUE, Color.GREEN, Color.ORANGE, Color.PURPLE, Color.SKY, Color.GREY)
    names = ("sender", "judge", "reader", "guard", "store", "webhooks")
    return tuple(
        Field(name, name.capitalize(), unit, about, color, line=line) for name, color in zip(names, colors, strict=True)
    )


_PANELS = (
    Panel(
        id=1,
        key="hits-now",
        kind=PanelKind.STAT,
        title="Hits a second",
        description="Pixels and links asked for in the last minute of the period, a second, over all ingest processes, "
        "whatever became of them. A count, without a denominator. One process answers some ten thousand.",
        query=get("pipeline_now"),
        fields=(Field("hits_per_second", "Hits", Unit.PER_SECOND),),
        area=GridArea(0, 0, 4, 4),
        no_value="No hits, or no ingest that told of any",
    ),
    Panel(
        id=2,
        key="lag-now",
        kind=PanelKind.STAT,
        title="Consumer lag",
        description="Kafka records that their stages have not acknowledged at the end of the period, summed over "
        "stages; of hits and events a record is a batch. A count, without a denominator. A hit waits 5 s before it is "
        "judged, so a busy stream has some; good is a number that does not grow.",
        query=get("pipeline_now"),
        fields=(Field("lag", "Records", Unit.COUNT, thresholds=_LAGS),),
        area=GridArea(4, 0, 4, 4),
        no_value="Nothing waits, or no worker that told of any",
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=3,
        key="ack-p99",
        kind=PanelKind.STAT,
        title="Ack latency",
        description="From the first hit of a batch to Kafka's answer for it: 99 % and half of all batches of the "
        "period stayed below. Good is p99 below 0.25 s; beyond 2 s hits go to the spool.",
        query=get("pipeline_ack_total"),
        fields=(
            Field("p99", "p99", Unit.SECONDS, thresholds=_ACKS),
            Field("p50", "p50", Unit.SECONDS, color=Color.GREY),
        ),
        area=GridArea(8, 0, 5, 4),
        no_value="Kafka was asked for nothing",
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=4,
        key="spool-now",
        kind=PanelKind.STAT,
        title="Spool",
        description="Hits on ingest's disks at the end of the period, which were answered while Kafka was away, and "
        "the age of the oldest of them. A count, without a denominator. Good is none; none is lost either way.",
        query=get("pipeline_now"),
        fields=(
            Field("spool_hits", "Hits", Unit.COUNT, thresholds=_SPOOLED),
            Field("spool_age", "Oldest", Unit.SECONDS, color=Color.GREY),
        ),
        area=GridArea(13, 0, 4, 4),
        no_value="Nothing waits on disk",
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=5,
        key="dead-letters",
        kind=PanelKind.STAT,
        title="Dead letters",
        description="Records that a stage could not process in the period and set aside, whole, in the topic dead. A "
        "count, without a denominator. Good is none: `sendlens dead list` says why, `dead replay` puts them back.",
        query=get("pipeline_dead_total"),
        fields=(Field("dead_letters", "Records", Unit.COUNT, thresholds=_DEAD),),
        area=GridArea(17, 0, 4, 4),
        no_value="Nothing was set aside",
        better=GoodDirection.DOWN,
    ),
    Panel(
        id=6,
        key="processes-now",
        kind=PanelKind.STAT,
        title="Processes",
        description="Processes that told of themselves in the last 30 s of the period: ingest, workers, inbox, the "
        "embedded ClickHouse and the broker in memory. A count, without a denominator. Good is as many as you started.",
        query=get("pipeline_now"),
        fields=(Field("processes", "Processes", Unit.COUNT),),
        area=GridArea(21, 0, 3, 4),
        no_value="None told of itself",
    ),
    Panel(
        id=7,
        key="hits",
        kind=PanelKind.TIME_SERIES,
        title="Hits a second, by answer",
        description="What ingest answered, a second, averages of each step: opens and clicks that Kafka has; spooled, "
        "on disk while Kafka was away; shed, repeats of a source beyond its share; rejected, which proved nothing; "
        "refused, which were promised nothing. Counts, without a denominator. Good is nothing spooled or refused.",
        query=get("pipeline_hits"),
        label=_TIME,
        fields=(
            Field("opens", "Opens", Unit.PER_SECOND, "Pixels, recorded.", Color.BLUE, line=True),
            Field("clicks", "Clicks", Unit.PER_SECOND, "Links, recorded.", Color.GREEN, line=True),
            Field("spooled", "Spooled", Unit.PER_SECOND, "Safe on ingest's disk.", Color.ORANGE, line=True),
            Field("shed", "Shed", Unit.PER_SECOND, "Repeats beyond a source's share.", Color.PURPLE, line=True),
            Field("rejected", "Rejected", Unit.PER_SECOND, "Without a valid token.", Color.GREY, line=True),
            Field("refused", "Refused", Unit.PER_SECOND, "Told to come again.", Color.VERMILLION, line=True),
        ),
        area=GridArea(0, 4, 12, 8),
        no_value="No hits, or no samples of any",
    ),
    Panel(
        id=8,
        key="acks",
        kind=PanelKind.TIME_SERIES,
        title="Ack latency over time",
        description="From the first hit of a batch to Kafka's answer for it: half and 99 % of all batches of each "
        "step stayed below. Seconds; exact to the width of a histogram's bucket. Good is p99 below 0.25 s.",
        query=get("pipeline_acks"),
        label=_TIME,
        fields=(
            Field("p50", "p50", Unit.SECONDS, "Half of all batches.", Color.BLUE, line=True),
            Field("p99", "p99", Unit.SECONDS, "99 of 100 batches.", Color.VERMILLION, line=True),
        ),
        area=GridArea(12, 4, 12, 8),
        no_value="Kafka was asked for nothing",
    ),
    Panel(
        id=9,
        key="lag",
        kind=PanelKind.TIME_SERIES,
        title="Lag by stage",
        description="Kafka records that a stage has not acknowledged, the most of each step; of hits and events a "
        "record is a batch. Counts, without a denominator. Good is what comes down again: the judge's stays at what "
        "comes in within its 5 s of waiting. A gap: no worker of the stage told, or ClickHouse was away.",
        query=get("pipeline_lag"),
        label=_TIME,
        fields=_stages(Unit.COUNT, "Records not acknowledged."),
        area=GridArea(0, 12, 12, 8),
        no_value="Nothing waits, or no samples of it",
    ),
    Panel(
        id=10,
        key="stages",
        kind=PanelKind.TIME_SERIES,
        title="Records a second, by stage",
        description="Kafka records that each stage handled and acknowledged, a second, averages of each step; of hits "
        "and events a record is a batch, so the same number of hits may be fewer records the busier it is. Counts, "
        "without a denominator.",
        query=get("pipeline_stages"),
        label=_TIME,
        fields=_stages(Unit.PER_SECOND, "Records handled."),
        area=GridArea(12, 12, 12, 8),
        no_value="No stage had anything to do",
    ),
    Panel(
        id=11,
        key="spool",
        kind=PanelKind.TIME_SERIES,
        title="Hits waiting in ingest",
        description="Hits that Kafka has not acknowledged yet (in flight), and those on ingest's disks while it is "
        "away (spool), the most of each step. Counts, without a denominator. Good is an empty spool.",
        query=get("pipeline_spool"),
        label=_TIME,
        fields=(
            Field("in_flight", "In flight", Unit.COUNT, "Sent to Kafka, not answered.", Color.BLUE, line=True),
            Field("spooled", "Spool", Unit.COUNT, "On disk, and safe there.", Color.ORANGE, line=True),
        ),
        area=GridArea(0, 20, 8, 8),
        no_value="Nothing waits in ingest",
    ),
    Panel(
        id=12,
        key="dead",
        kind=PanelKind.TIME_SERIES,
        title="Dead letters by stage",
        description="Records that a stage could not process and set aside in the topic dead, in each step. Counts, "
        "without a denominator. Good is none.",
        query=get("pipeline_dead"),
        label=_TIME,
        fields=_stages(Unit.COUNT, "Records set aside.", line=False),
        area=GridArea(8, 20, 8, 8),
        no_value="Nothing was set aside",
        stacked=True,
    ),
    Panel(
        id=13,
        key="memory",
        kind=PanelKind.TIME_SERIES,
        title="Memory by role",
        description="Memory that processes hold (resident), the most of each step, summed over all processes of a "
        "role. Bytes, without a denominator. Good is what levels off. Of brokers it is the one in memory, which is "
        "replaced by an empty one when it has grown too large (SENDLENS_BROKER_MB).",
        query=get("pipeline_memory"),
        label=_TIME,
        fields=(
            Field("ingest", "Ingest", Unit.BYTES, "All ingest processes.", Color.BLUE, line=True),
            Field("worker", "Workers", Unit.BYTES, "All workers.", Color.GREEN, line=True),
            Field("inbox", "Inbox", Unit.BYTES, "Reads the mailboxes.", Color.ORANGE, line=True),
            Field("clickhouse", "ClickHouse", Unit.BYTES, "The embedded database.", Color.PURPLE, line=True),
            Field("broker", "Broker", Unit.BYTES, "The one in memory.", Color.SKY, line=True),
        ),
        area=GridArea(16, 20, 8, 8),
        no_value=UNTOLD,
    ),
    Panel(
        id=14,
        key="processes",
        kind=PanelKind.TABLE,
        title="Processes, one by one",
        description="Every process that told of itself in the period, with its last minute: rates are counts a second, "
        "without a denominator, and processors are a share of one of the machine's. Silent: nothing was heard for 30 s "
        "before the end of the period.",
        query=get("pipeline_processes"),
        label=Field("instance", "Process", Unit.TEXT, "Host and process id."),
        fields=(
            Field("role", "Role", Unit.TEXT, "ingest, worker, inbox, clickhouse or broker."),
            Field(
                "state", "State", Unit.TEXT, "Silent: stopped, or it does not reach ClickHouse.", words=PROCESS_STATES
            ),
            Field("seen_seconds", "Last heard", Unit.SECONDS, "Before the end of the period."),
            Field("up_seconds", "Started", Unit.SECONDS, "Before the end of the period."),
            Field("hits_per_second", "Hits/s", Unit.PER_SECOND, "Ingest: asked for. Worker: judged."),
            Field("records_per_second", "Records/s", Unit.PER_SECOND, "Worker: handled. Inbox: mails read."),
            Field("lag", "Lag", Unit.COUNT, "Records not acknowledged, in its own partitions.", thresholds=_LAGS),
            Field("processors", "Processor", Unit.RATE, "Of one processor."),
            Field("memory_bytes", "Memory", Unit.BYTES, "Resident."),
            Field("broker", "Broker", Unit.TEXT, "Ingest: `make kafka` brings one for real campaigns.", words=BROKERS),
        ),
        area=GridArea(0, 28, 24, 8),
        no_value=UNTOLD,
    ),
    Panel(
        id=15,
        key="dead-reasons",
        kind=PanelKind.TABLE,
        title="Dead letters by reason",
        description="Records set aside in the topic dead in the period, by stage and reason. Counts, without a "
        "denominator. `sendlens dead show` decodes one; `sendlens dead replay --reason` puts a reason's back.",
        query=get("pipeline_dead_reasons"),
        label=Field("reason", "Reason", Unit.TEXT, "Why it could not be processed."),
        fields=(
            Field("stage", "Stage", Unit.TEXT, "Whose work it was."),
            Field("records", "Records", Unit.COUNT, "Set aside in the period.", thresholds=_DEAD),
            Field("last_at", "Last", Unit.TIME, "When it was last told of."),
        ),
        area=GridArea(0, 36, 24, 8),
        no_value="Nothing was set aside",
    ),
)

PIPELINE = Board(
    key="pipeline",
    uid="sendlens-pipeline",
    title="Pipeline",
    description="Whether the stream keeps up: hits, lag, latency, the spool and what was set aside, by process.",
    panels=_PANELS,
    variables=(),
    needs_emails=False,
    since="now-6h",
)
