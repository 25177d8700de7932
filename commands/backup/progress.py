"""Lines that say how far a long command has come: one each time it has done a tenth, or every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

_SECONDS = 10.0


class ProgressReport:
    """Bytes done of a task. `total` may be 0 while nobody knows."""

    def __init__(self, say: Callable[[str], object], what: str, total: int = 0) -> None:
        self._say = say
        self._what = what
        self.total = total
        self._done = 0
        self._said_tenth = 0
        self._said_at = time.monotonic()

    def add(self, done: int) -> None:
        """So many bytes more."""
        self.reach(self._done + done)

    def reach(self, done: int) -> None:
        """So many bytes in all."""
        self._done = done
        tenth = 10 * done // self.total if self.total else 0
        if tenth > self._said_tenth or time.monotonic() - self._said_at > _SECONDS:
            self._said_tenth, self._said_at = tenth, time.monotonic()
            of = f" of {megabytes(self.total)}" if self.total else ""
            self._say(f"{self._what}: {megabytes(done)}{of}")


def megabytes(size: int) -> str:
    """A size for eyes: 12.3 MB."""
    return f"{size / 1_000_000:,.1f} MB"
