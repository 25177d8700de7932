"""What kind of mail it is: rules in order, the first that speaks decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import msgspec

from decisions.mail.automatic import receipt_or_invitation
from decisions.mail.bounce import dsn
from decisions.mail.bounce.notifications import notification
from decisions.mail.bounce.proofs import bounce_proof
from decisions.mail.bounce.recipients import FoundRecipient
from decisions.mail.bounce.rejections import rejection
from decisions.mail.bounce.statuses import read_statuses
from decisions.mail.bounce.words import read_words
from decisions.mail.charsets import decode_words
from decisions.mail.complaints import TAKEN_BACK, complaint
from decisions.mail.evidence import KIND, Evidence
from decisions.mail.parts import MimePart
from decisions.mail.returned import ReturnedMail
from decisions.mail.signs import find, folded, shows
from decisions.mail.verdict import MailKind, Recipient
from decisions.mail.written import written_kind

_WAITING_OR_ARRIVED = frozenset({"delayed", "deferred", "warning", "delivered", "relayed", "expanded", "deliverable"})


@dataclass(frozen=True)
class MailFacts:
    """What the rules look at.

    `matched` is whether a token of ours proves which delivery the mail belongs to, `returned` whether it came to the
    return path that we gave that one.
    """

    mail: MimePart
    report: ReturnedMail
    subject: str
    matched: bool
    returned: bool = False

    @cached_property
    def sender(self) -> str:
        """From, decoded."""
        return decode_words(self.mail.get("from"))

    @cached_property
    def statuses(self) -> list[dsn.Status] | None:
        """The delivery status of each recipient; None when the mail has none at all."""
        return dsn.statuses(self.mail, self.report.words)

    @property
    def is_machine_readable(self) -> bool:
        """Whether it is a report by its form, even if it says nothing in it."""
        return self.statuses is not None or self.mail.parameters.get("report-type", "").lower() == "delivery-status"


@dataclass(frozen=True, slots=True)
class MailReading:
    """A mail's kind, the sign that decided it, whom the mail speaks of, and the evidence for all of that."""

    kind: MailKind
    reason: str
    recipients: tuple[Recipient, ...] = ()
    evidence: tuple[Evidence, ...] = ()


Rule = Callable[[MailFacts], MailReading | None]


def provider_notification(letter: MailFacts) -> MailReading | None:
    """A provider's JSON."""
    notified = notification(letter.report.words)
    return None if notified is None else MailReading(*notified)


def feedback_report(letter: MailFacts) -> MailReading | None:
    """A complaint, or one taken back."""
    feedback = complaint(letter.mail, letter.report, letter.sender, letter.subject)
    if feedback is None:
        return None
    return MailReading("other" if feedback.reason in TAKEN_BACK else "complaint", feedback.reason, feedback.recipients)


def rejected_by_mailbox(letter: MailFacts) -> MailReading | None:
    """A notification by which a mailbox refuses our mail, where no delivery status says more."""
    if letter.statuses:
        return None
    reason, found, signs = rejection(letter.mail, letter.report, letter.subject)
    return _of("bounce", reason, found, signs) if reason else None


def receipt(letter: MailFacts) -> MailReading | None:
    """A read receipt or a calendar's answer, if no delivery status says more."""
    if letter.statuses:
        return None
    sign = receipt_or_invitation(letter.mail, letter.subject, letter.report.words)
    return MailReading("other", sign) if sign else None


def delivery_status(letter: MailFacts) -> MailReading | None:
    """A report in which anybody failed is a bounce; the others say that the mail waits or has arrived."""
    statuses = letter.statuses or []
    found = read_statuses(statuses, letter.report, letter.mail)
    if not found:
        return None
    actions = {status.action for status in statuses}
    unsaid = not any(actions) and all(status.status.startswith("2") for status in statuses)
    kind: MailKind = "delivery_report" if actions <= _WAITING_OR_ARRIVED or unsaid else "bounce"
    return _of(kind, "delivery-status", found)


def report_in_words(letter: MailFacts) -> MailReading | None:
    """A bounce or a delivery report that says in words what it is."""
    reason: str = "delivery-status"
    signs: tuple[Evidence, ...] = ()
    if not letter.is_machine_readable:
        reason, signs = bounce_proof(
            letter.mail, letter.report, letter.sender, letter.subject, at_return_path=letter.returned
        )
    if not reason:
        return None
    found = read_words(letter.report, letter.mail, letter.subject)
    if shows("delivered", letter.subject):
        return _of("delivery_report", "delivered-subject", map(_delivered, found), signs)
    if (delayed := _says_delayed(letter)) is not None:
        return _of("delivery_report", delayed.name, map(_delayed, found), (*signs, delayed))
    return _of("bounce", reason, found, signs) if found or _is_certain(letter, signs) else None


def _says_delayed(letter: MailFacts) -> Evidence | None:
    """The sign that delivery goes on: the subject says so, or the words do and nothing in them has ended it."""
    if shows("delay", letter.subject):
        return Evidence(KIND, "delay-subject")
    words = folded(letter.report.words)
    found = find("delay-words", words)
    if found is None or shows("given-up", words):
        return None
    return Evidence(KIND, "delay-words", f"{found.place}: {found.words}")


def _is_certain(letter: MailFacts, signs: Iterable[Evidence]) -> bool:
    """Whether a bounce is one even if it names nobody: by its form, by sender and subject, or in so many words."""
    proven = {sign.name for sign in signs}
    if "reply-that-failed" in proven:
        return False
    words = folded(letter.report.words)
    if letter.is_machine_readable or {"sender", "subject"} <= proven:
        return True
    by_machine = proven & {"sender", "null-return-path", "return-path"}
    return shows("undelivered", words) or (bool(by_machine) and shows("nobody-there", words))


def written(letter: MailFacts) -> MailReading:
    """What is left was written by somebody, or by a program of theirs."""
    kind, reason, evidence = written_kind(
        letter.mail, letter.subject, letter.report.words, matched=letter.matched, returned=letter.returned
    )
    return MailReading(kind, reason, evidence=evidence)


RULES: tuple[Rule, ...] = (
    provider_notification,
    feedback_report,
    rejected_by_mailbox,
    receipt,
    delivery_status,
    report_in_words,
    written,
)


def decide(letter: MailFacts) -> MailReading:
    """The reading of the first rule that speaks, with the rule before its other evidence."""
    for rule in RULES:
        if (reading := rule(letter)) is not None:
            decided = Evidence(KIND, rule.__name__.replace("_", "-"), reading.reason)
            return MailReading(reading.kind, reading.reason, reading.recipients, (decided, *reading.evidence))
    raise AssertionError("the last rule always speaks")


def _of(kind: MailKind, reason: str, found: Iterable[FoundRecipient], signs: tuple[Evidence, ...] = ()) -> MailReading:
    found = list(found)
    evidence = (*signs, *(sign for each in found for sign in each.evidence))
    return MailReading(kind, reason, tuple(each.recipient for each in found), evidence)


def _delivered(found: FoundRecipient) -> FoundRecipient:
    address = found.recipient.address
    return FoundRecipient(
        Recipient(address=address, category="delivered"), (Evidence(address, "delivered", "subject"),)
    )


def _delayed(found: FoundRecipient) -> FoundRecipient:
    recipient = found.recipient
    if recipient.bounce_class == "soft":
        return found
    delayed = msgspec.structs.replace(recipient, bounce_class="soft", category="delayed")
    return FoundRecipient(delayed, (*found.evidence, Evidence(recipient.address, "delay", "subject")))
