"""A request to send an email, and its outcome. Both are values: a step returns an outcome, and changes none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.errors import Reject
from schemas.events import Delivery, EmailEvent, Send
from schemas.state.attempts import Attempt, Wait, Waiting


@dataclass(frozen=True, slots=True)
class SendTask:
    """One email to send. `waited` is how it waited until now, None for one that has just come."""

    send: Send
    waited: Wait | None = None

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


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What came of a request, to be published: events and records, or `dead`, the reason to set it aside.

    `word` is what it is counted as: delivered, told-again, bounced, replayed, skipped-REASON, rejected, or the state it
    waits in.
    """

    request: SendTask
    word: str
    events: Sequence[EmailEvent] = ()
    delivery: Delivery | None = None
    attempt: Attempt | None = None
    waiting: Waiting | None = None
    dead: Reject | None = None

    @property
    def send(self) -> Send:
        return self.request.send

    @property
    def waited(self) -> Wait | None:
        return self.request.waited

    @property
    def refused(self) -> bool:
        """Its mail server said no: it did not take it, and may be asked again."""
        return self.attempt is not None and self.attempt.outcome in ("bounce", "deferred")

    @property
    def unfinished(self) -> bool:
        """The program stops, or the partitions went, and the request was not carried out: don't acknowledge it."""
        return self.word == _UNFINISHED


_UNFINISHED = "unfinished"


def unfinished(request: SendTask) -> SendOutcome:
    """No outcome yet: the next worker that reads the request carries it out."""
    return SendOutcome(request, _UNFINISHED)


def set_aside(request: SendTask, why: Reject) -> SendOutcome:
    """It can't be carried out, now or later: it becomes a dead letter."""
    return SendOutcome(request, "rejected", dead=why)
