"""Mailboxes that refuse a mail by a disposition notification instead of a delivery status (Sieve, RFC 5429, 2.1.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from decisions.mail.addresses import addresses
from decisions.mail.bounce.category import Category
from decisions.mail.bounce.recipients import FoundRecipient, refused
from decisions.mail.bounce.refusal import Assessment, assess
from decisions.mail.bounce.words import read_words
from decisions.mail.evidence import KIND, Evidence, Proof, prove
from decisions.mail.parts import MimePart, parse_headers
from decisions.mail.returned import ReturnedMail
from decisions.mail.signs import find, folded

_MOST_RECIPIENTS = 20
_REFUSED = Category("block", "recipient-refused")
# Not displayed nor processed (RFC 8098, 3.2.6.2; RFC 2298 has denied and failed too).
_NOT_TAKEN = re.compile(r"\b(?:deleted|denied|failed)\b", re.IGNORECASE)
_REJECTED = re.compile(r"\breject(?:ed)?\b", re.IGNORECASE)

# Outlook's "deleted without being read" has the same disposition, so that alone proves nothing.
PROOFS = (
    Proof("auto-submitted-rejected", ("auto-submitted", "not-taken")),
    Proof(
        "rejected-in-words",
        ("not-taken", "refused-words", "nobody-deleted-it"),
        ("refused-subject", "null-return-path"),
    ),
)


def rejection(
    mail: MimePart, report: ReturnedMail, subject: str
) -> tuple[str, list[FoundRecipient], tuple[Evidence, ...]]:
    """The name of the proof that a notification refuses our mail, who did, and its signs; "" for any other mail."""
    seen = _SeenNotification(mail, report, subject)
    if not seen.fields:
        return "", [], ()
    name, signs = prove(PROOFS, lambda sign: _SIGNS[sign](seen))
    if not name:
        return "", [], ()
    found = [
        refused(address, _assessed(report.words), report.words, (Evidence(address, "disposition-notification"),))
        for address in seen.recipients[:_MOST_RECIPIENTS]
    ]
    return name, found or read_words(report, mail, subject), tuple(Evidence(KIND, sign, at) for sign, at in signs)


@dataclass(frozen=True)
class _SeenNotification:
    """What the signs look at. Each says where it is found, "" for nowhere."""

    mail: MimePart
    report: ReturnedMail
    subject: str

    @cached_property
    def fields(self) -> dict[str, str]:
        """The fields of the notification, their names in lower case; none where the mail has no notification."""
        for part in self.mail.walk():
            if part.content_type == "message/disposition-notification":
                return dict(reversed(parse_headers(part.text().lstrip().encode("utf-8", "replace"))[0]))
        return {}

    @property
    def recipients(self) -> list[str]:
        """Whom we wrote to, else who has it."""
        named = (addresses(self.fields.get(name, "")) for name in ("original-recipient", "final-recipient"))
        return next(filter(None, named), [])

    @property
    def not_taken(self) -> str:
        found = _NOT_TAKEN.search(self.fields.get("disposition", "").partition(";")[2])
        return f"disposition: {found[0]}" if found else ""

    @property
    def auto_submitted(self) -> str:
        """ "auto-replied (rejected)", as Dovecot and others write."""
        return "auto-submitted: rejected" if _REJECTED.search(self.mail.get("auto-submitted")) else ""

    @property
    def null_return_path(self) -> str:
        return "return-path" if self.mail.get("return-path").strip() == "<>" else ""


_SIGNS: dict[str, Callable[[_SeenNotification], str]] = {
    "auto-submitted": lambda seen: seen.auto_submitted,
    "not-taken": lambda seen: seen.not_taken,
    "refused-words": lambda seen: _found("refused-words", folded(seen.report.words)),
    "refused-subject": lambda seen: _found("refused-subject", seen.subject),
    "nobody-deleted-it": lambda seen: "" if find("unread", folded(seen.report.words)) else "not deleted by a reader",
    "null-return-path": lambda seen: seen.null_return_path,
}


def _assessed(words: str) -> Assessment:
    """What the words say; a recipient who gives any other reason refuses us."""
    told = assess(words)
    if told.category.bounce_class != "unknown":
        return told
    return replace(told, category=_REFUSED, rule="rejected-by-the-recipient", phrase="")


def _found(sign: str, text: str) -> str:
    found = find(sign, text)
    return f"{found.place}: {found.words}" if found else ""
