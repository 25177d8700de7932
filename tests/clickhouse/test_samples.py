"""A process's own figures: which are taken, that they arrive, and that ClickHouse away costs nothing else."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from agents.runtime.metrics import LAG
from clickhouse.migrate import migrate
from clickhouse.samples import TAKEN, MetricSample, Sampler, metric_samples
from clickhouse.store import connect
from commands.broker.broker_memory import BrokerFigures
from ingest.inbox.inbox_metrics import InboxMetrics as InboxMetrics
from ingest.metrics import IngestMetrics as IngestMetrics
from schemas.settings import Settings
from tests.support.migrated import MIGRATED, start_migrated
from tests.support.processes import ClickHouseProcess, free_port
from tests.support.waiting import wait_until

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUICK = 0.1


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


KEYS = "1:0123456789abcdef0123456789abcdef"


def settings_for(url: str, **more: object) -> Settings:
    fields = {
        "clickhouse_url": url,
        "clickhouse_database": f"s_{uuid.uuid4().hex}",
        "sample_seconds": QUICK,
        "token_keys": KEYS,
        **more,
    }
    return Settings(_env_file=None, **fields)  # type: ignore[call-arg, arg-type]


@pytest.fixture
def settings(own_database: Settings) -> Settings:
    with connect(own_database) as client:
        client.command("TRUNCATE TABLE samples")
    return own_database.model_copy(update={"sample_seconds": QUICK})


@pytest.fixture
def nobody() -> Iterator[str]:
    """Where something takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def read(registry: CollectorRegistry) -> dict[str, list[MetricSample]]:
    found: dict[str, list[MetricSample]] = {}
    for figure in metric_samples(registry, "worker", "host:1", NOW):
        found.setdefault(figure.name, []).append(figure)
    return found


def stored(settings: Settings, sql: str) -> list[tuple[object, ...]]:
    with connect(settings) as client:
        return [tuple(row) for row in client.query(sql).result_rows]


def test_figures_are_summed_over_labels_that_the_board_does_not_need(registry: CollectorRegistry) -> None:
    verdicts = Counter("sendlens_verdicts", "Hits judged.", ["kind", "verdict", "reason"], registry=registry)
    verdicts.labels("open", "human", "browser").inc(3)
    verdicts.labels("open", "bot", "too-quick").inc(4)
    verdicts.labels("click", "bot", "too-quick").inc(2)
    told = read(registry)["sendlens_verdicts_total"]
    assert {figure.kind: figure.value for figure in told} == {"open": 7, "click": 2}
    assert {figure.reason for figure in told} == {""}


def test_a_counter_is_told_with_its_birth_and_a_gauge_with_its_process_start(registry: CollectorRegistry) -> None:
    before = time.time()
    Counter("sendlens_dead_letters", "Set aside.", ["stage", "reason"], registry=registry).labels("judge", "x").inc()
    Gauge("sendlens_records_held", "Held.", ["stage"], registry=registry).labels("judge").set(5)
    told = read(registry)
    (dead,), (held,) = told["sendlens_dead_letters_total"], told["sendlens_records_held"]
    assert before <= dead.started_at.timestamp() <= time.time()
    assert held.started_at.timestamp() < before - 0.1
    assert held.started_at == told["process_resident_memory_bytes"][0].started_at


def test_every_bucket_of_a_histogram_is_told_the_infinite_one_too(registry: CollectorRegistry) -> None:
    acks = Histogram("sendlens_ack_seconds", "Acks.", buckets=(0.1, 1.0), registry=registry)
    for seconds in (0.05, 0.5, 7.0):
        acks.observe(seconds)
    told = read(registry)["sendlens_ack_seconds_bucket"]
    assert [(figure.le, figure.value) for figure in told] == [(0.1, 1), (1.0, 2), ("inf", 3)]
    assert len({figure.started_at for figure in told}) == 1


def test_what_is_not_known_is_left_out(registry: CollectorRegistry) -> None:
    lag = Gauge("sendlens_stage_lag_records", "Lag.", ["stage"], registry=registry)
    lag.labels("judge").set(float("nan"))
    lag.labels("store").set(0)
    assert [(figure.stage, figure.value) for figure in read(registry)["sendlens_stage_lag_records"]] == [("store", 0)]


def test_every_figure_that_the_board_needs_is_one_that_a_process_has(tmp_path: Path) -> None:
    assert LAG  # its module registers the worker's
    there = {"sendlens_samples_dropped_total", "sendlens_token_key"}  # which each process' Sampler has
    broker = BrokerFigures(settings_for("http://127.0.0.1:1", data_dir=tmp_path), lambda: None)
    for registry in (REGISTRY, IngestMetrics().registry, InboxMetrics().registry, broker.registry):
        for family in registry.collect():
            ending = {"counter": "_total", "histogram": "_bucket"}.get(family.type, "")
            there.add(family.name + ending)
    assert set(TAKEN) <= there


def test_samples_arrive_and_the_last_one_when_the_process_stops(
    settings: Settings, registry: CollectorRegistry
) -> None:
    hits = Counter("sendlens_hits", "Hits.", ["kind", "result"], registry=registry)
    hits.labels("open", "recorded").inc(5)
    sampler = Sampler(settings, "ingest", registry)
    sampler.start()
    count = "SELECT uniqExact(at) FROM samples WHERE name = 'sendlens_hits_total' AND role = 'ingest'"
    wait_until(lambda: stored(settings, count)[0][0] >= 2, 20, "two samples")
    hits.labels("open", "recorded").inc(37)
    sampler.stop()
    last = "SELECT max(value), uniqExact(instance) FROM samples WHERE name = 'sendlens_hits_total'"
    wait_until(lambda: stored(settings, last) == [(42.0, 1)], 20, "the last sample")
    memory = "SELECT min(value) FROM samples WHERE name = 'process_resident_memory_bytes'"
    assert stored(settings, memory)[0][0] > 10_000_000


def test_switched_off_nothing_is_written(settings: Settings, registry: CollectorRegistry) -> None:
    sampler = Sampler(settings.model_copy(update={"sample_seconds": 0.0}), "ingest", registry)
    sampler.start()
    sampler.stop()
    assert stored(settings, "SELECT count() FROM samples") == [(0,)]


def test_what_clickhouse_was_away_for_is_dropped_and_counted_and_then_it_goes_on(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", clickhouse_database=MIGRATED)
    sampler = Sampler(settings, "ingest", registry)
    sampler.start()
    server = None
    try:
        wait_until(lambda: dropped(registry) > 0, 10, "a sample to be dropped")
        server = start_migrated(tmp_path / "data", port=port)
        told = "SELECT max(value) FROM samples WHERE name = 'sendlens_samples_dropped_total'"
        wait_until(lambda: float(str(stored(settings, told)[0][0])) > 0, 20, "the samples, and what was dropped")
    finally:
        sampler.stop()
        if server is not None:
            server.kill()


def test_a_table_that_is_not_there_yet_is_no_trouble(
    embedded_clickhouse: ClickHouseProcess, registry: CollectorRegistry
) -> None:
    settings = settings_for(embedded_clickhouse.url)
    sampler = Sampler(settings, "worker", registry)
    sampler.start()
    try:
        wait_until(lambda: dropped(registry) > 0, 10, "a sample to be dropped")
        migrate(settings)
        wait_until(lambda: bool(stored(settings, "SELECT count() FROM samples")[0][0]), 20, "samples")
    finally:
        sampler.stop()
    assert f"{settings.clickhouse_database}.samples does not exist" not in embedded_clickhouse.output()


def test_no_process_ends_later_for_a_clickhouse_that_never_answers(registry: CollectorRegistry, nobody: str) -> None:
    sampler = Sampler(settings_for(nobody), "worker", registry)
    sampler.start()
    began = time.monotonic()
    sampler.stop()
    assert time.monotonic() - began < 4


def dropped(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("sendlens_samples_dropped_total") or 0.0
