"""The seam between the sender and a way to send: SMTP today (agents/transport/smtp.py), a provider's API could
be.

An answer is a value: Accepted or Refused. No answer is raised: Retry when the transport can't be reached, Dropped when
it went silent in the middle of an email.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

from decisions.mail.bounce.category import Stage
from decisions.sending.answers import SmtpAccepted, SmtpRefused
from schemas.errors import Retry


class ConnectionDropped(Retry):
    """The transport was reached but gave no answer to this email. `whole`: it had been sent all of it, so it may even
    have taken it."""

    def __init__(self, why: str, stage: Stage, started_at: datetime, *, whole: bool = False) -> None:
        super().__init__(why)
        self.stage = stage
        self.started_at = started_at
        self.whole = whole


class NotPrepared(Retry):
    """What must be done before an email's content goes out could not be: nothing went out."""


class Transport(Protocol):
    """The way out for one account's mail. Its connections stay open between emails."""

    async def deliver(
        self,
        envelope_from: str,
        envelope_to: str,
        message: bytes,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> SmtpAccepted | SmtpRefused:
        """Hand over one email. `message` has CR LF line ends.

        `prepare` is begun with the transaction, and the content goes out only after it has returned; what it raises is
        raised as NotPrepared. Raises Retry or ConnectionDropped otherwise.
        """
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
