"""Hits judged and stored per second by one worker process, into the embedded ClickHouse."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

from clickhouse_connect.driver.client import Client

from clickhouse.migrate import migrate
from clickhouse.store import connect
from schemas.topics import EVENTS
from tests.bench.broker import Deployment, Ends, deployment
from tests.bench.draining import HEAD, Drained, drained, of, row, watch
from tests.bench.figures import Ratio, Section, Table, Wrong
from tests.bench.material import HITS_A_RECORD, Load, preload
from tests.bench.workshop import Workshop, free_port, listens, python

_OURS, _BARE = "sendlens work --stage judge --stage store", "bare aiokafka loop that inserts by itself"
_WANTED = 0.7
_COMMANDS = {
    _OURS: ("sendlens", "work", "--stage", "judge", "--stage", "store"),
    _BARE: ("tests.bench.bare", "store"),
}


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Let each work through the same topic until every row is in the database, round after round."""
    section = Section(
        title="Hits judged and stored per second by one worker",
        how=(
            "The same hits, preloaded in records of 50, settle delay 0: judged, the events written to their topic and "
            "read back from it, and both the raw hits and the events inserted into the embedded ClickHouse with its "
            "materialised views, so two rows a hit. The worker is pinned to one core; broker and ClickHouse share the "
            "other. The clock runs from the first event written until both tables hold every row. Then every hit must be there "
            "once: rows and distinct ids are compared with what was loaded."
        ),
        command="python -m tests.bench --only storing",
    )
    load = Load(40_000 if quick else 150_000)
    runs: dict[str, list[Drained]] = {name: [] for name in _COMMANDS}
    for _ in range(1 if quick else 3):
        for name in _COMMANDS:
            run = _stored(workshop, name, load)
            runs[name].append(run)
            print(f"  {name}: {run}", flush=True)
    section.tables.append(Table(HEAD, [row(name, "50 hits a record", runs[name]) for name in _COMMANDS]))
    ours, bare = (of(runs[name], lambda run: run.rate) for name in _COMMANDS)
    our_work, bare_work = (of(runs[name], lambda run: run.per_cpu_second) for name in _COMMANDS)
    section.ratios += [
        Ratio("ours / bare loop that inserts", ours.over(bare)),
        Ratio("ours / bare loop that inserts, per CPU second", our_work.over(bare_work), _WANTED),
    ]
    section.remarks += [
        "The bare loop inserts what it has in memory; ours reads the hits twice and the events back from their topic, "
        "because the store is a stage of its own that other events come to as well, and scales alone. Ours also looks for "
        "clicks that co-occur, and names clients.",
        "ClickHouse has one core here, which it shares with the broker: where the worker used less than its own core, "
        "it waited for them.",
    ]
    return section


def _stored(workshop: Workshop, name: str, load: Load) -> Drained:
    with deployment(workshop) as made, database(workshop, made) as client:
        preload(made.settings, load, HITS_A_RECORD)
        command = python("-m", *_COMMANDS[name])
        events = Ends(made.settings, EVENTS)
        try:
            with workshop.running(name.replace(" ", "-"), command, core=workshop.server_core, env=made.env) as job:
                stopwatch = watch(
                    job, workshop.server_core, lambda: _rows(client) >= 2 * load.count, lambda: events.count() > 0
                )
                run = drained(job.peak_memory(), stopwatch.spell(), load.count)
        finally:
            events.close()
        for table in ("hits", "events"):
            found, distinct = client.query(f"SELECT count(), uniqExact(id) FROM {table}").result_rows[0]
            if (found, distinct) != (load.count, load.count):
                raise Wrong(f"{name}: {table} has {found} rows of {distinct} hits for {load.count} hits")
        return run


@contextlib.contextmanager
def database(workshop: Workshop, made: Deployment, core: int | str | None = None) -> Iterator[Client]:
    """An embedded ClickHouse of this run alone, migrated, on the load core unless another is named."""
    port = free_port()
    folder = workshop.folder / f"clickhouse-{port}"
    password = secrets.token_hex(16)  # else the server makes one of its own, and nobody else is told
    made.with_(clickhouse_url=f"http://127.0.0.1:{port}", clickhouse_password=password, data_dir=folder)
    command = python("-m", "sendlens", "clickhouse")
    core = workshop.load_core if core is None else core
    with workshop.running("clickhouse", command, core=core, env=made.env) as job:
        made.jobs["clickhouse"] = job
        workshop.await_(job, lambda: listens(port))
        migrate(made.settings)
        with connect(made.settings) as client:
            yield client


def _rows(client: Client) -> int:
    (count,) = client.query("SELECT (SELECT count() FROM hits) + (SELECT count() FROM events)").result_rows[0]
    return int(count)
