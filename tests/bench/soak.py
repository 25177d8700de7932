"""Memory under a steady load: does any process of ours grow with time?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from tests.bench import machine
from tests.bench.figures import Section, Table, Wrong
from tests.bench.steady import installation, visits
from tests.bench.workshop import Workshop

_RATE = 500
_SAMPLE_SECONDS = 5.0
_WARM_SHARE = 0.2  # of the whole length: caches fill, allocators take what they will keep
_FLAT_SHARE, _FLAT_BYTES = 0.02, 2 << 20
_OURS = ("ingest", "worker")
_GROWS = {
    "broker": "keeps every record in memory; only `sendlens up`, which is not measured here, replaces it by an empty one",
    "clickhouse": "parts that were merged away stay for up to five minutes, some 13 KB each",
}


@dataclass(frozen=True, slots=True)
class Course:
    """A process's memory over time: pairs of seconds and bytes."""

    samples: Sequence[tuple[float, float]]

    @property
    def settled(self) -> Sequence[tuple[float, float]]:
        """What comes after the warm-up."""
        return self.samples[int(len(self.samples) * _WARM_SHARE) :]

    @property
    def slope(self) -> float:
        """Bytes a second after the warm-up, by least squares."""
        x, y = fmean(at for at, _ in self.settled), fmean(held for _, held in self.settled)
        return sum((at - x) * (held - y) for at, held in self.settled) / sum((at - x) ** 2 for at, _ in self.settled)

    @property
    def growth(self) -> float:
        """Bytes that the fitted line rises from the end of the warm-up to the end."""
        return self.slope * (self.settled[-1][0] - self.settled[0][0])

    @property
    def is_flat(self) -> bool:
        return self.growth <= max(_FLAT_BYTES, _FLAT_SHARE * median(held for _, held in self.settled))


def measure(workshop: Workshop, *, quick: bool, minutes: float = 10.0) -> Section:
    """Load everything for so long, and look at what each process holds."""
    seconds = 40.0 if quick else minutes * 60
    section = Section(
        title="Memory over time",
        how=(
            f"{_RATE} hits a second for {seconds / 60:.1f} minutes, each another email's, from 50,000 addresses by "
            "2,000 user agents, through ingest, judge, store, broker and ClickHouse as they come. What each process "
            f"holds resident is read every {_SAMPLE_SECONDS:.0f} s. The first fifth is warm-up. Flat means: the "
            f"straight line fitted to the rest rises by no more than {_FLAT_SHARE:.0%} over it, or "
            f"{_FLAT_BYTES >> 20} MiB. All hits must be answered and stored once, or the benchmark fails."
        ),
        command="python -m tests.bench --only soak --soak-minutes 10",
    )
    if not seconds:
        section.missing.append("Not measured: `--soak-minutes 0`.")
        return section
    load_before = machine.load_average()
    with installation(workshop) as running, visits(workshop, running, _RATE, seconds) as coming:
        began = time.monotonic()
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in running.jobs}
        while not coming.are_over():
            for name, job in running.jobs.items():
                if not job.is_alive():
                    raise Wrong(f"{name} died:\n{job.tail()}")
                taken[name].append((time.monotonic() - began, job.memory()))
            time.sleep(max(0.0, began + len(taken["ingest"]) * _SAMPLE_SECONDS - time.monotonic()))
        coming.times()
        deadline = time.monotonic() + 60
        while (found := running.client.query(_COUNT).first_row) != (coming.total,) * 4:
            if time.monotonic() > deadline:
                raise Wrong(f"rows and distinct ids of hits and events are {found} for {coming.total} hits")
            time.sleep(0.5)
    rows = [_row(name, Course(samples)) for name, samples in taken.items()]
    for row in rows:
        print(f"  {' | '.join(row)}", flush=True)
    head = ("process", "start MiB", "after warm-up", "middle", "end", "MiB a minute after warm-up", "")
    section.tables.append(Table(head, rows))
    section.remarks.append(
        f"{coming.total:,} hits. Load average of the machine before the soak {load_before:.1f}, at its end "
        f"{machine.load_average():.1f}. The embedded broker {_GROWS['broker']}; ClickHouse: {_GROWS['clickhouse']}."
    )
    return section


_COUNT = """
SELECT (SELECT count() FROM hits), (SELECT uniqExact(id) FROM hits), (SELECT count() FROM events),
    (SELECT uniqExact(id) FROM events)
"""


def _row(name: str, course: Course) -> tuple[str, ...]:
    def mib(held: float) -> str:
        return f"{held / 2**20:,.1f}"

    samples, settled = course.samples, course.settled
    verdict = "flat" if course.is_flat else f"grows by {mib(course.growth)} MiB"
    return (
        name if name in _OURS else f"{name} (not ours)",
        mib(samples[0][1]),
        mib(settled[0][1]),
        mib(settled[len(settled) // 2][1]),
        mib(samples[-1][1]),
        f"{course.slope * 60 / 2**20:+.2f}",
        verdict,
    )
