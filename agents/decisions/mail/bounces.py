"""The recipients of a bounce or delivery report, each with its class: machine-readable fields first, then words."""

from __future__ import annotations

import re

from agents.decisions.mail import dsn, freetext
from agents.decisions.mail.addresses import addresses
from agents.decisions.mail.parts import Part
from agents.decisions.mail.returned import Report
from agents.decisions.mail.verdict import Recipient
from agents.decisions.refusal import Assessment, Category, Stage, assess

MOST_DIAGNOSTIC = 500  # characters that are kept

_DATA = (
    r">>> DATA\n(?:<<< .{0,300}\n){1,20}5\d\d (?:5\.\d\.\d )?Service unavailable|SMTP command\s+DATA\b"
    r"|(?:in (?:reply|response) to|after|error from|following|in) (?:the )?"
    r"(?:end of data|data|text command|message body|body)|\[?end of data|\bDATA\]"
)
# An answer to RCPT names its address; "550 : User unknown" is KDDI's after the whole mail was taken.
_NAMELESS = r"^\W*5\d\d:?[ \t]+:[ \t]+user unknown"
_MAIL = r"(?:in (?:reply|response) to|after|following|in) (?:the )?mail from|\[MAIL_FROM\]|error after mail from"
_CONNECT = r"after initial connection|in reply to (?:HELO|EHLO)|after (?:HELO|EHLO)"
_STAGES: tuple[tuple[re.Pattern[str], Stage], ...] = (
    (re.compile(_DATA, re.IGNORECASE), "data"),
    (re.compile(_NAMELESS, re.IGNORECASE | re.MULTILINE), "data"),
    (re.compile(_MAIL, re.IGNORECASE), "mail"),
    (re.compile(_CONNECT, re.IGNORECASE), "connect"),
)
# "deliverable" is Postfix's answer to a question without a mail (sendmail -bv).
_ARRIVED = frozenset({"delivered", "relayed", "expanded", "deliverable"})
# PowerMTA user's guide, "Bounce categories".
_HINTS = {
    "bad-mailbox": Category("hard", "user-unknown"),
    "bad-domain": Category("hard", "domain-unknown"),
    "inactive-mailbox": Category("soft", "inactive"),
    "quota-issues": Category("soft", "mailbox-full"),
    "no-answer-from-host": Category("soft", "network"),
    "bad-connection": Category("soft", "network"),
    "routing-errors": Category("soft", "network"),
    "spam-related": Category("block", "spam"),
    "policy-related": Category("block", "policy"),
    "content-related": Category("block", "content"),
    "virus-related": Category("block", "content"),
    "relaying-issues": Category("block", "relaying"),
}


def stage_of(text: str) -> Stage:
    """At which command of the session the refusal came, as far as the words say."""
    return next((stage for pattern, stage in _STAGES if pattern.search(text)), "rcpt")


def read_statuses(found: list[dsn.Status], report: Report, mail: Part) -> list[Recipient]:
    """Recipients of a mail that has a delivery status. Words of the human part fill in what the fields leave open."""
    spoken: list[freetext.Named] | None = None
    failed = addresses(mail.get("x-failed-recipients"))
    recipients: dict[tuple[str, str], Recipient] = {}
    for status in found:
        address = status.address
        if not address:
            if spoken is None:
                spoken = freetext.named(report.words, report.returned, ours(mail))
            address = next((each for each in failed or [each.address for each in spoken]), "")
        if not address:
            continue
        if status.action in ("delivered", "relayed", "expanded") or (
            not status.action and status.status.startswith("2")
        ):
            category = status.action or "delivered"
            recipients.setdefault(
                (address.lower(), category),
                Recipient(
                    address=address,
                    category=category,
                    status=status.status[:20].split(" ")[0],
                    diagnostic=status.diagnostic[:MOST_DIAGNOSTIC],
                ),
            )
            continue
        text = status.diagnostic
        stage = stage_of(text)
        if stage == "rcpt" and len(found) == 1:
            stage = stage_of(report.words)  # Postfix and Sendmail say it in the part for people alone
        told = assess(text, status.status, stage)
        if told.category.bounce_class in ("unknown",) or not text or not told.category.category or _vague(told, status):
            if spoken is None:
                spoken = freetext.named(report.words, report.returned, ours(mail))
            words = next((each.words for each in spoken if each.address.lower() == address.lower()), "")
            words = words or (report.words if len(found) == 1 else "")
            other = assess(words, status.status, stage_of(words)) if words.strip() else told
            if other.category.bounce_class != "unknown":
                told, text = other, text or words
        if told.category.bounce_class == "unknown" and status.hint in _HINTS:
            told = Assessment(_HINTS[status.hint], told.status)
        late = status.action in ("delayed", "deferred", "warning")
        if late and (told.category.bounce_class != "soft" or told.category.category == "deferred"):
            told = Assessment(Category("soft", "delayed"), told.status)
        recipients.setdefault((address.lower(), ""), recipient(address, told, text))
    return list(recipients.values())


def _vague(told: Assessment, status: dsn.Status) -> bool:
    return told.category.category in ("system", "mailbox", "refused") and len(status.diagnostic) < 24


def read_words(report: Report, mail: Part, subject: str) -> list[Recipient]:
    """Recipients of a bounce in words alone."""
    failed = addresses(",".join(mail.all("x-failed-recipients")))[: freetext.MOST_RECIPIENTS]
    spoken = freetext.named(report.words, report.returned, ours(mail))
    if failed and not any(each.score >= 4 and each.address.lower() not in map(str.lower, failed) for each in spoken):
        by = {each.address.lower(): each for each in spoken}
        spoken = [by.get(address.lower()) or freetext.Named(address, report.words, 9) for address in failed]
    if not spoken:
        spoken = [
            freetext.Named(address, report.words, 0)
            for address in addresses(subject)
            if address.lower() not in ours(mail)
        ]
    told = []
    whole: Assessment | None = None
    for each in spoken:
        found = assess(each.words, "", stage_of(each.words))
        text = each.words
        if found.category.bounce_class == "hard" and not found.status:
            whole = assess(report.words)
            if whole.category.bounce_class == "block" and whole.category.category == "recipient-refused":
                found = whole  # Google Groups: "may not exist, or you may not post to it"
        if found.category.bounce_class == "unknown" or found.category.category in ("system", "refused", "content"):
            if whole is None:
                whole = assess(report.words, "", stage_of(report.words))
                if whole.category.bounce_class == "unknown":
                    whole = assess(subject)
            if whole.category.bounce_class != "unknown" and (
                found.category.bounce_class == "unknown" or len(spoken) == 1
            ):
                found = whole
                text = each.words if each.words.strip() != each.address else report.words
        told.append(recipient(each.address, found, text))
    return told


def recipient(address: str, told: Assessment, text: str) -> Recipient:
    """A recipient as it is handed on."""
    return Recipient(
        address=address,
        bounce_class=told.category.bounce_class,
        category=told.category.category,
        status=told.status,
        diagnostic=" ".join(text.split())[:MOST_DIAGNOSTIC],
    )


def ours(mail: Part) -> set[str]:
    """Addresses that the report itself came from and went to: seldom whom it speaks of."""
    names = (
        "to",
        "from",
        "delivered-to",
        "envelope-to",
        "reply-to",
        "return-path",
        "sender",
        "x-apparently-to",
    )
    return {address.lower() for name in names for value in mail.all(name)[:20] for address in addresses(value)[:50]}
