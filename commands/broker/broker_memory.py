"""How much memory the broker takes, and the figures of it that the board Pipeline shows."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, ProcessCollector

from clickhouse.samples import Sampler, from_zero
from schemas.settings import Settings


def resident_bytes(pid: int) -> int | None:
    """What the process holds in memory now; None when that can't be known, as of one that has just ended."""
    try:
        if Path("/proc").is_dir():
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE")
        command = ["ps", "-o", "rss=", "-p", str(pid)]
        listed = subprocess.run(command, capture_output=True, text=True, timeout=10)  # noqa: S603  # no shell
        return int(listed.stdout) * 1024
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None


class BrokerFigures:
    """The broker's samples, written by who watches it: it has no `/metrics` of its own. `pid` gives the broker's
    process id, None while there is none."""

    def __init__(self, settings: Settings, pid: Callable[[], int | None]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(pid=lambda: pid() or "none", registry=self.registry)
        self._replacements = Counter(
            "sendlens_broker_replacements",
            "Times that the broker in memory was to be replaced by an empty one: replaced, given-up (tried later).",
            ["result"],
            registry=self.registry,
        )
        from_zero(self._replacements, ("replaced", "given-up"))
        self._sampler = Sampler(settings, "broker", self.registry)

    def start(self) -> None:
        self._sampler.start()

    def stop(self) -> None:
        self._sampler.stop()

    def count(self, result: str) -> None:
        """That the broker was, or was not, replaced."""
        self._replacements.labels(result).inc()
