"""What a refusal's words say by themselves, codes aside: the first row of `data/refusals.tsv` that matches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import cast, get_args

from decisions.mail.bounce.category import UNKNOWN, Category
from decisions.mail.signs import find
from decisions.patterns import Search, searcher, utf8
from decisions.tables import rows
from schemas.events import BounceClass

MOST_TEXT = 2000  # characters that are read of a text: the server's words come first
_MOST_SHOWN = 80  # bytes of the words found that are shown
_MOST_PIECES = 20  # pieces of advice that are taken out of a text
_SHORT_LINE = 55  # characters of a line that was not wrapped: mail systems wrap at 60 and more
# Where a sentence ends: with a mark, an empty line, or before the next reply of a session.
_END = re.compile(
    r"[.!?](?=[\s)\"']|$)|[;。！？]|\n[ \t]*\n|\n(?=[ \t]*(?:<<<|>>>|\(reason:|<))|(?=\b[45]\d\d[ -][45]\.\d)"
)
_LINE_END = re.compile(r"\n(?=[ \t]*[A-Z0-9<])")

# An address or host in the text is not the server's word: spam@example.com is a mailbox, not a verdict.
_LOCAL = "[A-Za-z0-9._%+=/&'*$!#?^`{|}~-]"
_NAMES = re.compile(rf"<[^>]{{0,320}}+>|(?:(?<!{_LOCAL}){_LOCAL}++)?+@[A-Za-z0-9.:\[\]-]++|https?://\S++")
# A line may break anywhere between characters of scripts that write no spaces.
_BROKEN = re.compile(
    r"(?<=[\u3040-\u30ff\u4e00-\u9fff\uff00-\uffef])[ \t]*+\n\s*+(?=[\u3040-\u30ff\u4e00-\u9fff\uff00-\uffef])"
)
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A row of the table that matched: its place and the words that it found, "" for none, and what it means."""

    where: str
    category: Category


_NONE = Phrase("", UNKNOWN)


def phrase(text: str) -> Phrase:
    """The first phrase that the text holds."""
    return next(_found(text, _table()), _NONE)


def nobody_there(text: str) -> Phrase | None:
    """The phrase that says of an address that nobody has it, whatever else the text says."""
    return next(_found(text, (row for row in _table() if row.category.category == "user-unknown")), None)


def without_advice(text: str) -> str:
    """The text without sentences, or ends of them, that advise or suppose: "Check the address", "If you think ..."."""
    kept: list[str] = []
    for _ in range(_MOST_PIECES):
        found = find("advice", text, len(text))
        if found is None:
            break
        kept.append(text[: found.start])
        text = text[_sentence_end(text, found.end) :]
    return " ".join([*kept, text]) if kept else text


def told_by(text: str) -> Category:
    """What the words alone say."""
    return phrase(text).category


def _sentence_end(text: str, at: int) -> int:
    found = _END.search(text, at)
    end = found.end() if found else len(text)
    for line in _LINE_END.finditer(text, at, end):
        if line.start() - (text.rfind("\n", 0, line.start()) + 1) < _SHORT_LINE:
            return line.start()
    return end


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    search: Search
    category: Category


def _found(text: str, table: Iterable[_Row]) -> Iterator[Phrase]:
    words = utf8(_BLANKS.sub(" ", _BROKEN.sub("", _NAMES.sub(" ", text[:MOST_TEXT]))))
    for row in table:
        if match := row.search(words):
            found = match[0][:_MOST_SHOWN].decode("utf-8", "ignore").strip()
            yield Phrase(f"{row.place}: {found}", row.category)


@lru_cache(maxsize=1)
def _table() -> list[_Row]:
    """The table's patterns, compiled. Each on its own: counted repeats of all in one automaton would not fit."""
    table: list[_Row] = []
    for place, (pattern, bounce_class, category, _) in rows("refusals.tsv", 4):
        of = category_of(bounce_class, category, place)
        try:
            table.append(_Row(place, searcher(pattern), of))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    return table


def category_of(bounce_class: str, category: str, place: str) -> Category:
    """A row's class and category. Raises ValueError, with the row's place, when there is no such class."""
    if bounce_class not in get_args(BounceClass):
        raise ValueError(f"{place}: {bounce_class!r} is no class of bounce")
    return Category(cast(BounceClass, bounce_class), category)
