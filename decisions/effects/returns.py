"""What a mail that came back makes known of the email that it is about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from decisions.mail.complaints import BY_MACHINES
from decisions.mail.verdict import MailVerdict, Recipient, StopRequest
from schemas.events import AutoReplied, Bounced, Complained, EmailEvent, Replied, Unsubscribed, to_ms
from schemas.text import one_line, some_lines
from schemas.tokens import PROBE, BadToken, Claim, Keyring, Purpose, event_id

MAX_TEXT = 20_000  # characters of a reply that are kept; a longer one is hardly read
MAX_ADDRESS_DAYS = 30  # a mail with no token is taken to answer an email of so many days back at the most


@dataclass(frozen=True, slots=True)
class SentEmail:
    """An email that was sent. `address` is the keyed hash of where it went, empty when nobody knows."""

    delivery_id: str
    campaign: str
    step: int
    variant: str
    lead: str
    sender: str
    address: str = ""


def may_be_inferred(verdict: MailVerdict) -> bool:
    """Whether the sender's address may say which email it answers. Reports need proof: anybody can forge one; and the
    address of a mail that failed DMARC is somebody else's."""
    return verdict.kind in ("reply", "auto_reply") and bool(verdict.sender) and not verdict.dmarc_failed


def ignored_for(verdict: MailVerdict) -> str:
    """Why a mail of which no event came makes nothing known, in a word for a metric."""
    match verdict.kind:
        case "reply" | "auto_reply" if verdict.dmarc_failed:
            return "dmarc-fail"
        case "reply" | "auto_reply":
            return "unknown-sender"
        case "bounce" | "complaint":
            return verdict.reason if verdict.reason in BY_MACHINES else "no-token"
        case _:
            return verdict.reason


def is_probe(verdict: MailVerdict, keyring: Keyring) -> bool:
    """Whether a mail is one that we sent to ourselves to see that it comes, or is about one: a bounce or an automatic
    answer to it. Its token says so, which nobody else can make."""
    if verdict.match is not None and verdict.match.delivery_id == str(PROBE):
        return True
    wish = _wish(verdict, keyring)
    return wish is not None and wish.delivery_id == PROBE


def _wish(verdict: MailVerdict, keyring: Keyring) -> Claim | None:
    """What the unsubscribe token in a mail's subject says; None where there is none."""
    try:
        return keyring.verify(Purpose.UNSUBSCRIBE, "".join(verdict.subject.split()))  # a long one is folded on its way
    except BadToken:
        return None


def unsubscribe_of(verdict: MailVerdict, keyring: Keyring, *, at: datetime, digest: str) -> Unsubscribed | None:
    """The event of a mail that a client wrote to the address in List-Unsubscribe (RFC 2369), its subject the email's
    unsubscribe token. None for any other mail."""
    claim = _wish(verdict, keyring)
    if claim is None:
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
    email: SentEmail,
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
        "message_id": _line(verdict.message_id, 1000),
        "matched_by": matched_by,
    }
    match verdict.kind:
        case "reply":
            asked = {} if verdict.stop is None else _asked(verdict.stop)
            return Replied(**of, **_written(verdict), **asked)
        case "auto_reply":
            return AutoReplied(**of, **_written(verdict))
        case "complaint":
            if verdict.reason in BY_MACHINES:
                return None
            told = verdict.recipients[0].category if verdict.recipients else ""
            return Complained(**of, category=_line(told, 64) or "abuse")
        case "bounce":
            failed = concerned(verdict.recipients, email.address, address_ids)
            return Bounced(
                **of,
                bounce_class=failed.bounce_class,
                category=failed.category,
                status=_line(failed.status, 32),
                diagnostic=_line(failed.diagnostic, 500),
                via="report",
            )
        case _:
            return None


def _written(verdict: MailVerdict) -> dict[str, Any]:
    """Who answered, and what."""
    return {
        "subject": _line(verdict.subject, 1000),
        "text": some_lines(_text(verdict.text, MAX_TEXT)),
        "from_address": _line(verdict.sender, 320),
    }


def _asked(stop: StopRequest) -> dict[str, Any]:
    return {"asks_to_stop": True, "stop_phrase": _line(stop.phrase, 200), "stop_line": stop.line}


def concerned(recipients: Sequence[Recipient], address: str, address_ids: Callable[[str], Sequence[str]]) -> Recipient:
    """Whom of a report the email went to: who has its address; else the first, whom it was forwarded to.

    A report that names nobody says that the email bounced, and no more.
    """
    for recipient in recipients:
        if address and address in address_ids(recipient.address):
            return recipient
    return recipients[0] if recipients else Recipient(address="")


def _line(text: str, most: int) -> str:
    return one_line(_text(text, most))


def _text(text: str, most: int) -> str:
    """Text that any JSON encoder takes, of so many characters at the most."""
    return text[:most].encode("utf-8", "replace").decode()
