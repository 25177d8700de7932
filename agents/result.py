"""What came of one request."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from schemas.attempts import Attempt, Wait, Waiting
from schemas.errors import Reject
from schemas.events import Delivery, EmailEvent, Send


@dataclass(slots=True)
class Result:
    """Events and records to publish, or a reason to set the request aside. `waited` is how it waited until now.

    `attempt` and `waiting` are to be written after the rest: they say that it was written. `unfinished` means that the
    program stops, or the partitions went, and the request has not been carried out: don't acknowledge it.
    """

    send: Send
    waited: Wait | None = None
    events: list[EmailEvent] = field(default_factory=list)
    delivery: Delivery | None = None
    attempt: Attempt | None = None
    waiting: Waiting | None = None
    dead: Reject | None = None
    unfinished: bool = False

    @property
    def attempts(self) -> int:
        """How many were made before."""
        return 0 if self.waited is None else self.waited.attempt

    def first_at(self, now: datetime) -> datetime:
        """When the first attempt was. Waiting that was not the mail server's wish does not count as retrying."""
        waited = self.waited
        if waited is None or not waited.attempt:
            return now
        return waited.first_at if waited.state == "deferred" else waited.first_at + (now - waited.at)
