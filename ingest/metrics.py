"""What ingest counts; docs/metrics.md lists it. One registry an application, so that two in one process do not mix.

Every counter is there from 0 on with all the values of its labels, so that a rule sees the first increase too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from clickhouse.samples import from_zero
from decisions.sending.gate import SkipReason
from decisions.sending.own_events import OwnKind
from schemas.events import HitKind
from schemas.providers import PROVIDERS

HitResult = Literal["recorded", "spooled", "unacknowledged", "refused", "shed", "rejected"]
RESULTS: tuple[HitResult, ...] = get_args(HitResult)
KINDS: tuple[HitKind, ...] = ("open", "click")
# Why hits, sends and other emails are rejected. tests/ingest/test_metrics.py compares them with the code.
_BAD_TOKEN = ("malformed", "key", "purpose", "signature")
HIT_REASONS: dict[HitKind, tuple[str, ...]] = {
    "open": (*_BAD_TOKEN, "method", "error", "in-flight", "host"),
    "click": (*_BAD_TOKEN, "link", "link-url", "links-behind", "method", "error", "in-flight", "host"),
}
_ITEM_REASONS = (
    *("malformed", "control-character", "id-too-long", "step-out-of-range", "too-large", "address-invalid"),
    "domain-invalid",
)
SEND_REASONS = (
    *_ITEM_REASONS,
    *("campaign-unknown", "duplicate", "no-account", "empty", "html-missing", "image-invalid", "batch-size"),
    *("header-invalid", "header-forbidden", "id-not-a-path", "lists-invalid"),
)
INSTRUMENT_REASONS = (*SEND_REASONS, "bad-id", "no-content", "too-many-links", "too-slow")
OWN_REASONS = (*_ITEM_REASONS, "campaign-unknown", "at-future", "at-too-old", "address-missing", "batch-size")
SUPPRESSION_REASONS = (
    *_ITEM_REASONS,
    *("reason-unknown", "source-invalid", "since-future", "until-invalid", "of-unknown", "id-invalid"),
    "parameter-invalid",
)
REPORT_REASONS = (
    *("unknown-word", "ignored", "no-token", "unknown-email"),
    *("malformed", "batch-size", "stale", "topic", "signature", "address-missing"),
    *("raw-delivery", "retry"),
)
# Seconds. Group commit alone is 3 ms; 2 s is where hits go to the spool instead.
_ACK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 30.0)


class IngestMetrics:
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
            "sendlens_hits_lost", "Hits that were in hand and are gone, by reason.", ("reason",), registry=self.registry
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
        self.suppressions = Counter(
            "sendlens_suppressions",
            "Suppressions by `/v1`: added, already there, removed, or the reason why not.",
            ("result",),
            registry=self.registry,
        )
        self.provider_reports = Counter(
            "sendlens_provider_reports",
            "What mail providers report: accepted, or the reason why it makes nothing known or was refused.",
            ("provider", "result"),
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
        self._ready = Gauge("sendlens_ready", "1 while hits are safe here, as /readyz says.", registry=self.registry)
        self._degraded = Gauge(
            "sendlens_degraded", "1 while that part does not work; /readyz says how.", ("part",), registry=self.registry
        )
        self.broker_in_memory = Gauge(
            "sendlens_broker_in_memory",
            "1 where the broker keeps everything in memory, to try Sendlens; 0 where it is Kafka.",
            registry=self.registry,
        )
        self.exports = Counter(
            "sendlens_exports",
            "Exports that began: whole, broken (the caller got a part, and could see it), left (by the caller).",
            ("table", "format", "result"),
            registry=self.registry,
        )
        self.wrong_keys = Counter(
            "sendlens_wrong_keys",
            "API keys that were shown, to `/v1` or the page, and are none.",
            registry=self.registry,
        )
        self._begin()
        # Bound once: a look-up by label costs as much as the count itself on the hot path.
        self.hit: dict[tuple[HitKind, str], Counter] = {
            (kind, result): self.hits.labels(kind, result) for kind in KINDS for result in RESULTS
        }

    def _begin(self) -> None:
        for kind, reasons in HIT_REASONS.items():
            from_zero(self.rejected, [kind], reasons)
        from_zero(self.lost, ["shutdown"])
        from_zero(
            self.unsubscribes,
            ("page", "one-click", "undo", "none"),
            ("recorded", "unavailable", "unclear", "host", *_BAD_TOKEN),
        )
        from_zero(self.sends, ("accepted", "rejected"))
        from_zero(self.sends_rejected, SEND_REASONS)
        from_zero(self.instrumented, ("instrumented", *get_args(SkipReason), *INSTRUMENT_REASONS))
        from_zero(self.told, (*get_args(OwnKind), "unknown"), ("accepted", *OWN_REASONS))
        from_zero(self.suppressions, ("added", "already", "removed", *SUPPRESSION_REASONS))
        from_zero(self.provider_reports, PROVIDERS, ("accepted", *REPORT_REASONS))
        from_zero(self.spool_refused, ("full", "disk"))
        from_zero(self._degraded, ("kafka", "maps", "limits", "spool"))
        from_zero(self.exports, ("emails", "events", "hits"), ("ndjson", "csv", "parquet"), ("whole", "broken", "left"))

    def watch_in_flight(self, read: Callable[[], float]) -> None:
        """Read the number of hits in flight from `read` whenever it is asked for."""
        self._in_flight.set_function(read)

    def watch_spool(self, size: Callable[[], float], hits: Callable[[], float], age: Callable[[], float]) -> None:
        """Read the depth of the spool (bytes, hits) and its age (seconds) whenever they are asked for."""
        self._spool_bytes.set_function(size)
        self._spool_hits.set_function(hits)
        self._spool_age.set_function(age)

    def readiness(self, ready: bool, degraded: Mapping[str, Sequence[str]]) -> None:
        """What `/readyz` says now."""
        self._ready.set(ready)
        for part, sentences in degraded.items():
            self._degraded.labels(part).set(bool(sentences))

    def reject(self, kind: HitKind, reason: str) -> None:
        """Count a hit that is not recorded. `reason` is one of a fixed few words, never input."""
        self.hit[kind, "rejected"].inc()
        self.rejected.labels(kind, reason).inc()

    def text(self) -> bytes:
        """The Prometheus text format, version 0.0.4."""
        return generate_latest(self.registry)
