"""A real ingest process's figures in a real ClickHouse."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clickhouse.store import connect
from schemas.settings import Settings
from schemas.tokens import Purpose
from tests.ingest.room import CLAIM, PATIENCE, metric_of
from tests.ingest.served_process import served
from tests.support.migrated import start_migrated
from tests.support.processes import ClickHouseProcess
from tests.support.waiting import wait_until


@pytest.fixture
def clickhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClickHouseProcess]:
    """One for each test, which may kill it; samples are on, twice a second."""
    monkeypatch.setitem(os.environ, "SENDLENS_SAMPLE_SECONDS", "0.5")
    server = start_migrated(tmp_path / "clickhouse")
    try:
        yield server
    finally:
        server.kill()


def ask(settings: Settings, sql: str) -> list[tuple[object, ...]]:
    with connect(settings) as client:
        return [tuple(row) for row in client.query(sql).result_rows]


def test_hits_acks_and_memory_are_told(settings: Settings, clickhouse: ClickHouseProcess) -> None:
    settings = settings.model_copy(update={"clickhouse_url": clickhouse.url})
    path = f"/o/{settings.keyring.sign(Purpose.OPEN, CLAIM)}.gif"
    with served(settings) as (url, _), httpx.Client(base_url=url, timeout=PATIENCE) as client:
        for _ in range(20):
            assert client.get(path).status_code == 200
        assert client.get("/o/nonsense.gif").status_code == 200
        hits = "SELECT kind, result, max(value) FROM samples WHERE name = 'sendlens_hits_total' GROUP BY ALL HAVING max(value) > 0 ORDER BY ALL"
        wait_until(lambda: ask(settings, hits) == [("open", "recorded", 20), ("open", "rejected", 1)], 20, "hits")
        acks = "SELECT argMax(value, (at, le)) = max(value), max(value) > 0 FROM samples WHERE name = 'sendlens_ack_seconds_bucket'"
        assert ask(settings, acks) == [(1, 1)]
        memory = "SELECT DISTINCT role, value > 1e7 FROM samples WHERE name = 'process_resident_memory_bytes'"
        assert ask(settings, memory) == [("ingest", 1)]
        broker = "SELECT DISTINCT role, value FROM samples WHERE name = 'sendlens_broker_in_memory'"
        assert ask(settings, broker) == [("ingest", settings.broker_in_memory)]
        assert metric_of(client.get("/metrics").text, "process_resident_memory_bytes") > 1e7


def test_clickhouse_away_costs_ingest_its_samples_and_nothing_else(
    settings: Settings, clickhouse: ClickHouseProcess
) -> None:
    settings = settings.model_copy(update={"clickhouse_url": clickhouse.url})
    clickhouse.kill()
    path = f"/o/{settings.keyring.sign(Purpose.OPEN, CLAIM)}.gif"
    with served(settings) as (url, process), httpx.Client(base_url=url, timeout=PATIENCE) as client:

        def dropped() -> float:
            return metric_of(client.get("/metrics").text, "sendlens_samples_dropped_total")

        wait_until(lambda: dropped() > 0, PATIENCE, "samples to be dropped")
        assert client.get(path).status_code == 200
        assert client.get("/readyz").status_code == 200
        began = time.monotonic()
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
        assert time.monotonic() - began < 10
