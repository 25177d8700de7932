"""Whether a mail without a delivery status is a bounce: signs that prove it together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from decisions.mail.addresses import first_address
from decisions.mail.automatic import asks_something
from decisions.mail.evidence import KIND, Evidence, Proof, prove
from decisions.mail.parts import MimePart
from decisions.mail.returned import ReturnedMail
from decisions.mail.signs import find, folded, shows

# The first that is proven decides. One sign alone is never enough, for people write about failures too, but for a
# header that nobody writes by hand.
PROOFS = (
    Proof("x-failed-recipients", ("x-failed-recipients",)),
    Proof("bounce-sender", ("sender",), ("subject", "words")),
    Proof("bounce-subject", ("subject", "words"), ("null-return-path", "returned-mail", "asks-nobody")),
    Proof("null-return-path", ("null-return-path", "words", "returned-mail")),
    Proof("no-sender", ("null-return-path", "no-sender"), ("undelivered", "nobody-there")),
    Proof("return-path", ("return-path", "nobody-away"), ("undelivered", "nobody-there")),
    Proof("failed-answer", ("reply-that-failed", "undelivered", "asks-nobody")),
)


def bounce_proof(
    mail: MimePart, report: ReturnedMail, sender: str, subject: str, *, at_return_path: bool = False
) -> tuple[str, tuple[Evidence, ...]]:
    """The name of the proof that a mail is a bounce, and its signs; "" and none where nothing proves it.

    `sender` is the mail's From, decoded, as `subject` is. `at_return_path` is whether it came to one that we gave.
    """
    seen = _Seen(mail, report, sender, subject, at_return_path)
    name, signs = prove(PROOFS, lambda sign: _SIGNS[sign](seen))
    return name, tuple(Evidence(KIND, sign, where) for sign, where in signs)


@dataclass(frozen=True)
class _Seen:
    """What the signs look at. Each says where it is found, "" for nowhere."""

    mail: MimePart
    report: ReturnedMail
    from_: str
    text: str
    at_return_path: bool = False

    @cached_property
    def sender(self) -> str:
        """An address or a name that mail systems send under."""
        address = first_address(self.from_)
        name = self.from_.replace(f"<{address}>", "") if address else self.from_
        return _found("bounce-sender", address) or _found("bounce-sender", name)

    @cached_property
    def subject(self) -> str:
        """A subject of bounces or of delivery reports, and not an answer to one."""
        if shows("reply-prefix", self.text):
            return ""
        return next(filter(None, (_found(sign, self.text) for sign in ("bounce-subject", "delay", "delivered"))), "")

    @cached_property
    def folded(self) -> str:
        """The report's words, however their lines are wrapped."""
        return folded(self.report.words)

    @cached_property
    def words(self) -> str:
        """Words of bounces."""
        return _found("bounce-words", self.folded)

    @cached_property
    def null_sender(self) -> str:
        """The return path that bounces have (RFC 5321, 4.5.5)."""
        if self.mail.get("return-path").strip() in ("<>", "<MAILER-DAEMON>"):
            return "return-path"
        return "x-envelope-from" if self.mail.get("x-envelope-from").strip() == "<>" else ""

    @property
    def returned_mail(self) -> str:
        """The mail that it is about stands in it."""
        return "the returned mail" if self.report.returned is not None else ""

    @property
    def asks_nobody(self) -> str:
        """It answers no mail and asks nothing."""
        answers = self.mail.get("in-reply-to") or asks_something(self.report.words)
        return "" if answers else "no in-reply-to, no question"

    @property
    def undelivered(self) -> str:
        """That our mail came to nobody, in so many words."""
        return _found("undelivered", self.folded)

    @property
    def nobody_there(self) -> str:
        """That there is no such recipient, or that the mailbox is full."""
        return _found("nobody-there", self.folded)

    @property
    def no_sender(self) -> str:
        return "" if first_address(self.from_) else "no address in from"

    @property
    def nobody_away(self) -> str:
        """Those away say of mailboxes too that they are full or not read."""
        away = shows("away", self.folded) or shows("left", self.folded)
        return "" if away else "nobody away"

    @property
    def reply_that_failed(self) -> str:
        """Our subject with a reply's prefix, and the failure behind it."""
        return _found("failure-end", self.text) if shows("reply-prefix", self.text) else ""

    @property
    def failed_recipients(self) -> str:
        """Exim's header."""
        return "x-failed-recipients" if self.mail.get("x-failed-recipients") else ""


_SIGNS: dict[str, Callable[[_Seen], str]] = {
    "x-failed-recipients": lambda seen: seen.failed_recipients,
    "sender": lambda seen: seen.sender,
    "subject": lambda seen: seen.subject,
    "words": lambda seen: seen.words,
    "null-return-path": lambda seen: seen.null_sender,
    "returned-mail": lambda seen: seen.returned_mail,
    "asks-nobody": lambda seen: seen.asks_nobody,
    "undelivered": lambda seen: seen.undelivered,
    "nobody-there": lambda seen: seen.nobody_there,
    "no-sender": lambda seen: seen.no_sender,
    "nobody-away": lambda seen: seen.nobody_away,
    "reply-that-failed": lambda seen: seen.reply_that_failed,
    "return-path": lambda seen: "ours" if seen.at_return_path else "",
}


def _found(sign: str, text: str) -> str:
    found = find(sign, text)
    return f"{found.place}: {found.words}" if found else ""
