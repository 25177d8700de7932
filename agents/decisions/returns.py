"""What a mail that came back makes known of the email that it is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.decisions.mail.verdict import MailVerdict, Recipient
from schemas.events import AutoReplied, Bounced, Complained, EmailEvent, Replied, Unsubscribed, to_ms
from schemas.tokens import BadToken, Keyring, Purpose, event_id

MAX_TEXT = 20_000  # characters of a reply that are kept; a longer one is hardly read
# Feedback types that no person pressed a button for, or that take a complaint back (RFC 5965, 7.3; RFC 6591; RFC 6430).
_NO_COMPLAINTS = frozenset(("auth-failure", "dmarc", "not-spam"))
MAX_ADDRESS_DAYS = 30  # a mail with no token is taken to answer an email of so many days back at the most


@dataclass(frozen=True, slots=True)
class Email:
    """An email that was sent. `address` is the keyed hash of where it went, empty when nobody knows."""

    delivery_id: str
    campaign: str
    step: int
    variant: str
    lead: str
    sender: str
    address: str = ""


def may_be_inferred(verdict: MailVerdict) -> bool:
    """Whether the sender's address may say which email it answers. Reports need proof: anybody can forge one."""
    return verdict.kind in ("reply", "auto_reply") and bool(verdict.sender)


def unsubscribe_of(verdict: MailVerdict, keyring: Keyring, *, at: datetime, digest: str) -> Unsubscribed | None:
    """The event of a mail that a client wrote to the address in List-Unsubscribe (RFC 2369), its subject the email's
    unsubscribe token. None for any other mail."""
    token = "".join(verdict.subject.split())  # a long subject is folded on its way
    try:
        claim = keyring.verify(Purpose.UNSUBSCRIBE, token)
    except BadToken:
        return None
    delivery = str(claim.delivery_id)
    return Unsubscribed(
        id=str(event_id(delivery, f"unsubscribe\x1f{verdict.message_id or digest}")),
        at=to_ms(at),
        delivery_id=delivery,
        campaign=claim.campaign,
        step=claim.step,
        variant=claim.variant,
        lead=claim.lead,
        via="mail",
    )


def event_of(
    verdict: MailVerdict,
    email: Email,
    matched_by: str,
    *,
    at: datetime,
    digest: str,
    address_ids: Callable[[str], Sequence[str]],
) -> EmailEvent | None:
    """The event, or None for a mail of no consequence. `at` is when the mail arrived; `digest` is its content's, for
    mails without a Message-ID.

    The id goes by email, kind and mail: the same mail read twice, or in two mailboxes, is one event.
    """
    kind = "bounce" if verdict.kind == "bounce" else verdict.kind
    of: dict[str, Any] = {
        "id": str(event_id(email.delivery_id, f"{kind}\x1f{verdict.message_id or digest}")),
        "at": to_ms(at),
        "delivery_id": email.delivery_id,
        "campaign": email.campaign,
        "step": email.step,
        "variant": email.variant,
        "lead": email.lead,
        "sender": email.sender,
        "message_id": _text(verdict.message_id, 1000),
        "matched_by": matched_by,
    }
    subject = _text(verdict.subject, 1000)
    match verdict.kind:
        case "reply":
            return Replied(**of, subject=subject, text=_text(verdict.text, MAX_TEXT))
        case "auto_reply":
            return AutoReplied(**of, subject=subject)
        case "complaint":
            told = verdict.recipients[0].category if verdict.recipients else ""
            if told in _NO_COMPLAINTS:
                return None
            return Complained(**of, category=_text(told, 64) or "abuse")
        case "bounce":
            failed = concerned(verdict.recipients, email.address, address_ids)
            return Bounced(
                **of,
                bounce_class=failed.bounce_class,
                category=failed.category,
                status=_text(failed.status, 32),
                diagnostic=_text(failed.diagnostic, 500),
                via="report",
            )
        case _:
            return None


def concerned(recipients: Sequence[Recipient], address: str, address_ids: Callable[[str], Sequence[str]]) -> Recipient:
    """Whom of a report the email went to: who has its address; else the first, whom it was forwarded to.

    A report that names nobody says that the email bounced, and no more.
    """
    for recipient in recipients:
        if address and address in address_ids(recipient.address):
            return recipient
    return recipients[0] if recipients else Recipient(address="")


def _text(text: str, most: int) -> str:
    """Text that any JSON encoder takes, of so many characters at the most."""
    return text[:most].encode("utf-8", "replace").decode()
