"""How long a worker may believe that its partitions are its own.

Kafka gives them to another worker once it has not heard a heartbeat for a session's time. A worker that was paused, or
cut off from its group's coordinator, does not notice: when it wakes, it goes on where it was, and would write and send
what another has done meanwhile. So nothing is written unless Kafka has confirmed the membership within that time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaTimeoutError

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

    def hold_back(self, sender: Any) -> None:
        """Have the sender of aiokafka's producer send nothing while Kafka has not confirmed it for too long.

        A worker is paused anywhere, also behind the check: what lay in its producer then would be written when it
        wakes, over what the partition's next owner has written meanwhile.
        """
        send = sender._send_produce_req

        async def send_produce_req(node: int, batches: dict[Any, Any]) -> None:
            if not self._is_over:
                await send(node, batches)
                return
            for tp, batch in batches.items():
                batch.failure(KafkaTimeoutError("held back: the partitions may be another worker's by now"))
                sender._muted_partitions.remove(tp)
            sender._in_flight.remove(node)

        sender._send_produce_req = send_produce_req

    @property
    def _is_over(self) -> bool:
        return self._clock() > self._until

    def check(self) -> None:
        """Raises Retry while Kafka has not confirmed it for too long."""
        if self._is_over:
            raise Retry("Kafka has heard nothing of this worker for a session: its work may be another's by now")
