"""What the inbox counts. A mailbox is named by its account's address, which is the operator's own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector


class Metrics:
    """Counters and gauges of one inbox process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.mails = Counter(
            "sendlens_inbox_mails",
            "Mails read: published (Kafka has it, whole), truncated (Kafka has the first part of it), refused (Kafka "
            "will never take it), unreadable (the server does not give it).",
            ("mailbox", "result"),
            registry=self.registry,
        )
        self.behind = Gauge(
            "sendlens_inbox_behind_mails", "Mails found and not read yet.", ("mailbox",), registry=self.registry
        )
        self.lag = Histogram(
            "sendlens_inbox_lag_seconds",
            "From a mail's arrival in the mailbox, to the second, to Kafka's answer for it.",
            buckets=(1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43200, 172800),
            registry=self.registry,
        )
        self.connected = Gauge(
            "sendlens_inbox_connected", "1 while the mailbox is being followed.", ("mailbox",), registry=self.registry
        )
        self.reconnects = Counter(
            "sendlens_inbox_reconnects", "Connections that failed or ended.", ("mailbox",), registry=self.registry
        )
        self.missing = Gauge(
            "sendlens_inbox_missing_folders", "Folders that can't be opened.", ("mailbox",), registry=self.registry
        )
        self.renumbered = Counter(
            "sendlens_inbox_renumbered",
            "Times that a server had numbered a folder's mails anew (UIDVALIDITY).",
            ("mailbox",),
            registry=self.registry,
        )
