"""What mail is that is no report: replies, automatic ones, and what is neither. The first rule that speaks decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from decisions.mail.addresses import first_address
from decisions.mail.automatic import asks_something, automatic, bulk, by_program
from decisions.mail.charsets import decode_words
from decisions.mail.evidence import Evidence
from decisions.mail.parts import MimePart
from decisions.mail.reply.visible import has_quote, visible_text
from decisions.mail.responder.proofs import responder_proof
from decisions.mail.signs import shows
from decisions.mail.verdict import MailKind


@dataclass(frozen=True)
class _WrittenMail:
    """What the rules look at.

    `matched` is whether a token of ours proves which delivery the mail belongs to, `returned` whether it came to the
    return path that we gave that one.
    """

    mail: MimePart
    subject: str
    words: str
    matched: bool
    returned: bool

    @cached_property
    def responder(self) -> tuple[str, tuple[Evidence, ...]]:
        """The proof that a program answered, by what is written, and its signs."""
        return responder_proof(self.mail, self.subject, visible_text(self.mail))


def _header(letter: _WrittenMail) -> str:
    """It says which mail it answers."""
    return next((name for name in ("in-reply-to", "references") if letter.mail.get(name)), "")


def _forwarded(letter: _WrittenMail) -> str:
    """It passes a mail on, and asks nothing about it."""
    forwards = any(part.content_type == "message/rfc822" for part in letter.mail.walk())
    return "forwarded" if forwards and not asks_something(letter.words) else ""


def _unattended(letter: _WrittenMail) -> str:
    """Its sender's address is one that nobody reads; where answers go elsewhere, somebody may have written it."""
    sender = first_address(decode_words(letter.mail.get("from")))
    elsewhere = first_address(decode_words(letter.mail.get("reply-to"))) not in ("", sender)
    return "unattended-sender" if shows("unattended", sender.partition("@")[0]) and not elsewhere else ""


def _person(letter: _WrittenMail) -> str:
    """Some write a new mail instead of answering. Whether it is a lead's is decided where the sender is matched."""
    return "person" if first_address(decode_words(letter.mail.get("from"))) else ""


# A kind, and what gives the sign of it, "" for none.
RULES: tuple[tuple[MailKind, Callable[[_WrittenMail], str]], ...] = (
    ("auto_reply", lambda letter: automatic(letter.mail, letter.subject, letter.words)),
    ("auto_reply", lambda letter: letter.responder[0]),
    # People answer From or Reply-To; to the return path go machines alone (RFC 3834, 4).
    ("auto_reply", lambda letter: "return-path" if letter.returned else ""),
    ("other", lambda letter: "" if letter.matched else bulk(letter.mail)),
    ("auto_reply", _unattended),
    ("reply", lambda letter: "token" if letter.matched else ""),
    ("reply", _header),
    ("reply", lambda letter: "reply-subject" if shows("reply-prefix", letter.subject) else ""),
    ("reply", lambda letter: "quote" if has_quote(letter.mail) else ""),
    ("other", lambda letter: "program" if by_program(letter.mail) else ""),
    ("other", _forwarded),
    ("reply", _person),
    ("other", lambda letter: "no-sign-of-a-person"),
)


def written_kind(
    mail: MimePart, subject: str, words: str, *, matched: bool, returned: bool = False
) -> tuple[MailKind, str, tuple[Evidence, ...]]:
    """A mail's kind, the sign that decided it, and what proves that sign, if more does than a rule.

    `words` are the mail's own, without a mail that it returns.
    """
    letter = _WrittenMail(mail, subject, words, matched, returned)
    kind, reason = next((kind, sign) for kind, of in RULES if (sign := of(letter)))
    proof, signs = letter.responder if "responder" in vars(letter) else ("", ())
    return kind, reason, signs if proof == reason else ()
