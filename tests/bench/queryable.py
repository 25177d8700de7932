"""From a hit to when SQL finds it: how long, at 2,000 hits a second through everything."""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from clickhouse_connect.driver.client import Client

from tests.bench.figures import Ratio, Samples, Section, Table, Wrong
from tests.bench.steady import SETTLE, Visits, installation, visits
from tests.bench.workshop import Stopwatch, Workshop

_RATE = 2_000
_WARM_SECONDS = 15.0  # consumer groups join, caches fill: none of it is a visitor's wait
_LOOK_SECONDS = 0.1
_LATEST = 60.0
_GRANTED = 1.0  # beside the settle delay, at p99
_PARTS = 3

_ASK = """
SELECT toUInt32(substring(lead, 6)) AS number FROM {table}
WHERE at >= fromUnixTimestamp64Milli(toInt64({since})) AND number >= {first}
"""


class Watch:
    """Asks a table again and again which hits it holds. A hit is readable when the first answer that has it came in."""

    def __init__(self, client: Client, table: str, coming: Visits) -> None:
        self.table = table
        self.readable = array("d", bytes(8 * coming.total))
        self.looks: list[float] = []
        self._client, self._coming, self._first = client, coming, 0

    def look(self) -> None:
        # No hit happens before its visitor was due, so what is older need not be looked at.
        since = int((self._coming.began + self._first / self._coming.rate - 1) * 1000)
        ask = _ASK.format(table=self.table, since=since, first=self._first)
        found = array("I", self._client.raw_query(ask, fmt="RowBinary"))
        now = time.time()
        self.looks.append(now)
        for number in found:
            if not self.readable[number]:
                self.readable[number] = now
        while self._first < self._coming.total and self.readable[self._first]:
            self._first += 1

    def has_all(self) -> bool:
        return self._first == self._coming.total


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """One load of a minute, its thirds taken as rounds."""
    seconds = 10.0 if quick else 60.0
    section = Section(
        title="From a hit to its row",
        how=(
            f"Visitors fetch {_RATE:,} pixels a second for {seconds:.0f} s, each another email's, due by the clock "
            "whatever the server does. Ingest, the worker (judge and store), broker and ClickHouse are processes with "
            f"the settings they come with: settle delay {SETTLE:g} s. They, the visitors and the "
            "one who asks share both cores as the machine hands them out. Both tables are asked for new rows over and "
            "over; a hit's time runs from when its request was sent to when the first answer with its row had come, "
            "so it includes ingest's answer and is too long by up to one look. Every hit must be answered and come "
            f"into both tables, or the benchmark fails. The first {_WARM_SECONDS:.0f} s are not counted; a third of "
            "the rest is a round."
        ),
        command="python -m tests.bench --only queryable",
    )
    with installation(workshop) as running, visits(workshop, running, _RATE, _WARM_SECONDS + seconds) as coming:
        watches = [Watch(running.client, table, coming) for table in ("hits", "events")]
        busy = {name: Stopwatch(job, workshop.server_core) for name, job in running.jobs.items()}
        deadline = time.monotonic() + _WARM_SECONDS + seconds + _LATEST
        while not all(watch.has_all() for watch in watches):
            coming.are_over()  # or have failed
            began = time.monotonic()
            for watch in watches:
                watch.look()
            if began > deadline:
                raise Wrong("hits are late or lost: " + running.jobs["worker"].tail())
            time.sleep(max(0.0, began + _LOOK_SECONDS - time.monotonic()))
        shares = []
        for name, stopwatch in busy.items():
            stopwatch.look()
            spell = stopwatch.spell()
            shares.append(f"{name} {spell.used / spell.seconds:.0%}")
        while not coming.are_over():
            time.sleep(_LOOK_SECONDS)
        sent, answered = coming.times()
    rows: dict[str, Sequence[float]] = {
        "ingest has answered": _since(sent, answered),
        "the raw hit is in `hits`": _since(sent, watches[0].readable),
        "the verdict is in `events`": _since(sent, watches[1].readable),
    }
    cells: list[tuple[str, ...]] = []
    for name, delays in rows.items():
        counted = delays[int(_WARM_SECONDS * _RATE) :]
        thirds = _thirds(counted)
        cells.append(
            (
                name,
                f"{_quantile(counted, 0.5):.3f}",
                f"{_quantile(counted, 0.99):.3f}",
                ", ".join(f"{third:.3f}" for third in thirds.values),
                f"{max(counted):.3f}",
            )
        )
        print(f"  {' | '.join(cells[-1])}", flush=True)
    section.tables.append(Table(("time until", "p50 s", "p99 s", "p99 of each third", "longest s"), cells))
    granted = Samples(tuple(SETTLE + _GRANTED for _ in range(_PARTS)))
    last = Samples(_thirds(rows["the verdict is in `events`"][int(_WARM_SECONDS * _RATE) :]).values)
    section.ratios.append(Ratio("settle delay and 1 s / p99 until in `events`", granted.over(last), 1.0))
    gaps = [after - before for watch in watches for before, after in pairwise(watch.looks)]
    section.remarks += [
        f"The tables were looked at every {median(gaps) * 1000:.0f} ms (median; 99 of 100 within "
        f"{_quantile(gaps, 0.99) * 1000:.0f} ms): that is the resolution.",
        f"Processor time as a share of one core: {', '.join(shares)}.",
    ]
    print(f"  {section.remarks[-2]} {section.remarks[-1]}", flush=True)
    return section


def _since(sent: array[float], until: array[float]) -> list[float]:
    return [late - early for early, late in zip(sent, until, strict=True)]


def _thirds(delays: Sequence[float]) -> Samples:
    size = len(delays) // _PARTS
    return Samples(tuple(_quantile(delays[part * size : (part + 1) * size], 0.99) for part in range(_PARTS)))


def _quantile(values: Sequence[float], share: float) -> float:
    """The least value that this share of all does not exceed."""
    return sorted(values)[max(0, -int(-len(values) * share // 1) - 1)]
