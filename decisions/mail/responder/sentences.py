"""The sentences of what a mail's writer wrote, and which of the signs of responders each of them shows.

A responder says few things and nothing else; a person who is away says something of the mail that they answer. So what
counts is not only which signs there are but also whether a sentence is left that shows none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from decisions.mail.signs import SignMatch, find, shows

_MOST_TEXT = 4000  # characters that are read; a responder needs fewer
_MOST_LINES = 120
_MOST_SENTENCE = 600
_WRAPPED = 45  # characters of a line that may go on in the next one
# Not behind a digit or one letter, nor in "no. 5": "bis zum 9. November", "z. B.". A year ends a sentence.
_END = re.compile(
    r"(?<=[^\W\d][^\W\d][.!?…])(?!(?<=\b[Nn][or]\.)\s\d)\s+|(?<=\d{4}[.!?])\s+|(?<=[)\"”“][.!?])\s+|(?<=[。！？])"
)
_LAST = (".", "!", "?", ":", ",", "…", "。", "！", "？", ";")
_BUT = re.compile(r"[,;] (?:but|aber|mais|pero|ma|ale|maar|mas|men|но)\s", re.IGNORECASE)
_QUOTE = re.compile(r"\s{0,8}[>|]")
_CONTACT = re.compile(r"@|https?:|www\.|(?:\d[\s/().-]{0,2}){6}")
_MOST_WORDS_OF_CONTACT = 9
_MOST_WORDS_OF_NAME = 6

# Signs that a sentence of a responder may show; "wants" and "automatic" are asked of by name.
_KNOWN = (
    "away", "return", "urgent", "elsewhere", "left", "received", "number", "ticket-number", "soon", "desk", "automatic",
    "no-answer", "thanks",
)  # fmt: skip


@dataclass(frozen=True)
class WrittenText:
    """What a mail's writer wrote, without quotes."""

    text: str

    @cached_property
    def is_quoting(self) -> bool:
        """Whether lines of a quote stand between those of the writer."""
        return any(_QUOTE.match(line) for line in self.text.split("\n")[:_MOST_LINES])

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Each sentence, or line where no sentence ends; those of a quote are left out."""
        return tuple(_sentences(self.text[:_MOST_TEXT]))

    @cached_property
    def body(self) -> tuple[str, ...]:
        """The sentences before the farewell, without greetings."""
        kept: list[str] = []
        for at, sentence in enumerate(self.sentences):
            if at and kept and shows("farewell", sentence):
                break
            if not (shows("greeting", sentence) and not any(shows(sign, sentence) for sign in _KNOWN)):
                kept.append(sentence)
        return tuple(kept)

    def first(self, sign: str, among: int = 40) -> SignMatch | None:
        """The first sentence of the body that shows the sign, among so many."""
        return next(filter(None, (find(sign, sentence) for sentence in self.body[:among])), None)

    @cached_property
    def wish(self) -> SignMatch | None:
        """What only a person says, anywhere; what is said of urgent cases is a responder's too."""
        some = (sentence for sentence in self.sentences if not shows("urgent", sentence))
        return next(filter(None, (find("wants", sentence) for sentence in some)), None)

    @cached_property
    def others(self) -> tuple[str, ...]:
        """What of the body no responder is known by: sentences, and what follows a "but" in one.

        Names and addresses below a sentence that is known do not count.
        """
        found: list[str] = []
        said = False
        for sentence in (clause for each in self.body for clause in _BUT.split(each)):
            if any(shows(sign, sentence) for sign in _KNOWN):
                said = True
            elif not (said and _is_name_or_contact(sentence)):
                found.append(sentence)
        return tuple(found)

    @cached_property
    def beside(self) -> int:
        """How many kinds of things it says besides its main one: when, where to turn, that mail is not read."""
        return sum(self.first(sign) is not None for sign in ("return", "urgent", "elsewhere"))


def _sentences(text: str) -> Iterator[str]:
    for paragraph in _paragraphs(text):
        for sentence in _END.split(paragraph):
            if sentence.strip():
                yield sentence.strip()[:_MOST_SENTENCE]


def _paragraphs(text: str) -> Iterator[str]:
    """Lines joined where a long one goes on in the next."""
    joined = ""
    for line in text.split("\n")[:_MOST_LINES]:
        line = line.strip()
        if not line or _QUOTE.match(line):
            yield joined
            joined = ""
            continue
        joined = f"{joined} {line}" if joined else line
        if len(line) < _WRAPPED or line.endswith(_LAST):
            yield joined
            joined = ""
    yield joined


def _is_name_or_contact(sentence: str) -> bool:
    words = sum(any(map(str.isalnum, word)) for word in sentence.split())
    if _CONTACT.search(sentence):
        return words <= _MOST_WORDS_OF_CONTACT
    if words == 1:  # "Tel."
        return True
    return words <= _MOST_WORDS_OF_NAME and not sentence.endswith((".", "!", "?", ":", "…", "。"))
