"""Automatic replies, lists, receipts and invitations: mail that no person wrote for us to read.

Headers: RFC 3834 and what came before and beside it. `X-Auto-Response-Suppress` is no sign: people's mail carries it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from decisions.mail.parts import MAX_VALUE, MimePart
from decisions.mail.signs import header_showing, shows


@dataclass(frozen=True, slots=True)
class _AutomaticMail:
    """What the rules look at: a mail, its subject decoded, and the words that are its own."""

    mail: MimePart
    subject: str
    words: str

    @property
    def begin(self) -> str:
        return self.words.lstrip()[:600]

    @property
    def from_nobody(self) -> bool:
        """Whether answers to it go nowhere: the null return path (RFC 5321, 4.5.5)."""
        return self.mail.get("return-path").strip() == "<>" or self.mail.get("x-envelope-from").strip() == "<>"

    @property
    def to_many(self) -> bool:
        return self.mail.get("precedence").lower() in ("bulk", "junk", "list")

    @property
    def answers(self) -> bool:
        answered = self.mail.get("in-reply-to") or self.mail.get("references")
        return bool(answered) or shows("reply-prefix", self.subject)


def _auto_submitted(letter: _AutomaticMail) -> str:
    """It says so itself (RFC 3834)."""
    submitted = letter.mail.get("auto-submitted").partition(";")[0].strip().lower()
    return "auto-submitted" if submitted and submitted not in ("no", "no.") else ""


def _auto_header(letter: _AutomaticMail) -> str:
    """A header says so that programs of before and beside RFC 3834 write."""
    return header_showing("auto", letter.mail)


def _auto_subject(letter: _AutomaticMail) -> str:
    """Its subject says so."""
    return "auto-subject" if shows("auto-subject", letter.subject) else ""


def _absent_subject(letter: _AutomaticMail) -> str:
    """Somebody is away. People write about their holidays too: they say more, and mostly they ask."""
    if not shows("absent-subject", letter.subject) or asks_something(letter.words):
        return ""
    absent = shows("absent-end", letter.subject) or shows("absent-words", letter.begin)
    return "absent-subject" if absent else ""


def _auto_words(letter: _AutomaticMail) -> str:
    """Its words begin as a machine's do, and nothing looks like a person."""
    by_itself = not letter.answers and not asks_something(letter.words) and _short(letter.words)
    by_machine = letter.from_nobody or letter.to_many or by_itself
    return "auto-words" if by_machine and shows("auto-words", letter.begin) else ""


def _null_return_path(letter: _AutomaticMail) -> str:
    """It wants no answer, and is none of a person's."""
    return "null-return-path" if letter.from_nobody and not shows("reply-prefix", letter.subject) else ""


_RULES: tuple[Callable[[_AutomaticMail], str], ...] = (
    _auto_submitted,
    _auto_header,
    _auto_subject,
    _absent_subject,
    _auto_words,
    _null_return_path,
)


def automatic(mail: MimePart, subject: str, words: str) -> str:
    """The sign that a machine answered, or "": what the first rule that speaks says."""
    letter = _AutomaticMail(mail, subject, words)
    return next((sign for rule in _RULES if (sign := rule(letter))), "")


def asks_something(words: str) -> bool:
    """Whether they hold a question: a writer who asks one wants an answer, and no machine does."""
    return any(mark in words[:2000] for mark in ("? ", "?\n", "?\r", "？", "؟")) or words[:2000].rstrip().endswith("?")


def _short(words: str) -> bool:
    """A person may begin as a machine does, and goes on; most machines don't, and quote nothing."""
    return len(words) < 600 and "\n>" not in words


def bulk(mail: MimePart) -> str:
    """The sign that a mail went to many, or ""."""
    sign = header_showing("bulk", mail)
    if sign:
        return sign
    many = mail.get("precedence").lower() in ("list", "bulk", "junk")
    return "precedence" if many and not mail.get("in-reply-to") else ""


def by_program(mail: MimePart) -> bool:
    """Whether a script wrote the mail, by what it calls itself."""
    return shows("program", mail.get("x-mailer") + " " + mail.get("user-agent"), 2 * MAX_VALUE)


def receipt_or_invitation(mail: MimePart, subject: str, words: str) -> str:
    """The sign of a read receipt (MDN, RFC 8098) or of a calendar's answer (RFC 6047), or ""."""
    if mail.parameters.get("report-type", "").lower() == "disposition-notification":
        return "read-receipt"
    if mail.get("content-class").lower().endswith("calendarmessage"):
        return "calendar"
    for part in mail.walk():
        if part.content_type == "message/disposition-notification":
            return "read-receipt"
        if part.content_type == "text/calendar" and not part.attached:
            return "calendar"
    if shows("read-receipt", subject) and not mail.get("in-reply-to") and not asks_something(words):
        return "read-receipt"
    return ""
