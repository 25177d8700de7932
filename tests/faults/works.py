"""A whole installation in cluster mode on Apache Kafka, its parts processes that a fault can befall."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from kafka import KafkaProducer

from schemas.events import Delivery, Link
from schemas.tokens import delivery_id
from schemas.topics import DELIVERIES, LINKS, delivery_partition, text_partition
from tests.faults.load import CAMPAIGN, TARGET, Load, lead, visitor
from tests.support.broker import Broker
from tests.support.processes import Process, free_port, start, wait_until
from tests.support.stream import Stream, running_stream

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

    def load(self, hits: int, rate: float | None) -> Load:
        """A load, with the deliveries that some of its verdicts depend on already known."""
        settings = self.stream.settings
        later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        producer = KafkaProducer(bootstrap_servers=settings.kafka_servers, acks="all", linger_ms=20)
        try:
            sent = []
            for number in range(hits):
                if not visitor(number).delivered_later:
                    continue
                id_ = str(delivery_id(CAMPAIGN, 1, lead(number)))
                value = msgspec.json.encode(Delivery(delivery_id=id_, request_id=id_, at=later))
                partition = delivery_partition(id_, settings.partitions)
                sent.append(producer.send(settings.topic(DELIVERIES), value, id_.encode(), partition=partition))
            for one in sent:
                one.get(timeout=60)
        finally:
            producer.close()
        return Load(settings, hits, rate)

    def restart_ingest(self, until: str = "/readyz") -> None:
        """Start it again and wait until it says yes there."""
        self.ingest = start_ingest(self.stream, len(list(self.stream.folder.glob("ingest-*.log"))), until)

    def spooled(self) -> int:
        """Bytes of the hits that wait on disk for Kafka."""
        size = 0
        for file in (self.stream.folder / "spool").glob("*.spool"):
            with suppress(FileNotFoundError):  # sent and deleted meanwhile
                size += file.stat().st_size
        return size


@dataclass(frozen=True)
class Count:
    """What the database says after a load, and what the load says."""

    answered: int
    unanswered: int
    stored: int
    events: int
    raw_hits: int
    raw_events: int

    def __str__(self) -> str:
        return (
            f"answered {self.answered}, unanswered {self.unanswered}, stored {self.stored}, judged {self.events}; "
            f"rows before merging: {self.raw_hits} hits, {self.raw_events} events"
        )


def check(works: Works, load: Load) -> Count:
    """Every answered hit is stored once and judged once with its verdict; one that was not answered at most once."""
    ask = works.stream.ask
    stored = [int(row[0]) for row in ask("SELECT substring(lead, 6) FROM hits FINAL")]
    judged = ask(
        "SELECT toUInt64(substring(lead, 6)), verdict, reason FROM events FINAL WHERE kind IN ('open', 'click')"
    )
    ((raw_hits,),) = ask("SELECT count() FROM hits")
    ((raw_events,),) = ask("SELECT count() FROM events")
    once = set(stored)
    missing = load.answered - once
    assert not missing, f"{len(missing)} answered hits are not stored, such as {sorted(missing)[:5]}"
    assert len(stored) == len(once), f"{len(stored) - len(once)} hits are stored twice"
    assert once <= load.answered | load.unanswered
    assert len(judged) == len(stored), f"{len(stored)} hits, {len(judged)} events"
    verdicts = {number: (verdict, reason) for number, verdict, reason in judged}
    assert set(verdicts) == once
    wrong = {n: verdict for n, verdict in verdicts.items() if verdict != visitor(n).verdict}
    assert not wrong, f"{len(wrong)} verdicts changed, such as {list(wrong.items())[:5]}"
    assert works.stream.dead() == []
    return Count(len(load.answered), len(load.unanswered), len(stored), len(judged), raw_hits, raw_events)


def start_ingest(stream: Stream, number: int, until: str = "/readyz") -> Ingest:
    """Start it and wait until it says yes at a path: `/readyz` is yes only with Kafka, `/healthz` always."""
    process = start(
        ["-m", "sendlens", "ingest"], stream.folder / f"ingest-{number}.log", stream.environment, new_session=True
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
def running_works(folder: Path, broker: Broker, *, settle: float) -> Iterator[Works]:
    """An installation with nothing in it but the link of the load."""
    options = {"settle_seconds": settle, "store_seconds": 1.0, "partitions": PARTITIONS}
    ingest_port = free_port()
    with running_stream(folder, broker, **options, ingest_port=ingest_port) as stream:
        link = Link(link_id=stream.settings.keyring.link_id(CAMPAIGN, TARGET), campaign=CAMPAIGN, url=TARGET)
        partition = text_partition(link.link_id, PARTITIONS)
        stream.write(LINKS, msgspec.json.encode(link), partition=partition, key=link.link_id.encode())
        works = Works(stream, start_ingest(stream, 0))
        try:
            yield works
        finally:
            works.ingest.kill()
