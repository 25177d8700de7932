"""Six hours of an installation's samples, for pictures: two ingests, three workers, an inbox, the embedded database.

In the fourth hour Kafka is away for nine minutes: hits go to the spool, lag stands still, and then all is caught up.
A worker is killed in the second hour and another takes its place.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec
from clickhouse_connect.driver.client import Client

from agents.pipeline import STAGES
from clickhouse.samples import Figure, Role
from clickhouse.store import insert_lines

_EVERY = 20  # seconds
_HOURS = 6
_AWAY = range(int(3.4 * 3600), int(3.4 * 3600) + 540)
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0)
# Of a record: how many hits or events make one, by stage.
_BATCH = {"sender": 0.02, "judge": 0.12, "reader": 0.002, "guard": 0.1, "store": 0.3, "webhooks": 0.1}


def _load(second: float) -> float:
    """Hits a second of the whole installation: a morning that comes to life."""
    return 140 + 90 * math.sin(second / 5200) + 45 * math.sin(second / 610) + 12 * math.sin(second / 97)


class _Process:
    """One process: what it counted so far, and what it tells."""

    def __init__(self, role: Role, instance: str, born: int, died: int, memory: float) -> None:
        self.role, self.instance, self.born, self.died, self.memory = role, instance, born, died, memory
        self.counted: Counter[tuple[str, tuple[tuple[str, str | float], ...]]] = Counter()

    def count(self, name: str, more: float, **labels: str | float) -> None:
        self.counted[name, tuple(labels.items())] += more  # type: ignore[assignment]  # counts may be of parts

    def told(self, start: datetime, second: int, gauges: dict[str, float], stage: dict[str, dict[str, float]]) -> Iterator[Figure]:  # fmt: skip
        at, born = start + timedelta(seconds=second), start + timedelta(seconds=self.born)
        for (name, labels), value in self.counted.items():
            yield Figure(at, self.role, self.instance, born, name, math.floor(value), **dict(labels))  # type: ignore[arg-type]
        for name, value in gauges.items():
            yield Figure(at, self.role, self.instance, born, name, value)
        for name, values in stage.items():
            for key, value in values.items():
                yield Figure(at, self.role, self.instance, born, name, value, stage=key)


def samples(end: datetime) -> Iterator[Figure]:
    """The figures, in order of time."""
    chance = random.Random(11)
    start = end - timedelta(hours=_HOURS)
    whole, killed = _HOURS * 3600, 6900
    ingests = [_Process("ingest", f"edge-{n}:8{n}", 0, whole, 118e6 + 9e6 * n) for n in (1, 2)]
    workers = [
        _Process("worker", "work-1:211", 0, killed, 236e6),
        _Process("worker", "work-1:498", killed + 14, whole, 221e6),
        _Process("worker", "work-2:207", 0, whole, 240e6),
    ]
    others = [
        _Process("inbox", "work-1:230", 0, whole, 74e6),
        _Process("clickhouse", "work-1:190", 0, whole, 640e6),
    ]
    spooled = 0.0
    for second in range(_EVERY, whole + 1, _EVERY):
        load, away = _load(second) * (1 + 0.05 * chance.random()), second in _AWAY
        caught_up = max(0.0, 1 - (second - _AWAY.stop) / 400) if second >= _AWAY.stop else 0.0
        spooled = spooled + load * _EVERY if away else spooled * (0.6 if caught_up else 0.0)
        spooled = spooled if spooled >= 1 else 0.0
        for ingest in ingests:
            _ingest(ingest, load / 2, away, chance)
            age = float(second - _AWAY.start) if away else 40.0 if spooled else 0.0
            gauges = {
                "sendlens_hits_in_flight": load / 2 * (2.0 if away else 0.012),
                "sendlens_spool_hits": math.floor(spooled / 2),
                "sendlens_spool_bytes": math.floor(spooled / 2) * 310.0,
                "sendlens_spool_age_seconds": age if spooled else 0.0,
            }
            yield from ingest.told(start, second, gauges | _memory(ingest, second, chance), {})
        alive = [worker for worker in workers if worker.born < second <= worker.died]
        backlog = 900.0 * caught_up + (260 if killed < second < killed + 60 else 0)
        # A hit waits 5 s for its judgement; the others handle what comes as it comes.
        waits = {"judge": 5.0, "store": 0.4}
        lags = {
            stage.name: math.floor(
                load * _BATCH[stage.name] * waits.get(stage.name, 0.15) * (0.9 + 0.2 * chance.random())
                + backlog * {"judge": 1.0, "store": 0.45, "guard": 0.2}.get(stage.name, 0.0)
            )
            for stage in STAGES
        }
        for worker in alive:
            for stage in STAGES:
                rate = 0.0 if away else load * _BATCH[stage.name] / len(alive) * (1 + 0.6 * caught_up)
                worker.count("sendlens_records_handled_total", rate * _EVERY, stage=stage.name)
            for kind, share in (("open", 0.82), ("click", 0.18)):
                worker.count("sendlens_verdicts_total", 0 if away else load * share / len(alive) * _EVERY, kind=kind)
            worker.count("process_cpu_seconds_total", _EVERY * 0.31 * load / 200)
            if worker.instance == "work-2:207":
                odd = {4000: ("judge", "unreadable"), 9000: ("sender", "no-account"), 9200: ("sender", "no-account")}
                for moment, (stage_name, reason) in odd.items():
                    if second == moment:
                        worker.count("sendlens_dead_letters_total", 2, stage=stage_name, reason=reason)
            known = {
                "sendlens_records_held": {stage.name: 0.0 for stage in STAGES},
                "sendlens_own_lag_records": {name: math.floor(value / len(alive)) for name, value in lags.items()},
            }
            if not away:
                known["sendlens_stage_lag_records"] = {name: float(value) for name, value in lags.items()}
            yield from worker.told(start, second, _memory(worker, second, chance), known)
        for other in others:
            other.count("process_cpu_seconds_total", _EVERY * (0.24 if other.role == "clickhouse" else 0.02))
            if other.role == "inbox":
                other.count("sendlens_inbox_mails_total", _EVERY * 0.4, result="published")
            more = {"sendlens_inbox_behind_mails": 0.0} if other.role == "inbox" else {}
            yield from other.told(start, second, more | _memory(other, second, chance), {})


def _ingest(ingest: _Process, load: float, away: bool, chance: random.Random) -> None:
    for kind, share in (("open", 0.82), ("click", 0.18)):
        answers = {"spooled" if away else "recorded": 0.965, "rejected": 0.025, "shed": 0.01, "refused": 0.0}
        for result, part in answers.items():
            ingest.count("sendlens_hits_total", load * share * part * _EVERY, kind=kind, result=result)
    typical = 0.0042 * (1 + 0.25 * chance.random())
    batches = 0.0 if away else min(load, 120) * _EVERY
    for bound in (*_BOUNDS, math.inf):
        # Most answers near the typical one, a tail that halves with each doubling.
        below = 1 - 0.5 ** ((bound / typical) ** 1.1) if bound < math.inf else 1.0
        le = "inf" if bound == math.inf else bound
        ingest.count("sendlens_ack_seconds_bucket", batches * below, le=le)
    ingest.count("process_cpu_seconds_total", _EVERY * 0.2 * load / 100)


def _memory(process: _Process, second: int, chance: random.Random) -> dict[str, float]:
    grown = 1 + 0.18 * (1 - math.exp(-(second - process.born) / 1800)) + 0.01 * chance.random()
    return {"process_resident_memory_bytes": process.memory * grown}


def insert_samples(client: Client, end: datetime) -> None:
    insert_lines(client, "samples", msgspec.json.Encoder().encode_lines(samples(end)))
