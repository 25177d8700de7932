"""Three hours of six processes' figures, for the picture of the Pipeline. Kafka is away for four minutes in the middle."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
from clickhouse_connect.driver.client import Client

from clickhouse.samples import MetricSample
from clickhouse.store import insert_lines

HOURS = 3
_STEP = 20  # seconds
_LENGTH = HOURS * 3600
_AWAY = range(_LENGTH // 2, _LENGTH // 2 + 240)
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

# How many hits share a record, and what part of the hits each stage sees.
_STAGES = {"judge": 0.09, "store": 0.16, "sender": 0.03, "guard": 0.08, "webhooks": 0.02, "reader": 0.004}


class _Process:
    """Figures of one process: counters grow, gauges are what they are."""

    def __init__(self, role: str, instance: str, born: datetime) -> None:
        self.role, self.instance, self.born = role, instance, born
        self._counted: dict[tuple[str, str], float] = {}

    def counter(self, at: datetime, name: str, more: float, **labels: str | float) -> MetricSample:
        key = (name, str(labels))
        self._counted[key] = self._counted.get(key, 0.0) + more
        return self.gauge(at, name, self._counted[key], **labels)

    def gauge(self, at: datetime, name: str, value: float, **labels: str | float) -> MetricSample:
        return MetricSample(at, self.role, self.instance, self.born, name, value, **labels)  # type: ignore[arg-type]


def hours(end: datetime) -> Iterator[MetricSample]:
    chance = random.Random(7)
    born = end - timedelta(days=4, hours=3)
    ingests = [_Process("ingest", f"ingest-{n}:7", born) for n in (1, 2)]
    workers = [_Process("worker", f"worker-{n}:7", born) for n in (1, 2)]
    inbox, database = _Process("inbox", "inbox-1:7", born), _Process("clickhouse", "clickhouse:1", born)
    waiting = 0.0  # hits on disk
    for second in range(0, _LENGTH + 1, _STEP):
        at = end - timedelta(seconds=_LENGTH - second + 1)
        rate = (42 + 30 * math.sin(second / 2600) + 9 * math.sin(second / 310)) * chance.uniform(0.9, 1.1)
        away = second in _AWAY
        waiting = waiting + rate * _STEP if away else max(0.0, waiting - 90 * _STEP)
        for process in ingests:
            yield from _ingest(chance, process, at, rate / 2, waiting / 2, away)
        lag = (rate * 5 * 0.09) * chance.uniform(0.7, 1.2) + waiting * 0.012
        for process in workers:
            yield from _worker(chance, process, at, rate / 2, lag / 2, second)
        yield inbox.counter(at, "sendlens_inbox_mails_total", 0.02 * _STEP * chance.random(), result="told")
        for process, memory, share in ((inbox, 71e6, 0.01), (database, 1.9e9 + 2e8 * math.sin(second / 900), 0.22)):
            yield process.gauge(at, "process_resident_memory_bytes", memory)
            yield process.counter(at, "process_cpu_seconds_total", share * _STEP)


def _ingest(
    chance: random.Random, of: _Process, at: datetime, rate: float, waiting: float, away: bool
) -> Iterator[MetricSample]:
    taken = "spooled" if away else "recorded"
    for kind, result, share in (("open", taken, 0.7), ("click", taken, 0.27), ("open", "rejected", 0.015)):
        yield of.counter(at, "sendlens_hits_total", rate * share * _STEP, kind=kind, result=result)
    batches = rate * _STEP * 0.4
    slow = 0.3 if away else 0.015 * chance.random()
    for bound in (*_BUCKETS, math.inf):
        within = 1 - math.exp(-bound / 0.012) if bound < 0.05 else 1 - slow * math.exp(-bound / 0.4)
        within = 1.0 if math.isinf(bound) else min(within, 1 - slow * math.exp(-bound / 0.4))
        le = "inf" if math.isinf(bound) else bound
        yield of.counter(at, "sendlens_ack_seconds_bucket", batches * within, le=le)
    yield of.gauge(at, "sendlens_hits_in_flight", rate * 0.02 + (rate * 2 if away else 0))
    yield of.gauge(at, "sendlens_spool_hits", round(waiting))
    yield of.gauge(at, "sendlens_spool_bytes", round(waiting) * 420)
    yield of.gauge(at, "sendlens_spool_age_seconds", 60 if waiting else 0)
    yield of.gauge(at, "process_resident_memory_bytes", 118e6 + 2e4 * waiting + 3e6 * chance.random())
    yield of.counter(at, "process_cpu_seconds_total", (0.03 + rate / 900) * _STEP)


def _worker(
    chance: random.Random, of: _Process, at: datetime, rate: float, lag: float, second: int
) -> Iterator[MetricSample]:
    for stage, share in _STAGES.items():
        handled = rate * share * _STEP * chance.uniform(0.8, 1.2)
        yield of.counter(at, "sendlens_records_handled_total", handled, stage=stage)
        waits = round(lag * {"judge": 2, "store": 0.6}.get(stage, 0.03))
        yield of.gauge(at, "sendlens_stage_lag_records", waits, stage=stage)
        yield of.gauge(at, "sendlens_own_lag_records", waits / 2, stage=stage)
    yield of.counter(at, "sendlens_verdicts_total", rate * _STEP, kind="open")
    bad = 1.0 if second in (2400, 2460, 7200) else 0.0
    yield of.counter(at, "sendlens_dead_letters_total", bad, stage="reader", reason="not-a-mail")
    yield of.gauge(at, "process_resident_memory_bytes", 164e6 + 6e6 * chance.random())
    yield of.counter(at, "process_cpu_seconds_total", (0.08 + rate / 260) * _STEP)


def insert_hours(client: Client, end: datetime) -> None:
    insert_lines(client, "samples", msgspec.json.Encoder().encode_lines(hours(end)))
