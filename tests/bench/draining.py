"""How fast a process works through what was put on a topic before it started."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.figures import Samples, Wrong
from tests.bench.workshop import Job

_POLL_SECONDS = 0.05
_LONGEST = 150.0


@dataclass(frozen=True, slots=True)
class Drained:
    """One run. `rate` is hits a second by the clock, `busy` the share of its core that the process got."""

    rate: float
    per_cpu_second: float
    busy: float
    memory: float


def watch(job: Job, done: Callable[[], int], total: int, hits: int, *, from_first: bool) -> Drained:
    """Watch `done` grow to `total`, which stands for `hits` hits. Raises Wrong when that does not happen.

    The clock starts when the first output is seen, so that starting and joining the group do not count. With
    `from_first` all hits count, which flatters by the little that was done before; otherwise the first burst of output
    is left out together with its time.
    """
    began = time.monotonic()
    started: tuple[float, float, int] | None = None
    before = 0
    while True:
        now, count = time.monotonic(), done()
        if count > total:
            raise Wrong(f"{job.name} wrote {count}, and there were {total} to write")
        if count == total:
            break
        if not job.is_alive() or now - began > _LONGEST:
            raise Wrong(
                f"{job.name} did {count} of {total} and {'is late' if job.is_alive() else 'died'}:\n{job.tail()}"
            )
        if started is None and count and (from_first or count == before):
            started = now, job.cpu_seconds(), 0 if from_first else count
        before = count
        time.sleep(_POLL_SECONDS)
    if started is None:
        raise Wrong(f"{job.name} was done before it could be watched: give it more hits")
    since, used_before, already = started
    used, seconds = job.cpu_seconds() - used_before, now - since
    worked = hits * (total - already) / total
    return Drained(worked / seconds, worked / used, used / seconds, job.peak_memory())


def rows(name: str, what: str, runs: Sequence[Drained]) -> tuple[str, ...]:
    """A row of the table that HEAD heads."""
    rate = Samples(tuple(run.rate for run in runs))
    return (
        name,
        what,
        f"{rate.middle:,.0f}",
        f"{rate.spread:.0%}",
        f"{Samples(tuple(run.per_cpu_second for run in runs)).middle:,.0f}",
        f"{Samples(tuple(run.busy for run in runs)).middle:.0%}",
        f"{max(run.memory for run in runs) / 2**20:,.0f} MiB",
    )


HEAD = ("process", "topic", "hits/s", "spread", "hits per CPU second", "core used", "peak memory")
