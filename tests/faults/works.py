"""A whole installation in cluster mode on Apache Kafka, its parts processes that a fault can befall."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from kafka import KafkaProducer

from schemas.events import Delivery, Link
from schemas.tokens import delivery_id
from schemas.topics import DELIVERIES, LINKS, delivery_partition, text_partition
from tests.faults.count import Count, example
from tests.faults.load import CAMPAIGN, TARGET, VISITORS, Load, Visitor, lead
from tests.support.broker import Broker
from tests.support.processes import ROOT, Process, free_port, start
from tests.support.stream import Stream, running_stream
from tests.support.waiting import wait_until

PARTITIONS = 6


@dataclass
class Ingest:
    """`sendlens ingest` and the process that serves for it."""

    process: Process

    def kill(self) -> None:
        """SIGKILL to both at once: the one that answers must not see the other's end first."""
        if self.process.popen.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.popen.wait(20)


@dataclass
class Works:
    """Broker, database and ingest run; workers are the scenario's."""

    stream: Stream
    ingest: Ingest

    def a_worker(self) -> Process:
        """One that runs, started where none does."""
        running = [worker for worker in self.stream.workers if worker.popen.poll() is None]
        return running[0] if running else self.stream.start_worker()

    def load(
        self,
        hits: int,
        rate: float | None,
        *,
        first: int = 0,
        visitors: tuple[Visitor, ...] = VISITORS,
        refusals: bool = False,
    ) -> Load:
        """A load, with the deliveries that some of its verdicts depend on already known."""
        load = Load(self.stream.settings, hits, rate, first=first, visitors=visitors, refusals=refusals)
        settings = self.stream.settings
        later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, acks="all", linger_ms=20)
        try:
            sent = []
            for number in load.numbers:
                if not load.visitor(number).delivered_later:
                    continue
                id_ = str(delivery_id(CAMPAIGN, 1, lead(number)))
                value = msgspec.json.encode(Delivery(delivery_id=id_, request_id=id_, at=later))
                partition = delivery_partition(id_, settings.partitions)
                sent.append(producer.send(settings.topic(DELIVERIES), value, id_.encode(), partition=partition))
            for one in sent:
                one.get(timeout=60)
        finally:
            producer.close()
        return load

    def restart_ingest(
        self, until: str = "/readyz", environment: Mapping[str, str] | None = None, root: Path = ROOT
    ) -> None:
        """Start it again and wait until it says yes there; with a further environment, or with the code in `root`."""
        number = len(list(self.stream.folder.glob("ingest-*.log")))
        self.ingest = start_ingest(self.stream, number, until, environment, root)

    def replace_ingest(self, environment: Mapping[str, str] | None = None, root: Path = ROOT) -> None:
        """End it in an orderly way and start another."""
        self.ingest.process.stop(40)
        self.restart_ingest(environment=environment, root=root)

    def spooled(self) -> int:
        """Bytes of the hits that wait on disk for Kafka."""
        size = 0
        for file in (self.stream.folder / "spool").glob("*.spool"):
            with suppress(FileNotFoundError):  # sent and deleted meanwhile
                size += file.stat().st_size
        return size


def check(works: Works, *loads: Load, set_aside: bool = False) -> Count:
    """Of all these loads, whose visitors are the same: every answered hit is stored once and judged once with its verdict;
    one that was not answered at most once.

    Nothing else may be, nor be set aside, unless that is what the fault was about.
    """
    ask = works.stream.ask
    stored = Counter(int(row[0]) for row in ask("SELECT substring(lead, 6) FROM hits FINAL WHERE campaign = 'load'"))
    judged = ask(
        "SELECT toUInt64(substring(lead, 6)), verdict, reason FROM events FINAL WHERE kind IN ('open', 'click') "
        "AND campaign = 'load'"
    )
    events = Counter(number for number, _, _ in judged)
    ((raw_hits,),) = ask("SELECT count() FROM hits WHERE campaign = 'load'")
    ((raw_events,),) = ask("SELECT count() FROM events WHERE kind IN ('open', 'click') AND campaign = 'load'")
    answered = {number for load in loads for number in load.answered}
    refused = {number for load in loads for number in load.refused}
    asked = answered | refused | {number for load in loads for number in load.unanswered}
    missing = answered - set(stored)
    unjudged = set(stored) - set(events)
    twice = {number for found in (stored, events) for number, times in found.items() if times > 1}
    strange = (set(stored) | set(events)) - asked | (set(events) - set(stored))
    changed = {n for n, verdict, reason in judged if (verdict, reason) != loads[0].visitor(n).verdict}
    dead = [] if set_aside else works.stream.dead()
    faults = (
        *example("answered hits are not stored", missing),
        *example("stored hits have no event", unjudged),
        *example("hits are stored or judged twice", twice),
        *example("hits were never asked for", strange),
        *example(
            f"verdicts changed, the first to {[row[1:] for row in judged if row[0] in changed][:1]}",
            changed,
        ),
        *((f"{len(dead)} dead letters, the first {dead[0]}",) if dead else ()),
    )
    again = raw_hits - len(stored) + raw_events - len(events)
    return Count(
        sent=len(asked),
        answered=len(answered),
        stored=len(stored),
        lost=len(missing | unjudged),
        double=len(twice | strange),
        changed=len(changed),
        longest=max(load.slowest for load in loads),
        note=", ".join(
            (
                *((f"{len(refused):,} refused with 503",) if refused else ()),
                *((f"{again:,} rows written again, merged away",) if again else ()),
            )
        ),
        faults=faults,
    )


def start_ingest(
    stream: Stream,
    number: int,
    until: str = "/readyz",
    environment: Mapping[str, str] | None = None,
    root: Path = ROOT,
) -> Ingest:
    """Start it and wait until it says yes at a path: `/readyz` is yes only with Kafka, `/healthz` always."""
    process = start(
        ["-m", "sendlens", "ingest"],
        stream.folder / f"ingest-{number}.log",
        stream.environment | dict(environment or {}),
        new_session=True,
        root=root,
    )
    ingest = Ingest(process)

    def ready() -> bool:
        assert process.popen.poll() is None, process.output()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{stream.settings.ingest_port}{until}", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    try:
        wait_until(ready, 40, "ingest ready")
    except AssertionError:
        ingest.kill()
        raise
    return ingest


@contextmanager
def running_works(folder: Path, broker: Broker, *, settle: float, code: Path = ROOT, **more: Any) -> Iterator[Works]:
    """An installation with nothing in it but the link of the load."""
    options = {"settle_seconds": settle, "store_seconds": 1.0, "partitions": PARTITIONS, **more}
    ingest_port = free_port()
    with running_stream(folder, broker, code=code, **options, ingest_port=ingest_port) as stream:
        link = Link(link_id=stream.settings.keyring.link_id(CAMPAIGN, TARGET), campaign=CAMPAIGN, url=TARGET)
        partition = text_partition(link.link_id, stream.settings.partitions)
        stream.write(LINKS, msgspec.json.encode(link), partition=partition, key=link.link_id.encode())
        works = Works(stream, start_ingest(stream, 0, root=code))
        try:
            yield works
        finally:
            works.ingest.kill()
