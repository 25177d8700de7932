"""A broker, a ClickHouse and workers as real processes, for tests of the whole stream."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from agents.pipeline import Stage
from agents.worker import stages_named
from clickhouse.migrate import migrate
from clickhouse.store import connect
from commands.backup.refill import refill
from schemas.events import Hit, lines
from schemas.settings import Settings, load
from schemas.state.dead_records import Dead
from schemas.tokens import delivery_id
from schemas.topics import DEAD, HITS, Topic, delivery_partition
from stream.lag import LagProbe
from stream.topic_admin import create_topics
from tests.support.broker import Broker, drop_topics
from tests.support.migrated import start_migrated
from tests.support.processes import ROOT, ClickHouseProcess, Process, start, start_clickhouse
from tests.support.waiting import PATIENCE, wait_until

SETTLE = 1.0

_TOLD = (
    "mode", "broker", "token_keys", "api_key", "kafka", "topic_prefix", "partitions", "clickhouse_url", "data_dir",
    "settle_seconds", "store_seconds", "smtp_port", "ingest_port", "answer_within_ms", "webhooks_private",
    "relay_list_url", "senders", "session_seconds", "spool_mb", "replication",
)  # fmt: skip


@dataclass
class Stream:
    """Everything but ingest, on free ports. What it starts it ends, by process id."""

    folder: Path
    settings: Settings
    broker: Broker
    clickhouse: ClickHouseProcess
    workers: list[Process] = field(default_factory=list)
    stages: set[Stage] = field(default_factory=set)  # that a worker was started for
    code: Path = ROOT  # what it was migrated by
    _asked: Client | None = field(default=None, init=False)  # to connect is six times the work of a question

    @property
    def environment(self) -> dict[str, str]:
        """What a process of this installation is told."""
        return {f"SENDLENS_{name.upper()}": str(getattr(self.settings, name)) for name in _TOLD}

    def migrate(self) -> dict[str, int]:
        """What `sendlens migrate` does; returns what was refilled."""
        migrate(self.settings)
        create_topics(self.settings)
        with self.client() as client:
            return refill(self.settings, client)

    def start_worker(self, *options: str, environment: Mapping[str, str] | None = None, root: Path = ROOT) -> Process:
        """`sendlens work`, waited for until it is ready; with a further environment, or with the code in `root`."""
        self.stages |= set(stages_named([name for name in options if name != "--stage" and not name.startswith("-")]))
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = start(["-m", "sendlens", "work", *options], log, self.environment | dict(environment or {}), root=root)
        self.workers.append(worker)
        wait_until(lambda: "worker is ready" in worker.output() or worker.popen.poll() is not None, 120, "the worker")
        assert worker.popen.poll() is None, worker.output()
        return worker

    def restart_clickhouse(self) -> None:
        self.clickhouse = start_clickhouse(self.folder / "clickhouse", port=self.clickhouse.port)

    def client(self) -> Client:
        return connect(self.settings)

    def ask(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        if self._asked is None:
            self._asked = self.client()
        return [tuple(row) for row in self._asked.query(sql, parameters=parameters).result_rows]

    def close(self) -> None:
        """End all that was started here, and what it left on the broker."""
        for worker in self.workers:
            worker.kill()
        if self._asked is not None:
            self._asked.close()
        drop_topics(self.settings)
        self.clickhouse.kill()

    def write(
        self, topic: Topic, *values: bytes, partition: int = 0, key: bytes | None = None, at: float | None = None
    ) -> None:
        """Write records, now or as of `at` (epoch seconds), and wait until the broker has them."""
        if topic.compacted and key is None:
            key = b"a-key"  # Kafka refuses a record without one there
        most = topic.max_record_bytes or 1_000_000
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka_servers, max_request_size=most)
        try:
            name = self.settings.topic(topic)
            when = None if at is None else int(at * 1000)
            sent = [
                producer.send(name, value=value, key=key, partition=partition, timestamp_ms=when) for value in values
            ]
            for one in sent:
                one.get(timeout=30)
        finally:
            producer.close()

    def write_hits(self, hits: Sequence[Hit], batch: int = 50) -> None:
        """Write hits as ingest does: batches of one partition."""
        by_partition: dict[int, list[Hit]] = {}
        for hit in hits:
            number = delivery_partition(hit.delivery_id, self.settings.partitions)
            by_partition.setdefault(number, []).append(hit)
        for number, some in by_partition.items():
            groups = [some[at : at + batch] for at in range(0, len(some), batch)]
            self.write(HITS, *(lines(group) for group in groups), partition=number)

    def dead(self) -> list[Dead]:
        """What stands in the dead-letter topic."""
        return [msgspec.json.decode(value, type=Dead) for value in self.read(DEAD)]

    def read(self, topic: Topic) -> list[bytes]:
        """All records of a topic."""
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka_servers, enable_auto_commit=False)
        try:
            name = self.settings.topic(topic)
            partitions = [TopicPartition(name, n) for n in range(self.settings.partitions_of(topic))]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            ends = consumer.end_offsets(partitions)
            values: list[bytes] = []
            while any(consumer.position(tp) < ends[tp] for tp in partitions):
                for records in consumer.poll(timeout_ms=500).values():
                    values += [record.value for record in records]
            return values
        finally:
            consumer.close(autocommit=False)

    def wait_until_drained(self, deadline: float = 4 * PATIENCE) -> None:
        """Wait until every record has been acknowledged by every stage that a worker was started for."""
        ends = time.monotonic() + deadline
        probe = LagProbe(self.settings, {stage.name: stage.takes for stage in self.stages})
        try:
            while left := {
                stage: sum(behind.values()) for stage, behind in probe(exact=True).items() if any(behind.values())
            }:
                output = "\n".join(worker.output()[-3000:] for worker in self.workers)
                assert time.monotonic() < ends, f"after {deadline} s there is left: {left}\n{output}"
                time.sleep(0.3)  # a look asks for the offsets of every partition
        finally:
            probe.close()


@contextmanager
def running_stream(folder: Path, broker: Broker, *, code: Path = ROOT, **overrides: Any) -> Iterator[Stream]:
    """A migrated stream without workers, with topics of its own on the broker; migrated by the project in `code`."""
    clickhouse = start_migrated(folder / "clickhouse") if code == ROOT else start_clickhouse(folder / "clickhouse")
    stream = None
    try:
        options = {"settle_seconds": SETTLE, "store_seconds": 0.2, "partitions": 4, "data_dir": folder}
        options |= {"topic_prefix": f"t{uuid.uuid4().hex[:8]}-", **broker.surroundings, **overrides}
        settings = load(kafka=broker.bootstrap, clickhouse_url=clickhouse.url, **options)
        stream = Stream(folder, settings, broker, clickhouse, code=code)
        if code == ROOT:
            create_topics(settings)
        else:
            migrated = start(["-m", "sendlens", "migrate"], folder / "migrate.log", stream.environment, root=code)
            assert migrated.popen.wait(120) == 0, migrated.output()
        yield stream
    finally:
        if stream is None:
            clickhouse.kill()
        else:
            stream.close()


def a_hit(lead: str, *, campaign: str = "spring", at: datetime | None = None, **fields: Any) -> Hit:
    """An open by a person, unless said otherwise."""
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "kind": "open",
        "at": at or datetime.now(UTC).replace(microsecond=0),
        "delivery_id": str(delivery_id(campaign, 1, lead)),
        "campaign": campaign,
        "step": 1,
        "variant": "A",
        "lead": lead,
        "minted_at": datetime(2026, 1, 1, tzinfo=UTC),
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        "ip": "192.0.2.7",
    }
    return Hit(**(values | fields))
