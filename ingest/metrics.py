"""What ingest counts. One registry an application, so that two in one process do not mix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from schemas.events import HitKind

HitResult = Literal["recorded", "spooled", "unacknowledged", "refused", "shed", "rejected"]
RESULTS: tuple[HitResult, ...] = get_args(HitResult)
KINDS: tuple[HitKind, ...] = ("open", "click")
# Seconds. Group commit alone is 3 ms; 2 s is where hits go to the spool instead.
_ACK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0)


class Metrics:
    """Counters and gauges of one ingest application, and their text for `/metrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.hits = Counter(
            "sendlens_hits",
            "Pixel and link requests: recorded (Kafka has it), spooled (it is on this machine's disk), unacknowledged "
            "(promised nothing, it may still be recorded), refused (not recorded: too much in flight, or the spool is "
            "full), shed (not recorded: a repeat, of a source beyond its share), rejected (not recorded: proves "
            "nothing).",
            ("kind", "result"),
            registry=self.registry,
        )
        self.rejected = Counter(
            "sendlens_hits_rejected", "Hits not recorded, by reason.", ("kind", "reason"), registry=self.registry
        )
        self.lost = Counter(
            "sendlens_hits_lost", "Hits that Kafka refused for good, by reason.", ("reason",), registry=self.registry
        )
        self.ack_seconds = Histogram(
            "sendlens_ack_seconds",
            "From the first hit of a batch to Kafka's answer for it.",
            buckets=_ACK_BUCKETS,
            registry=self.registry,
        )
        self.batch_hits = Histogram(
            "sendlens_batch_hits",
            "Hits that shared one Kafka record.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=self.registry,
        )
        self.unsubscribes = Counter(
            "sendlens_unsubscribes", "POSTs to /u/ by way and result.", ("via", "result"), registry=self.registry
        )
        self.sends = Counter(
            "sendlens_sends", "Sends asked for, accepted or rejected.", ("result",), registry=self.registry
        )
        self.sends_rejected = Counter(
            "sendlens_sends_rejected", "Sends rejected, by reason.", ("reason",), registry=self.registry
        )
        self.instrumented = Counter(
            "sendlens_instrumented",
            "Emails for platforms' own systems: instrumented, or the reason why not.",
            ("result",),
            registry=self.registry,
        )
        self.told = Counter(
            "sendlens_told",
            "What platforms told of their own deliveries: accepted, or the reason why not.",
            ("kind", "result"),
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "sendlens_hits_in_flight", "Hits that Kafka has not acknowledged yet.", registry=self.registry
        )
        self._spool_bytes = Gauge("sendlens_spool_bytes", "Bytes of the spool on disk.", registry=self.registry)
        self._spool_hits = Gauge(
            "sendlens_spool_hits", "Hits in the spool, some maybe in Kafka.", registry=self.registry
        )
        self._spool_age = Gauge(
            "sendlens_spool_age_seconds", "Age of the oldest hit in the spool; 0 when empty.", registry=self.registry
        )
        self.spool_replayed = Counter(
            "sendlens_spool_replayed_hits", "Hits that Kafka took from the spool.", registry=self.registry
        )
        self.spool_refused = Counter(
            "sendlens_spool_refused_hits",
            "Hits that the spool did not take: full, or the disk failed.",
            ("reason",),
            registry=self.registry,
        )
        self.spool_damaged = Counter(
            "sendlens_spool_damaged_bytes",
            "Bytes of left spool files that are no whole frame: what a crash tore, or a bad disk.",
            registry=self.registry,
        )
        self.exports = Counter(
            "sendlens_exports",
            "Exports that began: whole, broken (the caller got a part, and could see it), left (by the caller).",
            ("table", "format", "result"),
            registry=self.registry,
        )
        # Bound once: a look-up by label costs as much as the count itself on the hot path.
        self.hit: dict[tuple[HitKind, str], Counter] = {
            (kind, result): self.hits.labels(kind, result) for kind in KINDS for result in RESULTS
        }

    def watch_in_flight(self, read: Callable[[], float]) -> None:
        """Read the number of hits in flight from `read` whenever it is asked for."""
        self._in_flight.set_function(read)

    def watch_spool(self, size: Callable[[], float], hits: Callable[[], float], age: Callable[[], float]) -> None:
        """Read the depth of the spool (bytes, hits) and its age (seconds) whenever they are asked for."""
        self._spool_bytes.set_function(size)
        self._spool_hits.set_function(hits)
        self._spool_age.set_function(age)

    def reject(self, kind: HitKind, reason: str) -> None:
        """Count a hit that is not recorded. `reason` is one of a fixed few words, never input."""
        self.hit[kind, "rejected"].inc()
        self.rejected.labels(kind, reason).inc()

    def text(self) -> bytes:
        """The Prometheus text format, version 0.0.4."""
        return generate_latest(self.registry)
