"""How long a reader rests before it asks again: the longer nothing has come, the longer."""

from __future__ import annotations

import time
from collections.abc import Callable

_SHARE = 16  # of the time that nothing has come


class Patience:
    """A sixteenth of the time since something came, within bounds in seconds. May be ended by any thread."""

    def __init__(self, shortest: float, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._shortest = shortest
        self._longest = longest
        self._clock = clock
        self._since = clock()

    @property
    def seconds(self) -> float:
        """How long to rest now."""
        return min(self._longest, max(self._shortest, (self._clock() - self._since) / _SHARE))

    def end(self) -> None:
        """Something came: begin again with the shortest rest."""
        self._since = self._clock()
