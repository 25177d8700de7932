"""What the inbox counts; docs/metrics.md lists it. A mailbox is named by its address, which is the operator's own."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from clickhouse.samples import from_zero
from oauth2.renewal_metrics import register


class InboxMetrics:
    """Counters and gauges of one inbox process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        register(self.registry)
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
        self._connected = Gauge(
            "sendlens_inbox_connected", "1 while the mailbox is being followed.", ("mailbox",), registry=self.registry
        )
        self._followed: dict[str, bool] = {}
        Gauge(
            "sendlens_inbox_away_mailboxes", "Mailboxes that can't be read now.", registry=self.registry
        ).set_function(lambda: list(self._followed.values()).count(False))
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

    def begin(self, mailboxes: Iterable[str]) -> None:
        """Have every counter of these mailboxes at 0. None is followed yet."""
        names = list(mailboxes)
        from_zero(self.mails, names, ("published", "truncated", "refused", "unreadable"))
        for metric in (self.behind, self.reconnects, self.missing, self.renumbered):
            from_zero(metric, names)
        for name in names:
            self.follows(name, False)

    def follows(self, mailbox: str, whether: bool) -> None:
        """Whether the mailbox is being followed now."""
        self._followed[mailbox] = whether
        self._connected.labels(mailbox).set(whether)
