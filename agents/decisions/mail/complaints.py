"""Complaints: abuse reports (RFC 5965) and those of providers that follow it loosely or not at all."""

from __future__ import annotations

import re

import msgspec

from agents.decisions.mail.addresses import addresses, first_address
from agents.decisions.mail.freetext import recipients_of
from agents.decisions.mail.parts import Part, parse_headers
from agents.decisions.mail.returned import Report
from agents.decisions.mail.signs import shows
from agents.decisions.mail.verdict import Recipient

_NOT_COMPLAINTS = frozenset({"not-spam", "notspam", "ham"})
_MOST = 100
_FEEDBACK_TYPE = re.compile(r"^[ \t>]{0,4}Feedback-Type[ \t]*:[ \t]*([A-Za-z-]{1,40})", re.IGNORECASE | re.MULTILINE)
_JSON_START = re.compile(r"\{\s*\"")


class Feedback(msgspec.Struct, frozen=True):
    """A complaint's sign, its type, and whom it names."""

    reason: str
    recipients: tuple[Recipient, ...]


def complaint(mail: Part, report: Report, sender: str, subject: str) -> Feedback | None:
    """The complaint this mail is, or None. `sender` is its From, decoded."""
    for part in mail.walk():
        if part.content_type in ("message/feedback-report", "text/x-feedback-report"):
            fields, _ = parse_headers(part.text().lstrip().encode("utf-8", "replace"))
            return _by_fields(fields, report, "feedback-report")
    kind = mail.parameters.get("report-type", "").lower()
    if kind == "feedback-report":
        return _feedback("abuse", _named(report, ""), "feedback-report")
    if "x-xarf" in (name for name, _ in mail.headers):
        return _feedback("abuse", _named(report, report.words), "x-arf")
    if kind in ("delivery-status", "disposition-notification"):
        return None
    local = first_address(sender).lower()
    if mail.get("x-apple-unsubscribe").lower() == "true":
        return _feedback(
            "opt-out", tuple(_recipient(a, "opt-out") for a in addresses(mail.get("from"))), "apple-unsubscribe"
        )
    typed = _FEEDBACK_TYPE.search(report.words)
    if typed:
        if typed[1].lower() in _NOT_COMPLAINTS:
            return None
        return _feedback(typed[1].lower(), _named(report, report.words), "feedback-words")
    signs = [
        shows("complaint-subject", subject),
        shows("complaint-sender", local),
        shows("complaint-words", report.words[:4000]),
    ]
    if report.returned is not None and sum(signs) >= 1 and (signs[0] or signs[1]) and not shows("bounce-sender", local):
        return _feedback("abuse", _named(report, report.words), "complaint-words")
    if sum(signs) >= 2:
        return _feedback("abuse", _named(report, report.words), "complaint-words")
    return None


def _by_fields(fields: list[tuple[str, str]], report: Report, reason: str) -> Feedback | None:
    kind = next((value.strip().lower() for name, value in fields if name == "feedback-type"), "abuse")
    if kind in _NOT_COMPLAINTS:
        return None
    named = [
        address
        for name, value in fields
        if name in ("original-rcpt-to", "removal-recipient", "original-recipient", "final-recipient")
        for address in addresses(value)
    ]
    recipients = tuple(_recipient(address, kind) for address in dict.fromkeys(named[:_MOST]))
    return _feedback(kind, recipients or _named(report, ""), reason)


def _named(report: Report, words: str) -> tuple[Recipient, ...]:
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
    return Feedback(reason, tuple(msgspec.structs.replace(each, category=kind) for each in recipients))
