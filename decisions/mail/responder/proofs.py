"""Whether a program answered for a person, by what the mail's writer wrote: signs that prove it together."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from decisions.mail.charsets import decode_words
from decisions.mail.evidence import KIND, Evidence, Proof, prove
from decisions.mail.parts import MimePart
from decisions.mail.responder.sentences import WrittenText
from decisions.mail.signs import SignMatch, find, shows

_OPENING = 4  # sentences in which somebody away says so
_MOST_ELSE = 2  # sentences that a help desk adds and no sign knows
_ENOUGH_BESIDE = 2  # kinds of things that responders say, which make up for one sentence that none is known by
_NAME = re.compile(r"[^\W\d_]{3,40}")
_MOST_NAMES = 20
# Words of addresses that are in texts too.
_NO_NAMES = frozenset(
    {"com", "org", "net", "example", "info", "sales", "mail", "office", "the", "team", "support", "hello"}
)

# The first that is proven decides. What a person may say too is a responder's only where nothing else is said. That a
# mail has come and will be answered is no proof: people say just that, also from info@.
PROOFS = (
    Proof("challenge", ("challenge-cause", "challenge-ask", "link-or-answer", "wants-nothing")),
    Proof("says-automatic", ("automatic", "asks-nothing", "wants-nothing")),
    Proof("no-answer", ("no-answer", "asks-nothing", "wants-nothing"), ("received", "soon", "away", "left")),
    Proof(
        "desk-subject",
        ("desk-subject", "our-mail", "says-no-i", "asks-nothing", "wants-nothing", "little-else"),
        ("received", "soon", "desk"),
    ),
    Proof("ticket", ("received", "number", "says-no-i", "asks-nothing", "wants-nothing", "little-else")),
    Proof(
        "absence",
        ("away", "asks-nothing", "wants-nothing", "calls-nobody-by-name", "nothing-else"),
        ("until", "return", "urgent", "elsewhere", "thanks"),
    ),
    Proof(
        "left",
        ("left", "of-itself", "asks-nothing", "wants-nothing", "calls-nobody-by-name", "nothing-else"),
        ("elsewhere", "own-mailbox"),
    ),
)


def responder_proof(mail: MimePart, subject: str, written: str) -> tuple[str, tuple[Evidence, ...]]:
    """The name of the proof that a program answered, and its signs; "" and none where nothing proves it.

    `written` is what the mail's writer wrote, without what they quote.
    """
    seen = _SeenAnswer(mail, subject, WrittenText(written))
    name, signs = prove(PROOFS, lambda sign: _SIGNS[sign](seen))
    return name, tuple(Evidence(KIND, sign, where) for sign, where in signs)


@dataclass(frozen=True)
class _SeenAnswer:
    """What the signs look at. Each says where it is found, "" for nowhere."""

    mail: MimePart
    subject: str
    written: WrittenText

    @cached_property
    def sender(self) -> str:
        return decode_words(self.mail.get("from"))

    def said(self, sign: str) -> str:
        return _place(self.written.first(sign))

    @property
    def away(self) -> str:
        """That somebody is away now, before anything else is said."""
        found = self.written.first("away", _OPENING)
        said = next((sentence for sentence in self.written.body if shows("away", sentence)), "")
        return "" if shows("away-later", said) and not shows("until", said) else _place(found)

    @property
    def number(self) -> str:
        """A help desk's number, in the text or the subject; where nothing says of what, beside what has arrived."""
        if found := self.said("ticket-number") or _place(find("ticket-number", self.subject)):
            return found
        arrived = (sentence for sentence in self.written.body if shows("received", sentence))
        return next(filter(None, (_place(find("number", sentence)) for sentence in arrived)), "")

    @property
    def our_mail(self) -> str:
        """That what has arrived is a mail or a request, and not a parcel."""
        return self.said("received") or _place(find("received", self.subject))

    @property
    def says_no_i(self) -> str:
        """Help desks are many."""
        return "" if self.said("says-i") else "nobody says I"

    @property
    def until(self) -> str:
        """How long they are away."""
        away = (sentence for sentence in self.written.body if shows("away", sentence))
        return next(filter(None, (_place(find("until", sentence)) for sentence in away)), "")

    @property
    def of_itself(self) -> str:
        """That it speaks of its own mailbox, of its sender, or in the first person: colleagues speak of others."""
        found = self.said("own-mailbox")
        if found:
            return found
        left = next((sentence for sentence in self.written.body if shows("left", sentence)), "")
        named = _names(self.sender) & _names(left)
        return f"from: {min(named)}" if named else _place(find("first-person", left))

    @property
    def asks_nothing(self) -> str:
        return "" if any("?" in each or "？" in each or "؟" in each for each in self.written.body) else "no question"

    @property
    def wants_nothing(self) -> str:
        return "" if self.written.wish else "no word on our mail"

    @property
    def calls_nobody_by_name(self) -> str:
        """Programs do not know who writes. Names that both sides have, as two of one company, say nothing."""
        opening = " ".join(self.written.sentences[:2])[:200]
        ours = _names(" ".join(self.mail.all("to")[:5])) - _names(self.sender)
        return "" if ours & _names(opening) else "no name of ours"

    @property
    def nothing_else(self) -> str:
        if self.written.is_quoting:
            return ""
        others = len(self.written.others)
        return "" if others > (self.written.beside >= _ENOUGH_BESIDE) else f"{others} other sentences"

    @property
    def little_else(self) -> str:
        others = len(self.written.others)
        return "" if others > _MOST_ELSE or self.written.is_quoting else f"{others} other sentences"

    @property
    def link_or_answer(self) -> str:
        """Somewhere to prove oneself."""
        text = self.written.text[:4000]
        return next((mark for mark in ("http://", "https://", "www.") if mark in text), "") or _place(
            find("challenge-answer", text)
        )


_SIGNS: dict[str, Callable[[_SeenAnswer], str]] = {
    "away": lambda seen: seen.away,
    "number": lambda seen: seen.number,
    "our-mail": lambda seen: seen.our_mail,
    "says-no-i": lambda seen: seen.says_no_i,
    "until": lambda seen: seen.until,
    "return": lambda seen: seen.said("return"),
    "urgent": lambda seen: seen.said("urgent"),
    "thanks": lambda seen: seen.said("thanks"),
    "of-itself": lambda seen: seen.of_itself,
    "asks-nothing": lambda seen: seen.asks_nothing,
    "wants-nothing": lambda seen: seen.wants_nothing,
    "calls-nobody-by-name": lambda seen: seen.calls_nobody_by_name,
    "nothing-else": lambda seen: seen.nothing_else,
    "little-else": lambda seen: seen.little_else,
    "link-or-answer": lambda seen: seen.link_or_answer,
    "desk-subject": lambda seen: _place(find("desk-subject", seen.subject)),
    "desk": lambda seen: seen.said("desk"),
    "automatic": lambda seen: seen.said("automatic"),
    "no-answer": lambda seen: seen.said("no-answer"),
    "received": lambda seen: seen.said("received"),
    "soon": lambda seen: seen.said("soon"),
    "left": lambda seen: seen.said("left"),
    "elsewhere": lambda seen: seen.said("elsewhere"),
    "own-mailbox": lambda seen: seen.said("own-mailbox"),
    "challenge-cause": lambda seen: seen.said("challenge-cause"),
    "challenge-ask": lambda seen: seen.said("challenge-ask"),
}


def _names(text: str) -> set[str]:
    return {name.lower() for name in _NAME.findall(text[:400])[:_MOST_NAMES]} - _NO_NAMES


def _place(found: SignMatch | None) -> str:
    return f"{found.place}: {found.words}" if found else ""
