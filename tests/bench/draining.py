"""How fast a process works through what was put on a topic before it started."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.bench.broker import Written
from tests.bench.figures import Samples, Wrong
from tests.bench.workshop import Job, Spell, Stopwatch

_POLL_SECONDS = 0.05
_LONGEST = 150.0
_PAUSE_SECONDS = 0.05
_RAMP = 0.1


@dataclass(frozen=True, slots=True)
class Drained:
    """One run. `rate` is hits a second by the clock; `busy` and `others` are shares of the worker's core."""

    rate: float
    per_cpu_second: float
    busy: float
    others: float
    memory: float

    def __str__(self) -> str:
        return f"{self.rate:,.0f}/s, {self.per_cpu_second:,.0f} per CPU second, core {self.busy:.0%}, others {self.others:.0%}"


def watch(job: Job, core: int, finished: Callable[[], bool], started: Callable[[], bool] = lambda: True) -> Stopwatch:
    """Look at a job from when it has `started` until it has `finished`. Raises Wrong when it dies or takes too long."""
    deadline, stopwatch = time.monotonic() + _LONGEST, None
    while True:
        if stopwatch is None and started():
            stopwatch = Stopwatch(job, core)
        done = finished()
        if stopwatch is not None:
            stopwatch.look()
            if done:
                return stopwatch
        if not job.is_alive() or time.monotonic() > deadline:
            raise Wrong(f"{job.name} {'is late' if job.is_alive() else 'died'}:\n{job.tail()}")
        time.sleep(_POLL_SECONDS)


def drained(job_memory: int, spell: Spell, hits: int) -> Drained:
    """What came of a spell in which `hits` hits were done."""
    if not spell.seconds or not spell.used:
        raise Wrong("done before it could be watched: give it more hits")
    shares = spell.used / spell.seconds, spell.others / spell.seconds
    return Drained(hits / spell.seconds, hits / spell.used, *shares, job_memory)


def steady(written: Sequence[Written]) -> tuple[float, float, int]:
    """From when to when output came steadily, in epoch seconds, and how many lines it was.

    It starts with the end of the first burst, or where a tenth was written: what it took to start is not seen, so what
    was done in that time must not count.
    """
    ordered = sorted((record.at, len(record.ids)) for record in written)
    total, passed = sum(count for _, count in ordered), 0
    for (at, count), (following, _) in pairwise(ordered):
        passed += count
        if following - at > _PAUSE_SECONDS or passed >= total * _RAMP:
            return at, ordered[-1][0], total - passed
    raise Wrong("all output came at one moment: give it more hits")


def row(name: str, what: str, runs: Sequence[Drained]) -> tuple[str, ...]:
    """A row of the table that HEAD heads."""
    rate, per_cpu_second = of(runs, lambda run: run.rate), of(runs, lambda run: run.per_cpu_second)
    return (
        name,
        what,
        f"{rate.middle:,.0f}",
        f"{rate.spread:.0%}",
        f"{per_cpu_second.middle:,.0f}",
        f"{per_cpu_second.spread:.0%}",
        f"{of(runs, lambda run: run.busy).middle:.0%}",
        f"{of(runs, lambda run: run.others).middle:.0%}",
        f"{max(run.memory for run in runs) / 2**20:,.0f} MiB",
    )


def of(runs: Sequence[Drained], figure: Callable[[Drained], float]) -> Samples:
    """One figure of every run."""
    return Samples(tuple(figure(run) for run in runs))


HEAD = (
    "process",
    "topic",
    "hits/s",
    "spread",
    "per CPU second",
    "spread",
    "core used",
    "by others",
    "peak memory",
)
