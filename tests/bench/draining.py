"""How fast a process works through what was put on a topic before it started."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.figures import Samples, Wrong
from tests.bench.workshop import Job, Stopwatch

_POLL_SECONDS = 0.05
_LONGEST = 150.0
_RAMP = 0.1  # of the output: by then it runs steadily, also where it does not come in bursts


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


def watch(
    job: Job, core: int, done: Callable[[], int], total: int, hits: int, begun: Callable[[], bool] | None = None
) -> Drained:
    """Watch `done` grow to `total`, which stands for `hits` hits. Raises Wrong when that does not happen.

    Starting and joining the group do not count. With `begun` the clock starts when that is so, and all hits count: what
    was done before flatters a little. Otherwise it starts after the first burst of output, a tenth of all at the most,
    which is left out.
    """
    deadline = time.monotonic() + _LONGEST
    stopwatch: Stopwatch | None = None
    already = before = 0
    while True:
        now, count = time.monotonic(), done()
        if count > total:
            raise Wrong(f"{job.name} wrote {count}, and there were {total} to write")
        if count == total:
            break
        if not job.is_alive() or now > deadline:
            raise Wrong(
                f"{job.name} did {count} of {total} and {'is late' if job.is_alive() else 'died'}:\n{job.tail()}"
            )
        if stopwatch is None and (begun() if begun else count and (count == before or count >= total * _RAMP)):
            stopwatch, already = Stopwatch(job, core), 0 if begun else count
        before = count
        time.sleep(_POLL_SECONDS)
    spell = stopwatch.read(now) if stopwatch else None
    if spell is None or not spell.used:
        raise Wrong(f"{job.name} was done before it could be watched: give it more hits")
    worked = hits * (total - already) / total
    shares = spell.used / spell.seconds, spell.others / spell.seconds
    return Drained(worked / spell.seconds, worked / spell.used, *shares, job.peak_memory())


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
