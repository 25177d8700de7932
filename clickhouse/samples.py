"""Each process's own figures, written to the table `samples` for the board Pipeline.

They are read from the very registry that `/metrics` shows, on a thread that nobody waits for. They are no customer's
numbers: what ClickHouse does not take at once is dropped, counted and said, and costs the process nothing else.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Literal

import msgspec
import structlog
from clickhouse_connect.driver.client import Client
from prometheus_client import CollectorRegistry, Counter, Gauge

from clickhouse.store import connect, insert_lines
from schemas.settings import Settings

log = structlog.get_logger()

Role = Literal["ingest", "worker", "inbox", "clickhouse", "broker"]

# What the board needs, by the name of `/metrics`, with the labels that are kept; over the others figures are summed up.
TAKEN: dict[str, tuple[str, ...]] = {
    "sendlens_hits_total": ("kind", "result"),
    "sendlens_hits_lost_total": ("reason",),
    "sendlens_ack_seconds_bucket": ("le",),
    "sendlens_hits_in_flight": (),
    "sendlens_broker_in_memory": (),
    "sendlens_broker_replacements_total": ("result",),
    "sendlens_spool_bytes": (),
    "sendlens_spool_hits": (),
    "sendlens_spool_age_seconds": (),
    "sendlens_inbox_away_mailboxes": (),
    "sendlens_verdicts_total": ("kind",),
    "sendlens_records_handled_total": ("stage",),
    "sendlens_records_held": ("stage",),
    "sendlens_stage_lag_records": ("stage",),
    "sendlens_own_lag_records": ("stage",),
    "sendlens_stage_retries_total": ("stage",),
    "sendlens_dead_letters_total": ("stage", "reason"),
    "sendlens_inbox_mails_total": ("result",),
    "sendlens_inbox_behind_mails": (),
    "sendlens_samples_dropped_total": (),
    "sendlens_token_key": ("kind",),
    "process_resident_memory_bytes": (),
    "process_cpu_seconds_total": (),
}
_STARTED = "process_start_time_seconds"

# Of the worst day: a last sample is still wanted, but no process ends later for it. Seconds.
_CONNECT_PATIENCE = 2
_INSERT_PATIENCE = 5
_STOP_PATIENCE = 2.0


def from_zero(metric: Counter | Gauge, *values: Iterable[str]) -> None:
    """Make every series of the metric that these values of its labels give, in the labels' order: what is there from 0
    on shows the first loss as an increase."""
    for labels in product(*values):
        metric.labels(*labels)


class MetricSample(msgspec.Struct, frozen=True):
    """One row of `samples`. `le` is the bucket's upper bound, the last one's is infinite."""

    at: datetime
    role: str
    instance: str
    started_at: datetime
    name: str
    value: float
    kind: str = ""
    result: str = ""
    stage: str = ""
    reason: str = ""
    le: float | str = 0.0


def metric_samples(registry: CollectorRegistry, role: Role, instance: str, now: datetime) -> list[MetricSample]:
    """The registry's current values of the metrics that the board needs. NaN means unknown and is left out."""
    values: dict[tuple[str, tuple[str, ...]], float] = {}
    births: dict[tuple[str, tuple[str, ...]], float] = {}
    started = 0.0
    for name, labels, value in _read(registry):
        if name == _STARTED:
            started = value
        born = name.endswith("_created")
        stem = name.removesuffix("_created")
        for taken in (f"{stem}_total", f"{stem}_bucket") if born else (name,):
            if taken not in TAKEN or math.isnan(value):
                continue
            # A histogram's buckets were born together: the moment stands without `le`.
            key = (taken, tuple("" if born and label == "le" else labels.get(label, "") for label in TAKEN[taken]))
            if born:
                births[key] = min(value, births.get(key, value))
            else:
                values[key] = value + values.get(key, 0.0)
    rows = []
    for (name, kept), value in values.items():
        named = dict(zip(TAKEN[name], kept, strict=True))
        birth = births.get((name, tuple("" if label == "le" else text for label, text in named.items())), started)
        bound = float(named.pop("le", "0"))
        le = "inf" if math.isinf(bound) else bound  # JSON has no infinity; ClickHouse reads it in words
        since = datetime.fromtimestamp(birth, UTC)
        rows.append(MetricSample(now, role, instance, since, name, value, le=le, **named))
    return rows


def _read(registry: CollectorRegistry) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in registry.collect():
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


class Sampler:
    """Writes a process's figures every `sample_seconds` from `start` on, and once more at `stop`."""

    def __init__(self, settings: Settings, role: Role, registry: CollectorRegistry) -> None:
        """`registry` is the process's own, with a ProcessCollector in it."""
        self._settings = settings
        self._role: Role = role
        self._instance = f"{socket.gethostname()}:{os.getpid()}"
        self._registry = registry
        self._dropped = Counter(
            "sendlens_samples_dropped", "Figures of this process that ClickHouse did not take.", registry=registry
        )
        if role not in ("clickhouse", "broker"):  # which sign and verify nothing
            keys = Gauge(
                "sendlens_token_key",
                "1 for each token key by which this process verifies links; kind is its id and fingerprint.",
                ["kind"],
                registry=registry,
            )
            for key_id, fingerprint in settings.keyring.fingerprints().items():
                keys.labels(f"{key_id}:{fingerprint}").set(1)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: Client | None = None
        self._away = False
        self._is_migrated = False

    def start(self) -> None:
        """Begin, unless samples are switched off."""
        if self._settings.sample_seconds:
            self._thread = threading.Thread(target=self._run, name="samples", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Write the last sample. Blocks for two seconds at the most."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_PATIENCE)

    def _run(self) -> None:
        due = time.monotonic()
        is_last = False
        while not is_last:
            due = max(due + self._settings.sample_seconds, time.monotonic())
            self._stopping.wait(due - time.monotonic())
            is_last = self._stopping.is_set()  # asked before: what is counted until now is in the last sample
            self._sample()
        if self._client is not None:
            self._client.close()

    def _sample(self) -> None:
        rows: list[MetricSample] = []
        try:
            rows = metric_samples(self._registry, self._role, self._instance, datetime.now(UTC))
            if self._client is None:
                self._client = connect(
                    self._settings,
                    database="default",  # ours may not be there yet
                    connect_timeout=_CONNECT_PATIENCE,
                    send_receive_timeout=_INSERT_PATIENCE,
                    query_retries=0,
                )
            table = f"{self._settings.clickhouse_database}.samples"
            # Asked first: an insert into no table would be an error in ClickHouse's log at each fresh start.
            if not self._is_migrated and not int(str(self._client.command(f"EXISTS TABLE {table}"))):
                self._dropped.inc(len(rows))
                if not self._away:
                    log.info("samples wait for `sendlens migrate`")
                self._away = True
                return
            self._is_migrated = True
            insert_lines(self._client, table, msgspec.json.Encoder().encode_lines(rows))
        except Exception as error:  # whatever it is, it must not become the process's trouble
            self._dropped.inc(len(rows))
            if not self._away:
                log.warning("samples are dropped", why=str(error)[:300])
            self._away = True
            client, self._client = self._client, None
            if client is not None:
                client.close()
        else:
            if self._away:
                log.info("samples are written again")
            self._away = False
