"""The queries of the board Pipeline, on a real engine, against processes whose figures are made up and known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from agents.pipeline import STAGES
from clickhouse import queries
from clickhouse.query_parameters import QueryParameters
from clickhouse.samples import MetricSample, Role
from clickhouse.store import connect, insert_lines
from schemas.settings import Settings

# Of late, for samples are kept 14 days by ClickHouse's own clock.
T = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
NAMES = [name for name in queries.ALL if name.startswith(("pipeline_", "alert_"))]
_SAMPLED = (
    "SELECT name FROM system.tables "
    "WHERE database = currentDatabase() AND startsWith(name, 'samples') AND engine LIKE '%MergeTree'"
)
Known = tuple[str, dict[str, Any], float, float]  # name, labels, how much at birth, how much more each second


@pytest.fixture
def client(own_database: Settings) -> Iterator[Client]:
    """A database in which nobody has told of itself: every test makes up other processes."""
    with connect(own_database) as client:
        for (table,) in client.query(_SAMPLED).result_rows:
            client.command(f"TRUNCATE TABLE {table}")
        yield client


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


def lived(
    client: Client,
    role: Role,
    born: datetime,
    died: datetime,
    *known: Known,
    instance: str = "host:1",
    silent: tuple[datetime, datetime] = (T, T),
) -> None:
    """A process that told of itself every 10 s, its last at the moment of its end, and not while it was `silent`."""
    moments = [born + seconds(10 * n) for n in range(1, int((died - born) / seconds(10)) + 1)]
    moments = [at for at in moments if not silent[0] <= at < silent[1]]
    always: tuple[Known, ...] = (
        ("process_cpu_seconds_total", {}, 0, 0.5),
        ("process_resident_memory_bytes", {}, 100e6, 0),
    )
    told = [
        MetricSample(at, role, instance, born, name, first + grows * (at - born).total_seconds(), **labels)
        for at in moments
        for name, labels, first, grows in (*known, *always)
    ]
    insert_lines(client, "samples", msgspec.json.Encoder().encode_lines(told))


def hits(per_second: float, kind: str = "open", result: str = "recorded") -> Known:
    return "sendlens_hits_total", {"kind": kind, "result": result}, 0, per_second


def acks(*shares: tuple[float | str, float]) -> tuple[Known, ...]:
    return tuple(("sendlens_ack_seconds_bucket", {"le": le}, 0, share) for le, share in shares)


def lag(stage: str, records: float) -> Known:
    return "sendlens_stage_lag_records", {"stage": stage}, records, 0


def ask(client: Client, name: str, since: datetime, until: datetime) -> list[dict[str, Any]]:
    query = queries.get(name)
    values = query.values(QueryParameters(since, until, (), "UTC").parameters())
    # As the page and Grafana's reader ask: a query that wants another setting would be refused.
    return list(client.query(query.sql, parameters=values, settings={"readonly": 1}).named_results())


def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


def test_a_steady_rate_is_the_same_in_every_step(client: Client) -> None:
    lived(client, "ingest", T - seconds(3605), T + seconds(3600), hits(10), hits(1, "click"), hits(0.5, result="shed"))
    rows = ask(client, "pipeline_hits", T, T + seconds(3600))
    assert len(rows) == 120
    assert column(rows, "opens") == pytest.approx([10.0] * 120)
    assert column(rows, "clicks") == pytest.approx([1.0] * 120)
    assert column(rows, "shed") == pytest.approx([0.5] * 120)


@pytest.mark.parametrize("hours", [1, 3, 12, 72])
def test_a_rate_survives_the_counter_that_begins_anew(client: Client, hours: int) -> None:
    """A container that is restarted has the same host and process id, and its counters begin at 0."""
    end = T + timedelta(hours=hours)
    half = T + timedelta(hours=hours) / 2
    lived(client, "ingest", T, half, hits(10))
    lived(client, "ingest", half, end, hits(30))
    rows = ask(client, "pipeline_hits", T, end)
    told = column(rows, "opens")
    middle = len(told) // 2
    assert told[: middle - 1] == pytest.approx([10.0] * (middle - 1))
    assert told[middle + 1 :] == pytest.approx([30.0] * (len(told) - middle - 1))
    assert sum(told) / len(told) == pytest.approx(20.0), "no hit is lost to the restart, and none counted twice"


def test_processes_add_up_and_what_came_before_the_first_sample_counts(client: Client) -> None:
    lived(client, "ingest", T, T + seconds(600), hits(10), instance="a:1")
    lived(client, "ingest", T + seconds(300), T + seconds(600), hits(5), instance="b:1")
    told = column(ask(client, "pipeline_hits", T, T + seconds(600)), "opens")
    assert told == pytest.approx([10.0] * 10 + [15.0] * 10)


def test_where_nobody_told_the_rate_is_unknown_and_not_zero(client: Client) -> None:
    lived(client, "ingest", T, T + seconds(300), hits(10))
    told = column(ask(client, "pipeline_hits", T, T + seconds(600)), "opens")
    assert told[:10] == pytest.approx([10.0] * 10)
    assert told[10:] == [None] * 10


def test_what_came_while_clickhouse_was_away_is_spread_over_that_time(client: Client) -> None:
    lived(client, "ingest", T, T + seconds(900), hits(10), silent=(T + seconds(300), T + seconds(600)))
    assert column(ask(client, "pipeline_hits", T, T + seconds(900)), "opens") == pytest.approx([10.0] * 30)


def test_latency_is_of_all_processes_together(client: Client) -> None:
    """One answers 100 batches a second below 10 ms, the other 1 between 0.5 and 1 s: the other is the slowest 1 %."""
    quick = acks((0.01, 100), (0.5, 100), (1.0, 100), ("inf", 100))
    slow = acks((0.01, 0), (0.5, 0), (1.0, 1), ("inf", 1))
    lived(client, "ingest", T - seconds(600), T + seconds(600), *quick, instance="quick:1")
    lived(client, "ingest", T, T + seconds(600), *slow, instance="slow:1")
    for row in ask(client, "pipeline_acks", T, T + seconds(600)):
        assert row["p50"] == pytest.approx(0.00505)
        assert row["p99"] == pytest.approx(0.01 * 0.9999, abs=1e-4)
    before, now = ask(client, "pipeline_ack_total", T, T + seconds(600))
    assert (before["p99"], now["p50"]) == pytest.approx((0.0099, 0.00505), rel=1e-3)
    slower = acks((0.01, 0), (0.5, 0), (1.0, 4), ("inf", 4))
    lived(client, "ingest", T, T + seconds(600), *slower, instance="slower:1")
    # 105 a second, 100 of them quick: the 99th of 100 is 3.95 into the 5 slow ones.
    assert ask(client, "pipeline_acks", T, T + seconds(600))[3]["p99"] == pytest.approx(0.5 + 0.5 * 3.95 / 5)


def test_latency_of_nothing_is_unknown(client: Client) -> None:
    lived(client, "ingest", T, T + seconds(600), *acks((0.01, 0), ("inf", 0)))
    assert set(column(ask(client, "pipeline_acks", T, T + seconds(600)), "p99")) == {None}
    assert column(ask(client, "pipeline_ack_total", T, T + seconds(600)), "p99") == [None, None]


def test_a_stage_has_one_lag_however_many_workers_tell_of_it(client: Client) -> None:
    for instance in ("a:1", "b:1", "c:1"):
        own = ("sendlens_own_lag_records", {"stage": "judge"}, 4.0, 0.0)
        lived(client, "worker", T, T + seconds(600), lag("judge", 12), lag("store", 3), own, instance=instance)
    rows = ask(client, "pipeline_lag", T, T + seconds(600))
    assert set(column(rows, "judge")) == {12.0}
    assert set(column(rows, "sender")) == {None}
    before, now = ask(client, "pipeline_now", T, T + seconds(600))
    assert (before["lag"], now["lag"]) == (None, 15.0)
    assert [row["lag"] for row in ask(client, "pipeline_processes", T, T + seconds(600))] == [4.0] * 3
    assert [tuple(row.values()) for row in ask(client, "alert_lag", T, T + seconds(600))] == [
        ("judge", 12),
        ("store", 3),
    ]


def test_an_alert_on_lag_has_no_row_when_no_worker_tells(client: Client) -> None:
    lived(client, "worker", T, T + seconds(300), lag("judge", 12))
    assert ask(client, "alert_lag", T + seconds(60), T + seconds(400)) == []


def test_every_stage_is_a_column_of_the_charts_by_stage(client: Client) -> None:
    for name in ("pipeline_lag", "pipeline_stages", "pipeline_dead"):
        (row, *_) = ask(client, name, T, T + seconds(60))
        assert list(row) == ["time", *(stage.name for stage in STAGES)]


def test_dead_letters_are_whole_from_the_first_of_a_reason_on(client: Client) -> None:
    """A reason's counter is born with its first record, in the middle of a worker's life."""
    held = [("sendlens_records_held", {"stage": stage}, 0.0, 0.0) for stage in ("judge", "store")]
    lived(client, "worker", T - seconds(3600), T + seconds(600), *held)
    first: Known = ("sendlens_dead_letters_total", {"stage": "judge", "reason": "unreadable"}, 1, 0)
    lived(client, "worker", T + seconds(300), T + seconds(600), first, instance="host:2")
    judged = column(ask(client, "pipeline_dead", T, T + seconds(600)), "judge")
    assert judged == [0] * 10 + [1] + [0] * 9
    assert column(ask(client, "pipeline_dead_total", T, T + seconds(600)), "dead_letters") == [0, 1]
    (reason,) = ask(client, "pipeline_dead_reasons", T, T + seconds(600))
    assert (reason["stage"], reason["reason"], reason["records"]) == ("judge", "unreadable", 1)
    alert = ask(client, "alert_dead_letters", T + seconds(250), T + seconds(550))
    assert [tuple(row.values()) for row in alert] == [("judge", 1), ("store", 0)]
    later = ask(client, "alert_dead_letters", T + seconds(400), T + seconds(600))
    assert [tuple(row.values()) for row in later] == [("judge", 0), ("store", 0)]


def test_where_no_worker_told_dead_letters_are_unknown(client: Client) -> None:
    assert column(ask(client, "pipeline_dead_total", T, T + seconds(600)), "dead_letters") == [None, None]
    assert set(column(ask(client, "pipeline_dead", T, T + seconds(600)), "judge")) == {None}


def test_the_end_of_the_period_is_what_counts_as_now(client: Client) -> None:
    spool = (
        ("sendlens_spool_hits", {}, 5.0, 0.0),
        ("sendlens_spool_bytes", {}, 500.0, 0.0),
        ("sendlens_spool_age_seconds", {}, 0.0, 1.0),
    )
    lived(client, "ingest", T, T + seconds(600), hits(10), hits(2, "click", "rejected"), *spool, instance="a:1")
    lived(client, "ingest", T, T + seconds(600), hits(3), *spool, instance="b:1")
    lived(client, "worker", T, T + seconds(500), ("sendlens_verdicts_total", {"kind": "open"}, 0, 13), instance="c:1")
    before, now = ask(client, "pipeline_now", T, T + seconds(605))
    assert (now["hits_per_second"], now["spool_hits"], now["spool_bytes"]) == pytest.approx((15, 10, 1000))
    assert now["spool_age"] == pytest.approx(600), "the oldest of all"
    assert (before["hits_per_second"], before["processes"], now["processes"]) == (None, 0, 2)


def test_a_process_that_has_just_begun_has_a_rate_already(client: Client) -> None:
    lived(client, "ingest", T, T + seconds(20), hits(10))
    assert ask(client, "pipeline_now", T - seconds(600), T + seconds(21))[1]["hits_per_second"] == pytest.approx(10)


def test_every_process_of_the_period_is_listed_and_a_silent_one_says_so(client: Client) -> None:
    handled = ("sendlens_records_handled_total", {"stage": "judge"}, 0.0, 7.0)
    judged = ("sendlens_verdicts_total", {"kind": "open"}, 0.0, 70.0)
    lived(client, "ingest", T - seconds(600), T + seconds(600), hits(10), instance="a:1")
    lived(client, "worker", T - seconds(600), T + seconds(600), handled, judged, instance="b:1")
    lived(client, "worker", T - seconds(600), T + seconds(300), handled, judged, instance="gone:1")
    rows = ask(client, "pipeline_processes", T, T + seconds(600))
    shown = [(row["instance"], row["role"], row["state"], row["hits_per_second"]) for row in rows]
    assert shown == [
        ("a:1", "ingest", "Running", pytest.approx(10)),
        ("b:1", "worker", "Running", pytest.approx(70)),
        ("gone:1", "worker", "Silent", None),
    ]
    assert column(rows, "records_per_second") == [None, pytest.approx(7), None]
    assert column(rows, "seen_seconds") == [10, 10, 300]
    assert column(rows, "up_seconds") == [1200] * 3
    assert column(rows, "processors") == [pytest.approx(0.5), pytest.approx(0.5), None]
    assert column(rows, "memory_bytes") == [100e6] * 3


@pytest.mark.parametrize(("in_memory", "words"), [(1.0, "In memory: for trying"), (0.0, "Kafka")])
def test_a_broker_that_is_for_trying_is_called_so(in_memory: float, words: str, client: Client) -> None:
    told = ("sendlens_broker_in_memory", {}, in_memory, 0.0)
    lived(client, "ingest", T - seconds(600), T + seconds(600), told, instance="a:1")
    lived(client, "worker", T - seconds(600), T + seconds(600), instance="b:1")
    assert column(ask(client, "pipeline_processes", T, T + seconds(600)), "broker") == [words, None]


def test_memory_is_added_up_by_role(client: Client) -> None:
    lived(client, "worker", T, T + seconds(60), instance="a:1")
    lived(client, "worker", T, T + seconds(60), instance="b:1")
    lived(client, "clickhouse", T, T + seconds(60), instance="c:1")
    lived(client, "broker", T, T + seconds(60), instance="d:1")
    rows = ask(client, "pipeline_memory", T, T + seconds(60))
    found = {(row["worker"], row["clickhouse"], row["broker"], row["ingest"]) for row in rows}
    assert found == {(200e6, 100e6, 100e6, None)}


def test_a_process_that_took_the_place_of_another_is_not_added_to_it(client: Client) -> None:
    lived(client, "worker", T, T + seconds(3600), instance="a:1")
    lived(client, "worker", T + seconds(3610), T + seconds(7200), instance="b:1")
    rows = ask(client, "pipeline_memory", T - timedelta(hours=20), T + seconds(7200))  # half an hour each
    assert set(column(rows, "worker")) == {None, 100e6}


def test_when_a_record_was_set_aside_is_told_for_each_reason(client: Client) -> None:
    for after, reason in ((600, "unreadable"), (1800, "no-account")):
        first: Known = ("sendlens_dead_letters_total", {"stage": "sender", "reason": reason}, 1, 0)
        lived(client, "worker", T + seconds(after), T + seconds(3600), first, instance=f"{reason}:1")
    found = {row["reason"]: row["last_at"] for row in ask(client, "pipeline_dead_reasons", T, T + seconds(3600))}
    naive = T.replace(tzinfo=None)
    assert found["unreadable"].replace(tzinfo=None) - naive <= seconds(630)
    assert found["no-account"].replace(tzinfo=None) - naive <= seconds(1830)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_stored_twice_changes_nothing(client: Client, name: str) -> None:
    known = (hits(10), lag("judge", 5), *acks((0.01, 50), ("inf", 60)), ("sendlens_spool_hits", {}, 5.0, 0.0))
    dead: Known = ("sendlens_dead_letters_total", {"stage": "judge", "reason": "unreadable"}, 0, 0.1)
    lived(client, "worker", T, T + seconds(300), *known, dead)
    once = ask(client, name, T, T + seconds(300))
    lived(client, "worker", T, T + seconds(300), *known, dead)
    assert ask(client, name, T, T + seconds(300)) == once


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("days", [0.001, 1, 30, 365, 3660])
def test_any_length_of_period_has_a_few_hundred_steps(client: Client, name: str, days: float) -> None:
    rows = ask(client, name, T - timedelta(days=days), T)
    assert len(rows) <= 370 * 10 + 10
    if days <= 365:
        assert len(rows) <= 400
