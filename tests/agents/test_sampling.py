"""A real worker's figures in a real ClickHouse: lag, what it handled, what it set aside."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from clickhouse import queries
from clickhouse.query_parameters import QueryParameters
from schemas.topics import EVENTS, HITS
from tests.support.broker import Broker
from tests.support.stream import Stream, a_hit, running_stream
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite has samples switched off; here workers write them, twice a second."""
    monkeypatch.setitem(os.environ, "SENDLENS_SAMPLE_SECONDS", "0.5")


def asked(stream: Stream, name: str) -> list[dict[str, Any]]:
    now = datetime.now(UTC) + timedelta(seconds=1)
    query = queries.get(name)
    with stream.client() as client:
        values = query.values(QueryParameters(now - timedelta(minutes=10), now, (), "UTC").parameters())
        return list(client.query(query.sql, parameters=values).named_results())


def lags(stream: Stream) -> dict[str, float]:
    return {row["stage"]: row["lag"] for row in asked(stream, "alert_lag")}


def test_a_worker_tells_of_its_lag_its_work_and_what_it_set_aside(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker, settle_seconds=3.0) as stream:
        stream.start_worker("--stage", "judge", "--stage", "store")
        wait_until(lambda: lags(stream) == {"judge": 0, "store": 0}, 30, "a lag of none")
        stream.write_hits([a_hit(f"lead-{n}") for n in range(200)], batch=10)
        stream.write(HITS, b"not json")
        wait_until(lambda: lags(stream)["judge"] > 0, 30, "hits that wait to be judged")
        wait_until(lambda: lags(stream) == {"judge": 0, "store": 0}, 60, "the end of the work")
        dead = [("judge", 1), ("store", 1)]
        wait_until(
            lambda: [tuple(row.values()) for row in asked(stream, "alert_dead_letters")] == dead, 20, "dead letters"
        )
        (worker,) = asked(stream, "pipeline_processes")
        assert (worker["role"], worker["state"], worker["lag"]) == ("worker", "Running", 0)
        assert worker["instance"].endswith(f":{stream.workers[0].pid}")
        assert worker["memory_bytes"] == pytest.approx(stream.workers[0].resident_bytes(), rel=0.5)
        judged = stream.ask("SELECT max(value) FROM samples WHERE name = 'sendlens_verdicts_total'")
        assert judged == [(200.0,)]
        told = stream.ask(
            "SELECT max(value) FROM samples WHERE name = 'sendlens_stage_lag_records' AND stage = 'judge'"
        )
        assert 0 < told[0][0] <= 25, "batches of ten, each of one partition"


def test_two_workers_share_the_lag_of_a_stage(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker, settle_seconds=30.0) as stream:
        for _ in range(2):
            stream.start_worker("--stage", "judge")
        stream.write_hits([a_hit(f"lead-{n}") for n in range(400)], batch=10)

        def shared() -> bool:
            rows = asked(stream, "pipeline_processes")
            own = [row["lag"] for row in rows]
            return len(own) == 2 and all(own) and [sum(own)] == list(lags(stream).values())

        wait_until(shared, 40, "each worker to have a part of the lag")


def test_clickhouse_away_costs_a_worker_its_samples_and_nothing_else(tmp_path: Path, broker: Broker) -> None:
    with running_stream(tmp_path, broker) as stream:
        worker = stream.start_worker("--stage", "judge")
        wait_until(lambda: "judge" in lags(stream), 30, "the first samples")
        stream.clickhouse.kill()
        wait_until(lambda: "samples are dropped" in worker.output(), 20, "the worker to say so")
        stream.write_hits([a_hit(f"lead-{n}") for n in range(200)])
        stream.wait_until_drained()
        assert sum(value.count(b'"kind":"open"') for value in stream.read(EVENTS)) == 200
        stream.restart_clickhouse()
        wait_until(lambda: "samples are written again" in worker.output(), 20, "samples")
        assert worker.output().count("samples are dropped") == 1, "said once, not every time"
        dropped = "SELECT max(value) FROM samples WHERE name = 'sendlens_samples_dropped_total'"
        wait_until(lambda: stream.ask(dropped)[0][0] > 0, 20, "what was dropped to be told")
        assert worker.stop() == 0, worker.output()


@pytest.mark.every_broker
def test_a_lag_that_kafka_does_not_tell_is_unknown_and_not_the_last_one(tmp_path: Path, own_broker: Broker) -> None:
    with running_stream(tmp_path, own_broker) as stream:
        worker = stream.start_worker("--stage", "judge")
        wait_until(lambda: "judge" in lags(stream), 30, "the first samples")
        own_broker.kill()
        sql = "SELECT uniqExact(at) FROM samples WHERE name = '{}' AND at > now64(3) - INTERVAL 1500 MILLISECOND"
        lag, memory = (sql.format(name) for name in ("sendlens_stage_lag_records", "process_resident_memory_bytes"))
        wait_until(lambda: stream.ask(lag) == [(0,)] and stream.ask(memory)[0][0] > 0, 40, "samples without a lag")
        # Meanwhile the libraries have complained hundreds of times: each complaint stands there once, with its time.
        log = worker.output().splitlines()
        told = [line for line in log if " library=" in line]
        assert 0 < len(told) < 40, "\n".join(told)
        assert all(re.match(r"\d\d:\d\d:\d\d \[(warning|error)\] ", line) for line in told)
        assert not [line for line in log if "Traceback" in line]
        own_broker.start()
