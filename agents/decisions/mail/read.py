"""`read_mail`: what a raw mail is, whom it speaks of, what its writer wrote, and which delivery it belongs to.

Pure, and total: any bytes give a verdict, broken and hostile ones too. What costs time is bounded in `parts.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.decisions.mail import dsn
from agents.decisions.mail.addresses import first_address
from agents.decisions.mail.automatic import asks_something, automatic, bulk, by_program, receipt_or_invitation
from agents.decisions.mail.bounces import read_statuses, read_words
from agents.decisions.mail.charsets import decode_words
from agents.decisions.mail.complaints import complaint
from agents.decisions.mail.matching import match
from agents.decisions.mail.notifications import notification
from agents.decisions.mail.parts import Part, parse
from agents.decisions.mail.returned import Report, report
from agents.decisions.mail.signs import shows
from agents.decisions.mail.verdict import MailKind, MailVerdict, Recipient
from agents.decisions.mail.visible import has_quote, visible_text
from schemas.tokens import Keyring

MAX_MAIL = 25 << 20  # bytes; what the large providers take at the most (Gmail: 25 MB)


@dataclass(frozen=True, slots=True)
class _Read:
    kind: MailKind
    reason: str
    recipients: tuple[Recipient, ...] = ()


def read_mail(raw: bytes, keyring: Keyring | None = None) -> MailVerdict:
    """Read one mail as it came from the mailbox. Without a keyring nothing is matched. Never raises.

    A mail over `MAX_MAIL` bytes is read up to there; whoever wants to refuse it does so before.
    """
    mail = parse(raw[:MAX_MAIL])
    subject = decode_words(mail.get("subject"))
    told = report(mail)
    found = match(mail, told.returned, keyring)
    read = _kind(mail, told, subject, matched=found is not None)
    return MailVerdict(
        kind=read.kind,
        reason=read.reason,
        recipients=read.recipients,
        text=visible_text(mail) if read.kind in ("reply", "auto_reply", "other") else "",
        match=found,
        sender=first_address(decode_words(mail.get("from"))),
        subject=subject[:1000],
        message_id=mail.get("message-id").strip().strip("<>")[:1000],
    )


def _kind(mail: Part, told: Report, subject: str, *, matched: bool) -> _Read:
    sender = decode_words(mail.get("from"))
    notified = notification(told.words)
    if notified is not None:
        return _Read(*notified)
    complained = complaint(mail, told, sender, subject)
    if complained is not None:
        return _Read("complaint", complained.reason, complained.recipients)
    statuses = dsn.statuses(mail, told.words)
    machine_readable = statuses is not None or mail.parameters.get("report-type", "").lower() == "delivery-status"
    if not machine_readable or not statuses:
        other = receipt_or_invitation(mail, subject, told.words)
        if other:
            return _Read("other", other)
    if statuses:
        recipients = read_statuses(statuses, told, mail)
        if recipients:
            return _of_actions(statuses, tuple(recipients), subject)
    reason = "delivery-status" if machine_readable else _bounce_sign(mail, told, sender, subject)
    if reason:
        recipients = read_words(told, mail, subject)
        if shows("delivered", subject):
            return _Read(
                "delivery_report",
                "delivered-subject",
                tuple(Recipient(address=r.address, category="delivered") for r in recipients),
            )
        if shows("delay", subject):
            return _Read("delivery_report", "delay-subject", tuple(_delayed(r) for r in recipients))
        if recipients or machine_readable:
            return _Read("bounce", reason, tuple(recipients))
    return _written(mail, told, subject, matched=matched)


def _delayed(recipient: Recipient) -> Recipient:
    if recipient.bounce_class == "soft":
        return recipient
    return Recipient(
        address=recipient.address,
        bounce_class="soft",
        category="delayed",
        status=recipient.status,
        diagnostic=recipient.diagnostic,
    )


def _of_actions(statuses: list[dsn.Status], recipients: tuple[Recipient, ...], subject: str) -> _Read:
    """A report in which anybody failed is a bounce; the others say that the mail waits or has arrived."""
    actions = {status.action for status in statuses}
    waiting = {"delayed", "deferred", "warning", "delivered", "relayed", "expanded", "deliverable"}
    if actions and actions <= waiting:
        return _Read("delivery_report", "delivery-status", recipients)
    if not any(actions) and all(status.status.startswith("2") for status in statuses):
        return _Read("delivery_report", "delivery-status", recipients)
    return _Read("bounce", "delivery-status", recipients)


def _bounce_sign(mail: Part, told: Report, sender: str, subject: str) -> str:
    """The sign of a bounce in words, or "". One sign alone is never enough: people write about failures too."""
    if mail.get("x-failed-recipients"):
        return "x-failed-recipients"
    address = first_address(sender)
    name = sender.replace(f"<{address}>", "") if address else sender
    by_sender = shows("bounce-sender", address) or shows("bounce-sender", name)
    answered = shows("reply-prefix", subject)
    by_subject = not answered and (
        shows("bounce-subject", subject) or shows("delay", subject) or shows("delivered", subject)
    )
    by_words = shows("bounce-words", told.words)
    empty = mail.get("return-path").strip() in ("<>", "<MAILER-DAEMON>") or mail.get("x-envelope-from").strip() == "<>"
    if by_sender and (by_subject or by_words):
        return "bounce-sender"
    by_machine = empty or told.returned is not None or not (mail.get("in-reply-to") or asks_something(told.words))
    if by_subject and by_words and by_machine:
        return "bounce-subject"
    if empty and by_words and told.returned is not None:
        return "null-return-path"
    return ""


def _written(mail: Part, told: Report, subject: str, *, matched: bool) -> _Read:
    """Replies, automatic ones, and what is neither."""
    answered = automatic(mail, subject, told.words)
    if answered:
        return _Read("auto_reply", answered)
    sign = bulk(mail)
    if sign and not matched:
        return _Read("other", sign)
    if matched:
        return _Read("reply", "token")
    for name in ("in-reply-to", "references"):
        if mail.get(name):
            return _Read("reply", name)
    if shows("reply-prefix", subject):
        return _Read("reply", "reply-subject")
    if has_quote(mail):
        return _Read("reply", "quote")
    if by_program(mail):
        return _Read("other", "program")
    if any(part.content_type == "message/rfc822" for part in mail.walk()):
        return _Read("other", "forwarded")
    # Some write to us anew instead of answering. Whether it is a lead's is for who matches the sender to say.
    if first_address(decode_words(mail.get("from"))):
        return _Read("reply", "person")
    return _Read("other", "no-sign-of-a-person")
