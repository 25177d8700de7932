"""Whether a person asks in a reply to get no more mail, and by which words.

Only their own new text counts: neither what they quote nor a signature. A request that is missed can be read by a
person; one that is invented takes a customer away, so a phrase that is in doubt does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from decisions.mail.verdict import StopRequest
from decisions.patterns import Search, searcher, utf8
from decisions.tables import rows

_KINDS = ("asks", "asks-within", "orders", "alone", "whole", "command", "negated", "unless", "polite", "polite-within")
_MOST_LINES = 60  # who writes more has more to say than that
_MOST_READ = 20_000  # characters of what they wrote
_MOST_SENTENCES = 40
_MOST_SENTENCE = 400  # characters
_MOST_PHRASE = 160
_WRAPPED = 45  # characters of a line that may go on in the next one
_MOST_POLITE = 3  # greetings before it, and as many after it
_MOST_NAME = 4  # words of a line that may be the writer's name
_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\s+[–—-]\s+|;\s+")
_LAST = (".", "!", "?", ":", ",", "…", "。", "！", "？", ";")
_APOSTROPHES = str.maketrans("’‘ʼ`´\u00a0\u202f", "'''''  ")
_ANSWERS = re.compile(r"\s*[^\s:：]{1,6}\s?[:：]")  # "Re:" in any language

_AROUND = " \t,.!?:;\"'()-–—"

# What stands around words, in any script.
_GAP = r"[^\pL\pN]*"


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence, and for each of its lines the place in the text and where it begins in the sentence."""

    text: str
    lines: tuple[tuple[int, int], ...]

    def line_at(self, at: int) -> int:
        """The line of the text, from 0, in which the character of the sentence stands."""
        return max((line for line, start in self.lines if start <= at), default=self.lines[0][0])


@lru_cache(maxsize=1)
def _patterns() -> dict[str, tuple[Search, ...]]:
    table: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for place, (kind, pattern, _source) in rows("stop_phrases.tsv", 3):
        if kind not in table:
            raise ValueError(f"{place}: {kind} is none of {', '.join(_KINDS)}")
        try:
            searcher(pattern)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        table[kind].append(pattern)
    polite = rf"(?:{'|'.join(table['polite'])})"
    within = rf"(?:{'|'.join(table['polite-within'])})"
    built: dict[str, list[str]] = {
        "asks": [_word(one) for one in table["asks"]] + table["asks-within"],
        "orders": [_word(one) for one in table["orders"]],
        "alone": [rf"^{_GAP}(?:{one}){_GAP}$" for one in table["alone"]],
        "whole": [rf"^{_GAP}(?:{one}){_GAP}$" for one in table["whole"]],
        "command": [rf"(?:^|[^\pL\pN])(?:{one}){_GAP}$" for one in table["command"]],
        "negated": [rf"(?:^|[^\pL\pN])(?:{one})(?:\s+\S+){{0,3}}\s*$" for one in table["negated"]],
        "unless": [_word(one) for one in table["unless"]],
        "polite-first": [rf"^{_GAP}{polite}(?:$|[^\pL\pN])", rf"^{_GAP}{within}"],
        "polite-last": [rf"(?:^|[^\pL\pN]){polite}{_GAP}$", rf"{within}{_GAP}$"],
    }
    return {kind: tuple(map(searcher, patterns)) for kind, patterns in built.items()}


def _word(pattern: str) -> str:
    return rf"(?:^|[^\pL\pN])(?:{pattern})(?:$|[^\pL\pN])"


def stop_request(own: str, visible: str, subject: str = "") -> StopRequest | None:
    """The words by which its writer asks for no more mail, or None. Linear in the text, of which the beginning counts.

    `own` is what they wrote, without a line of a quote; `visible` is the text that the line's number is of, from 1. A
    subject that is nothing but the request counts as line 0, for that is what some programs tell people to write; the
    subject of an answer ("Re:") is the campaign's.
    """
    own = own[:_MOST_READ]
    sentences = list(islice(_sentences(own), _MOST_SENTENCES))
    shown = visible.split("\n")
    for at, sentence in enumerate(sentences):
        following = sentences[at + 1].text if at + 1 < len(sentences) else ""
        found = _asked(sentence.text, following) or (_whole(sentences, at) if at < 2 else None)
        if found is None:
            continue
        phrase, start = found
        line = own.split("\n")[sentence.line_at(start)]
        if line in shown:
            return StopRequest(phrase=phrase, line=shown.index(line) + 1)
    title = subject.translate(_APOSTROPHES)[:_MOST_SENTENCE]
    if not sentences and not _ANSWERS.match(title) and (_is("alone", title) or _is("whole", title)):
        return StopRequest(phrase=" ".join(title.split())[:_MOST_PHRASE], line=0)
    return None


def _asked(sentence: str, following: str) -> tuple[str, int] | None:
    """The phrase in a sentence and where it begins, in characters."""
    if _is("alone", sentence):
        return " ".join(sentence.split())[:_MOST_PHRASE], 0
    for kind in ("asks", "orders"):
        found = _first(kind, sentence)
        if found is None:
            continue
        before, words, start = found
        if _shows("negated", before) or _shows("unless", sentence) or _shows("unless", following[:40]):
            continue
        if kind == "asks" or not before.strip(_AROUND) or _shows("command", before):
            return words, start
    return None


def _whole(sentences: list[_Sentence], at: int) -> tuple[str, int] | None:
    """A word that says it where nothing else is said: around it are greetings and a name alone."""
    sentence = sentences[at].text
    if not _is("whole", sentence):
        return None
    others = [one.text for index, one in enumerate(sentences) if index != at]
    if all(not _plain(one) or _is_name(one) for one in others):
        return " ".join(sentence.split())[:_MOST_PHRASE], 0
    return None


def _is(kind: str, sentence: str) -> bool:
    """Whether a sentence is nothing but such words, and no question."""
    return not sentence.rstrip().endswith(("?", "？")) and _shows(kind, _plain(sentence))


def _plain(sentence: str) -> str:
    """The sentence without greetings and thanks around it."""
    raw = utf8(sentence)
    for _ in range(_MOST_POLITE):
        found = next(filter(None, (search(raw) for search in _patterns()["polite-first"])), None)
        raw = raw[found.end() :] if found else raw
        found = next(filter(None, (search(raw) for search in _patterns()["polite-last"])), None)
        raw = raw[: found.start()] if found else raw
    return raw.decode("utf-8", "replace").strip(_AROUND)


def _is_name(sentence: str) -> bool:
    words = sentence.split()
    return len(words) <= _MOST_NAME and not sentence.endswith(("!", "?")) and all(not w[:1].islower() for w in words)


def _first(kind: str, text: str) -> tuple[str, str, int] | None:
    """What stands before the first match, its words, and where they begin."""
    raw = utf8(text)
    for search in _patterns()[kind]:
        if match := search(raw):
            before = raw[: match.start()].decode("utf-8", "replace")
            words = match[0].decode("utf-8", "replace")
            start = len(before) + len(words) - len(words.lstrip(_AROUND))
            return before, " ".join(words.split()).strip(_AROUND)[:_MOST_PHRASE], start
    return None


def _shows(kind: str, text: str) -> bool:
    raw = utf8(text)
    return any(search(raw) for search in _patterns()[kind])


def _sentences(text: str) -> Iterator[_Sentence]:
    for paragraph in _paragraphs(text):
        at = 0
        for part in (*_END.finditer(paragraph.text), None):
            until = part.start() if part else len(paragraph.text)
            piece = paragraph.text[at:until]
            if piece.strip():
                lines = tuple((line, max(0, start - at)) for line, start in paragraph.lines if start < until)
                yield _Sentence(piece[:_MOST_SENTENCE], tuple(lines))
            at = part.end() if part else until


def _paragraphs(text: str) -> Iterator[_Sentence]:
    """Lines joined where a long one goes on in the next."""
    joined, places = "", []
    for number, line in enumerate(text.split("\n")[:_MOST_LINES]):
        line = " ".join(line.translate(_APOSTROPHES).split())
        if line:
            places.append((number, len(joined) + 1 if joined else 0))
            joined = f"{joined} {line}" if joined else line
        if joined and (len(line) < _WRAPPED or line.endswith(_LAST)):
            yield _Sentence(joined, tuple(places))
            joined, places = "", []
    if joined:
        yield _Sentence(joined, tuple(places))
