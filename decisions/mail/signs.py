"""The packaged patterns that tell kinds of mail apart, in texts and in headers, compiled once.

RE2, for they run over what strangers write.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

from decisions.mail.parts import MAX_VALUE, MimePart
from decisions.patterns import Search, searcher, utf8
from decisions.tables import rows

_TABLES = ("mail_signs.tsv", "responder_phrases.tsv")
_MOST = 4000  # characters that a sign is looked for in, if nothing else is said
_MOST_SHOWN = 80  # characters of the words found that are shown


@dataclass(frozen=True, slots=True)
class SignMatch:
    """A sign in a text: the row of the table that found it, and the match in the text's UTF-8."""

    place: str
    match: Any
    raw: bytes

    @property
    def words(self) -> str:
        """The words that were found, the first of them."""
        return " ".join(self.match[0].decode("utf-8", "replace").split())[:_MOST_SHOWN]

    @property
    def start(self) -> int:
        """How many characters stand before them."""
        return len(self.raw[: self.match.start()].decode("utf-8", "replace"))

    @property
    def end(self) -> int:
        """How many characters there are up to their end."""
        return len(self.raw[: self.match.end()].decode("utf-8", "replace"))


@lru_cache(maxsize=1)
def _table() -> dict[str, list[tuple[str, Search]]]:
    table: dict[str, list[tuple[str, Search]]] = {}
    for place, (sign, pattern, _) in chain.from_iterable(rows(name, 3) for name in _TABLES):
        try:
            table.setdefault(sign, []).append((place, searcher(pattern)))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    return table


def folded(text: str) -> str:
    """As much of a text as signs are looked for in, in one line."""
    return " ".join(text[: 2 * _MOST].split())


def find(sign: str, text: str, most: int = _MOST) -> SignMatch | None:
    """The sign in the first `most` characters of a text, by the first row that has it, or None.

    Raises KeyError for a sign that no line of the table has.
    """
    raw = utf8(text[:most])
    return next((SignMatch(place, match, raw) for place, search in _table()[sign] if (match := search(raw))), None)


def shows(sign: str, text: str, most: int = _MOST) -> bool:
    """Whether the text shows the sign; see `find`."""
    raw = utf8(text[:most])
    return any(search(raw) for _, search in _table()[sign])


@lru_cache(maxsize=1)
def _headers() -> dict[str, list[tuple[str, Search]]]:
    table: dict[str, list[tuple[str, Search]]] = {}
    for place, (sign, header, pattern, _) in rows("mail_headers.tsv", 4):
        try:
            table.setdefault(sign, []).append((header, searcher(pattern)))
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
    return table


def header_showing(sign: str, mail: MimePart) -> str:
    """The first header of the table with which the mail shows the sign, or "". KeyError: no line has the sign."""
    there = {name for name, _ in mail.headers}
    rows_of = ((header, search) for header, search in _headers()[sign] if header in there)
    return next((header for header, search in rows_of if search(utf8(mail.get(header)[:MAX_VALUE]))), "")
