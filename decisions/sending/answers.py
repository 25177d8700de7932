"""A mail server's answer to one email, and the events derived from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from msgspec import structs

from decisions.mail.bounce.category import Stage
from decisions.mail.bounce.refusal import categorise
from schemas.addresses import mailbox
from schemas.events import Bounced, Deferred, Delivered, Delivery, EmailEvent, Send, Sent, Skipped, Unanswered, to_ms
from schemas.state.attempts import Attempt
from schemas.tokens import Keyring, event_id_text


@dataclass(frozen=True, slots=True)
class SmtpAccepted:
    """The server took the email and answers for it from now on. Times are those of MAIL FROM and of the 250."""

    started_at: datetime
    at: datetime
    response: str


@dataclass(frozen=True, slots=True)
class SmtpRefused:
    """The server said no: for good (5xx) or for now (4xx). `status` is the enhanced code, or the SMTP code."""

    started_at: datetime
    at: datetime
    permanent: bool
    code: int
    status: str
    diagnostic: str
    stage: Stage


def is_final(answer: SmtpRefused) -> bool:
    """Whether a refusal is for good: a 5xx, but for a full mailbox, which is emptied some day (552, 5.2.2)."""
    told = categorise(answer.code, answer.status, answer.diagnostic, answer.stage)
    return answer.permanent and told.category != "mailbox-full"


class AttemptedEmail(Protocol):
    """What the events record of an email that was handed to its server."""

    @property
    def envelope_to(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def sender(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def pixel(self) -> bool | None: ...
    @property
    def wrapped_links(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An `AttemptedEmail` that is gone from memory, restored from its request and its attempt."""

    envelope_to: str
    message_id: str
    sender: str
    address: str
    pixel: bool | None
    wrapped_links: int | None


def left(send: Send, message_id: str, sender: str, keyring: Keyring) -> PastAttempt:
    """What is known of an email that left. Without HTML it has no pixel; what else was put into it is not kept."""
    to = mailbox(send.to).address
    return PastAttempt(to, message_id, sender, keyring.address_ids(to)[0], None if send.html else False, None)


def attempted(send: Send, attempt: Attempt, keyring: Keyring) -> PastAttempt:
    """What is known of the email of an attempt, all that its events record."""
    known = left(send, attempt.message_id, attempt.sender, keyring)
    if attempt.pixel is None:
        return known
    return replace(known, pixel=attempt.pixel, wrapped_links=attempt.wrapped_links)


def delivered(
    send: Send, mail: AttemptedEmail, answer: SmtpAccepted, attempt: int
) -> tuple[list[EmailEvent], Delivery]:
    """Sent and Delivered, and the record that the timing rule and the duplicate check read."""
    events: list[EmailEvent] = [
        _sent(send, mail, answer.started_at, attempt),
        Delivered(**_of(send, "delivered", answer.at), sender=mail.sender, request_id=send.request_id),
    ]
    return events, Delivery(delivery_id=send.delivery_id, request_id=send.request_id, at=to_ms(answer.at))


def bounced(send: Send, mail: AttemptedEmail, answer: SmtpRefused, attempt: int) -> list[EmailEvent]:
    """Sent and Bounced, for a final refusal."""
    category = categorise(answer.code, answer.status, answer.diagnostic, answer.stage)
    return [
        _sent(send, mail, answer.started_at, attempt),
        Bounced(
            **_of(send, "bounce", answer.at),
            sender=mail.sender,
            bounce_class=category.bounce_class,
            category=category.category,
            status=answer.status,
            diagnostic=answer.diagnostic,
        ),
    ]


def deferred(send: Send, mail: AttemptedEmail, answer: SmtpRefused, attempt: int) -> Deferred:
    """Not now, for the attempt of that number."""
    return Deferred(
        **_of(send, f"deferred\x1f{attempt}", answer.at),
        sender=mail.sender,
        status=answer.status,
        diagnostic=answer.diagnostic,
        attempt=attempt,
    )


def unanswered(send: Send, attempt: Attempt) -> Unanswered:
    """The outcome of that attempt is unknown."""
    return Unanswered(
        **_of(send, f"unanswered\x1f{attempt.attempt}", attempt.at),
        sender=attempt.sender,
        request_id=attempt.request_id,
        message_id=attempt.message_id,
        attempt=attempt.attempt,
    )


def skipped(send: Send, reason: str, at: datetime) -> Skipped:
    """Not sent. Its cause is the request, not the delivery, which another request may well have sent."""
    of = _of(send, "skipped", at)
    return Skipped(**{**of, "id": event_id_text(send.request_id, "skipped")}, reason=reason)


def _sent(send: Send, mail: AttemptedEmail, at: datetime, attempt: int) -> Sent:
    return Sent(
        **_of(send, "sent", at),
        sender=mail.sender,
        recipient_domain=mail.envelope_to.rpartition("@")[2],
        message_id=mail.message_id,
        request_id=send.request_id,
        attempt=attempt,
        address=mail.address,
        pixel=mail.pixel,
        wrapped_links=mail.wrapped_links,
    )


def with_recipient(events: Sequence[EmailEvent], to: str) -> list[EmailEvent]:
    """The events, with the address that the email went to in its sent event."""
    return [
        structs.replace(event, recipient=mailbox(to).address) if isinstance(event, Sent) else event for event in events
    ]


def _of(send: Send, cause: str, at: datetime) -> dict[str, Any]:
    """What every event says of this email."""
    return {
        "id": event_id_text(send.delivery_id, cause),
        "at": to_ms(at),
        "delivery_id": send.delivery_id,
        "campaign": send.campaign,
        "step": send.step,
        "variant": send.variant,
        "lead": send.lead,
    }
