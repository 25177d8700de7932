"""How long a worker may believe that its partitions are its own.

Kafka gives them to another worker once it has not heard a heartbeat for a session's time. A worker that was paused, or
cut off from its group's coordinator, does not notice: when it wakes, it goes on where it was, and would write and send
what another has done meanwhile. So nothing is written unless Kafka has confirmed the membership within that time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from schemas.errors import Retry

# Also counts while the machine sleeps, where the system has such a clock.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# Of the session: what is written then is there before Kafka can have given the partitions away.
_SHARE = 0.9


def seconds_now() -> float:
    """Seconds of a clock that nobody sets, and that goes on while the process or the machine is paused."""
    return time.clock_gettime(_CLOCK)


class Lease:
    """A membership, for `session` seconds from each heartbeat that Kafka has answered with yes. May be renewed by one
    thread and asked by another."""

    def __init__(self, session: float, clock: Callable[[], float] = seconds_now) -> None:
        self._seconds = session * _SHARE
        self._clock = clock
        self._until = 0.0

    def renew(self, asked_at: float | None = None) -> None:
        """Kafka has confirmed it. Its clock began at the earliest when it was asked, at `asked_at`."""
        self._until = max(self._until, (self._clock() if asked_at is None else asked_at) + self._seconds)

    def follow(self, coordinator: Any) -> None:
        """Renew it with each heartbeat of aiokafka's group coordinator."""
        beat = coordinator._do_heartbeat

        async def do_heartbeat() -> bool:
            asked_at = self._clock()
            confirmed: bool = await beat()
            if confirmed:
                self.renew(asked_at)
            return confirmed

        coordinator._do_heartbeat = do_heartbeat

    def check(self) -> None:
        """Raises Retry while Kafka has not confirmed it for too long."""
        if self._clock() > self._until:
            raise Retry("Kafka has heard nothing of this worker for a session: its work may be another's by now")
