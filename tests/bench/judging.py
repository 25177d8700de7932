"""Hits judged per second by one worker process, beside a bare loop and beside Faust with one record a hit."""

from __future__ import annotations

import time

import msgspec

from decisions.robots.judgement import to_event
from decisions.robots.rules import Rules
from schemas.events import Hit, lines
from schemas.topics import EVENTS
from tests.bench.broker import Ends, check, deployment, read
from tests.bench.draining import HEAD, Drained, drained, of, row, steady, watch
from tests.bench.figures import Ratio, Samples, Section, Table
from tests.bench.material import HITS_A_RECORD, Load, preload
from tests.bench.workshop import Workshop, python

_OURS, _BARE, _STOCK = "sendlens work --stage judge", "bare aiokafka loop, same rules", "stock Faust, same rules"
_COMMANDS = {
    _OURS: ("sendlens", "work", "--stage", "judge"),
    _BARE: ("tests.bench.bare",),
    _STOCK: ("tests.bench.stock",),
}


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Let each work through the same topic, round after round."""
    section = Section(
        title="Hits judged per second by one worker",
        how=(
            "Hits of 20,000 emails by 2,000 user agents from 50,000 addresses, a fifth of them clicks, preloaded in "
            "records of 50 (stock Faust: one hit a record), settle delay 0, each hit joined with its email's delivery "
            "time. The worker is pinned to one core, the broker to the other. The clock runs from the end of the first "
            "burst of events to the last event, by the records' own times. After every run the topic of events is "
            "read: an event missing or there twice fails the benchmark."
        ),
        command="python -m tests.bench --only judging",
    )
    batched, single = Load(150_000 if quick else 300_000), Load(20_000 if quick else 40_000)
    runs: dict[str, list[Drained]] = {name: [] for name in _COMMANDS}
    for _ in range(1 if quick else 3):
        for name in _COMMANDS:
            load, size = (single, 1) if name == _STOCK else (batched, HITS_A_RECORD)
            run = _judged(workshop, name, load, size)
            runs[name].append(run)
            print(f"  {name}: {run}", flush=True)
    alone = Samples(tuple(_rules_alone(batched) for _ in range(3)))
    _report(section, runs, alone)
    return section


def _judged(workshop: Workshop, name: str, load: Load, size: int) -> Drained:
    with deployment(workshop) as made:
        settings = made.settings
        records = preload(settings, load, size)
        ends = Ends(settings, EVENTS)
        command = python("-m", *_COMMANDS[name])
        try:
            with workshop.running(name.replace(" ", "-"), command, core=workshop.server_core, env=made.env) as job:
                stopwatch = watch(job, workshop.server_core, lambda: ends.reached(records))
                memory = job.peak_memory()
        finally:
            ends.close()
        events = read(settings, EVENTS)
        check(events, load.ids, name)
        began, ended, hits = steady(events)
        return drained(memory, stopwatch.spell(began, ended), hits)


def _rules_alone(load: Load) -> float:
    """Hits a second through decode, judge and encode in this process, without any Kafka: the ceiling of all three."""
    rules, decode = Rules.load(), msgspec.json.Decoder(Hit).decode
    delivered = {delivery.delivery_id: delivery.at for delivery in load.deliveries}
    batches = [value for _, value in load.records(12, HITS_A_RECORD)]
    began = time.process_time()
    for batch in batches:
        judged = []
        for line in batch.split(b"\n"):
            if line:
                hit = decode(line)
                judged.append(to_event(hit, rules.judge(hit, delivered[hit.delivery_id]), rules.version))
        lines(judged)
    return load.count / (time.process_time() - began)


def _report(section: Section, runs: dict[str, list[Drained]], alone: Samples) -> None:
    table = [row(_OURS, "50 hits a record", runs[_OURS]), row(_BARE, "50 hits a record", runs[_BARE])]
    table.append(row(_STOCK, "1 hit a record", runs[_STOCK]))
    table.append(
        ("rules alone, no Kafka", "in memory", "", "", f"{alone.middle:,.0f}", f"{alone.spread:.0%}", "", "", "")
    )
    section.tables.append(Table(HEAD, table))
    ours = of(runs[_OURS], lambda run: run.rate)
    section.ratios += [
        Ratio("ours / stock Faust", ours.over(of(runs[_STOCK], lambda run: run.rate)), 6.0),
        Ratio("ours / stock Faust, per CPU second", _per_cpu_second(runs[_OURS], runs[_STOCK]), 6.0),
        Ratio("ours / bare loop", ours.over(of(runs[_BARE], lambda run: run.rate)), 0.6),
        Ratio("ours / bare loop, per CPU second", _per_cpu_second(runs[_OURS], runs[_BARE]), 0.6),
        Ratio("ours / 100,000 hits/s", of(runs[_OURS], lambda run: run.rate / 100_000), 1.0),
        Ratio("ours / 100,000 hits per CPU second", of(runs[_OURS], lambda run: run.per_cpu_second / 100_000), 1.0),
    ]
    section.remarks += [
        "Rules alone decodes, judges and encodes the same hits in one process without Kafka: what no loop around the "
        "same rules can pass on this machine. First sights of a user agent or an address are part of it.",
        "Beside the rules, time goes into moving the bytes: about 460 in and 420 out for each hit, which asyncio and "
        "aiokafka copy several times, also in the bare loop. Of ours, a click is also read when its record joins the "
        "line, and Faust turns its loop once for each record. What the bare loop leaves at aiokafka's defaults, a "
        "produce request for each record and partition, and Python's at the collector, ours does not.",
    ]


def _per_cpu_second(ours: list[Drained], theirs: list[Drained]) -> Samples:
    return of(ours, lambda run: run.per_cpu_second).over(of(theirs, lambda run: run.per_cpu_second))
