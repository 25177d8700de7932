"""Complaints: abuse reports (RFC 5965) and those of providers that follow it loosely or not at all."""

from __future__ import annotations

import re

import msgspec

from decisions.mail.addresses import addresses, first_address
from decisions.mail.bounce.freetext import recipients_of
from decisions.mail.parts import MimePart, parse_headers
from decisions.mail.returned import ReturnedMail
from decisions.mail.signs import shows
from decisions.mail.verdict import Recipient

# Feedback types that take a complaint back (RFC 6430), and those that no person pressed a button for (RFC 6591, 7489).
TAKEN_BACK = frozenset({"not-spam", "notspam", "ham"})
BY_MACHINES = frozenset({"auth-failure", "dmarc"})
_MOST = 100
_FEEDBACK_TYPE = re.compile(r"^[ \t>]{0,4}Feedback-Type[ \t]*:[ \t]*([A-Za-z-]{1,40})", re.IGNORECASE | re.MULTILINE)
_TYPE = re.compile(r"\s*+([A-Za-z-]{1,40})")


class Feedback(msgspec.Struct, frozen=True):
    """A feedback report's sign, and whom it names."""

    reason: str
    recipients: tuple[Recipient, ...]


def complaint(mail: MimePart, report: ReturnedMail, sender: str, subject: str) -> Feedback | None:
    """The feedback report this mail is, or None. One of a type in TAKEN_BACK or BY_MACHINES is no complaint, its
    type is its reason. `sender` is the mail's From, decoded."""
    for part in mail.walk():
        if part.content_type in ("message/feedback-report", "text/x-feedback-report"):
            fields, _ = parse_headers(part.text().lstrip().encode("utf-8", "replace"))
            return _by_fields(fields, report, "feedback-report")
    typed = _FEEDBACK_TYPE.search(report.words)
    told = typed[1].lower() if typed else "abuse"
    kind = mail.parameters.get("report-type", "").lower()
    if kind == "feedback-report":  # its fields stand in a part of another type, if anywhere
        return _feedback(told, _named(report, ""), "feedback-report")
    if "x-xarf" in (name for name, _ in mail.headers):
        return _feedback("abuse", _named(report, report.words), "x-arf")
    if kind in ("delivery-status", "disposition-notification"):
        return None
    if mail.get("x-apple-unsubscribe").lower() == "true":
        opted_out = tuple(_recipient(address, "opt-out") for address in addresses(mail.get("from")))
        return _feedback("opt-out", opted_out, "apple-unsubscribe")
    if typed:
        return _feedback(told, _named(report, report.words), "feedback-words")
    if _is_in_words(report, first_address(sender).lower(), subject):
        return _feedback("abuse", _named(report, report.words), "complaint-words")
    return None


def _is_in_words(report: ReturnedMail, local: str, subject: str) -> bool:
    """Whether two signs of three say so, or one that is not the words' with a mail returned by no mail server."""
    by_subject, by_sender = shows("complaint-subject", subject), shows("complaint-sender", local)
    if by_subject + by_sender + shows("complaint-words", report.words) >= 2:
        return True
    return (by_subject or by_sender) and report.returned is not None and not shows("bounce-sender", local)


def _by_fields(fields: list[tuple[str, str]], report: ReturnedMail, reason: str) -> Feedback:
    told = next((value for name, value in fields if name == "feedback-type"), "")
    typed = _TYPE.match(told)
    kind = typed[1].lower() if typed else "abuse"
    named = [
        address
        for name, value in fields
        if name in ("original-rcpt-to", "removal-recipient", "original-recipient", "final-recipient")
        for address in addresses(value)
    ]
    recipients = tuple(_recipient(address, kind) for address in dict.fromkeys(named[:_MOST]))
    return _feedback(kind, recipients or _named(report, ""), reason)


def _named(report: ReturnedMail, words: str) -> tuple[Recipient, ...]:
    """Whom the reported mail went to, by its own headers."""
    returned = report.returned
    if returned is not None:
        for name in ("x-hmxmroriginalrecipient", "x-original-to", "delivered-to", "to"):
            found = [address for value in returned.all(name)[:10] for address in addresses(value)]
            if found:
                return tuple(_recipient(address, "abuse") for address in found[:_MOST])
    return tuple(_recipient(address, "abuse") for address in list(recipients_of(returned).values())[:_MOST])


def _recipient(address: str, kind: str) -> Recipient:
    return Recipient(address=address, category=kind)


def _feedback(kind: str, recipients: tuple[Recipient, ...], reason: str) -> Feedback:
    reason = kind if kind in TAKEN_BACK | BY_MACHINES else reason
    return Feedback(reason, tuple(msgspec.structs.replace(each, category=kind) for each in recipients))
