"""Whether a person asks in a reply to get no more mail, and by which words.

Only their own new text counts: neither what they quote nor a signature, and no words of others in quotation marks. A
request that is missed can be read by a person; one that is invented takes a customer away, so a phrase that is in doubt
does not count.
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

_KINDS = (
    *("asks", "asks-within", "orders", "alone", "whole", "command", "negated", "unless", "polite", "polite-within"),
    *("list-named", "list-ours", "list-of", "list-of-ours", "thing", "thing-within", "thing-ours", "thing-ours-within"),
    *("joins", "keeps", "keeps-within", "refuses"),
)
# What is left is something else than our mail where the text reads as the first and not as the second.
_OTHERS = (("list-named", "list-ours"), ("list-of", "list-of-ours"), ("thing", "thing-ours"))
_MOST_LINES = 60  # who writes more has more to say than that
_MOST_READ = 20_000  # characters of what they wrote
_MOST_SENTENCES = 40
_MOST_SENTENCE = 400  # characters
_MOST_PHRASE = 160
_WRAPPED = 45  # characters of a line that may go on in the next one
_MOST_POLITE = 3  # greetings before it, and as many after it
_MOST_NAME = 4  # words of a line that may be the writer's name
_MOST_LEFT = 6  # words behind the phrase that say what is left
_NEXT = 3  # sentences in which a request may be taken back
_NEXT_BEGINNING = 40  # characters of the next one in which it may be put off
_END = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])|\s+[–—-]\s+|;\s+")
_ASKED = re.compile(r"[?？]['\"”“»)」』\s!.]*$")
# Words in quotation marks, which are somebody else's; a single one, as in "unsubscribe", is the writer's own.
_CITED = re.compile(
    r"[\"“”„][^\"“”„\s]{1,80}+\s[^\"“”„]{1,200}+[\"“”]|«[^»]{4,200}+»|「[^」]{4,200}+」|『[^』]{4,200}+』"
    r"|(?<![\w'])'(?=\S)(?:[^'\s]|'(?=\w)){1,80}+\s(?:[^']|'(?=\w)){1,200}+(?<=\S)'(?!\w)"
)
_LAST = (".", "!", "?", ":", ",", "…", "。", "！", "？", ";")
_APOSTROPHES = str.maketrans("’‘ʼ`´\u00a0\u202f", "'''''  ")
_ANSWERS = re.compile(r"\s*[^\s:：]{1,6}\s?[:：]")  # "Re:" in any language

_AROUND = " \t,.!?:;\"'()-–—"

# What stands around words, in any script.
_GAP = r"[^\pL\pN]*"


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence, and for each of its lines the place in the text and where it begins in the sentence.

    In `text` each character of another's words is an x; `is_cited` says that it stands in quotation marks as a whole.
    """

    said: str
    text: str
    lines: tuple[tuple[int, int], ...]
    is_cited: bool

    def line_at(self, at: int) -> int:
        """The line of the text, from 0, in which the character of the sentence stands."""
        return max((line for line, start in self.lines if start <= at), default=self.lines[0][0])


def _table() -> dict[str, list[str]]:
    """The patterns of each kind, in the table's order."""
    table: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for place, (kind, pattern, _source) in rows("stop_phrases.tsv", 3):
        if kind not in table:
            raise ValueError(f"{place}: {kind} is none of {', '.join(_KINDS)}")
        try:
            searcher(pattern)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        table[kind].append(pattern)
    return table


@lru_cache(maxsize=1)
def _patterns() -> dict[str, tuple[Search, ...]]:
    """What looks for each kind in a text."""
    table = _table()
    polite = rf"(?:{'|'.join(table['polite'])})"
    within = rf"(?:{'|'.join(table['polite-within'])})"
    built: dict[str, list[str]] = {
        **{kind: [_word(one) for one in table[kind]] for pair in _OTHERS for kind in pair},
        **{kind: [_word(one) for one in table[kind]] for kind in ("asks", "orders", "unless", "keeps")},
        "alone": [rf"^{_GAP}(?:{one}){_GAP}$" for one in table["alone"]],
        "whole": [rf"^{_GAP}(?:{one}){_GAP}$" for one in table["whole"]],
        "command": [rf"(?:^|[^\pL\pN])(?:{one}){_GAP}$" for one in table["command"]],
        "negated": [rf"(?:^|[^\pL\pN])(?:{one})(?:\s+\S+){{0,3}}\s*$" for one in table["negated"]],
        "joins": [rf"[,;:.!?()…–—，。、！？]|(?:^|\s)(?:{'|'.join(table['joins'])})(?:\s|$)"],
        "refuses": [rf"^{_GAP}(?:{one})" for one in table["refuses"]],
        "polite-first": [rf"^{_GAP}{polite}(?:$|[^\pL\pN])", rf"^{_GAP}{within}"],
        "polite-last": [rf"(?:^|[^\pL\pN]){polite}{_GAP}$", rf"{within}{_GAP}$"],
    }
    for kind in ("asks", "thing", "thing-ours", "keeps"):
        built[kind] += table[f"{kind}-within"]
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
        following = [one.text for one in sentences[at + 1 : at + 1 + _NEXT]]
        found = _asked(sentence.text, following) or (_whole(sentences, at) if at < 2 else None)
        if found is None or (sentence.is_cited and not _is_all(sentences, at)):
            continue
        start, end = found
        line = own.split("\n")[sentence.line_at(start)]
        if line in shown:
            return StopRequest(phrase=sentence.said[start:end][:_MOST_PHRASE], line=shown.index(line) + 1)
    title = subject.translate(_APOSTROPHES)[:_MOST_SENTENCE]
    if not sentences and not _ANSWERS.match(title) and (_is("alone", title) or _is("whole", title)):
        return StopRequest(phrase=" ".join(title.split())[:_MOST_PHRASE], line=0)
    return None


def _asked(sentence: str, following: list[str]) -> tuple[int, int] | None:
    """Where the phrase in a sentence begins and ends, in characters."""
    if _is("alone", sentence) and not _is_taken_back("", following):
        return 0, len(sentence)
    for kind in ("asks", "orders"):
        found = _first(kind, sentence)
        if found is None:
            continue
        start, end = found
        before, after = sentence[:start], sentence[end:]
        is_order = _shows("command", before)
        if _shows("negated", before) or _shows("unless", sentence) or _is_taken_back(after, following):
            continue
        if _is_of_another(before, sentence[start:end], after):
            continue
        if not is_order and _ASKED.search(sentence) and following and _shows("refuses", following[0]):
            continue
        if kind == "asks" or is_order or not before.strip(_AROUND):
            return start, end
    return None


def _is_taken_back(after: str, following: list[str]) -> bool:
    """Whether what follows the phrase puts it off, or wants mail or something else of us all the same."""
    if following and _shows("unless", following[0][:_NEXT_BEGINNING]):
        return True
    return any(_shows("keeps", text) for text in (after, *following))


def _is_of_another(before: str, words: str, after: str) -> bool:
    """Whether it is something else than our mail that they leave: the list of a webinar's guests, a course."""
    end = next((found.start() for search in _patterns()["joins"] if (found := search(utf8(after)))), None)
    behind = utf8(after)[:end].decode("utf-8", "replace").split()[:_MOST_LEFT]
    # In Japanese and Korean what is left stands before the phrase.
    left = " ".join([*before.split()[-1:], words, *behind])
    return any(_shows(kind, left) and not _shows(ours, left) for kind, ours in _OTHERS)


def _whole(sentences: list[_Sentence], at: int) -> tuple[int, int] | None:
    """A word that says it where nothing else is said."""
    sentence = sentences[at].text
    return (0, len(sentence)) if _is("whole", sentence) and _is_all(sentences, at) else None


def _is_all(sentences: list[_Sentence], at: int) -> bool:
    """Whether nothing else is said: around the sentence are greetings and a name alone."""
    others = [one.text for index, one in enumerate(sentences) if index != at]
    return all(not _plain(one) or _is_name(one) for one in others)


def _is(kind: str, sentence: str) -> bool:
    """Whether a sentence is nothing but such words, and no question."""
    return not _ASKED.search(sentence) and _shows(kind, _plain(sentence))


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


def _first(kind: str, text: str) -> tuple[int, int] | None:
    """Where the words of the first match begin and end, in characters."""
    raw = utf8(text)
    for search in _patterns()[kind]:
        if match := search(raw):
            before = raw[: match.start()].decode("utf-8", "replace")
            words = match[0].decode("utf-8", "replace")
            start = len(before) + len(words) - len(words.lstrip(_AROUND))
            return start, start + len(words.strip(_AROUND))
    return None


def _shows(kind: str, text: str) -> bool:
    raw = utf8(text)
    return any(search(raw) for search in _patterns()[kind])


def _sentences(text: str) -> Iterator[_Sentence]:
    for said, places in _paragraphs(text):
        shown, is_cited = _without_cited(said)
        at = 0
        for part in (*_END.finditer(shown), None):
            until = part.start() if part else len(shown)
            if shown[at:until].strip():
                lines = tuple((line, max(0, start - at)) for line, start in places if start < until)
                end = min(until, at + _MOST_SENTENCE)
                yield _Sentence(said[at:end], shown[at:end], lines, is_cited)
            at = part.end() if part else until


def _without_cited(said: str) -> tuple[str, bool]:
    """The text with an x for each character of others' words; or as it is, where it is nothing but such words."""
    found = _CITED.search(said)
    if found and not said[: found.start()].strip(_AROUND) and not said[found.end() :].strip(_AROUND):
        return said, True
    return _CITED.sub(lambda cited: "x" * len(cited[0]), said), False


def _paragraphs(text: str) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Lines joined where a long one goes on in the next: the text, and each line's place and beginning in it."""
    joined = ""
    places: list[tuple[int, int]] = []
    for number, line in enumerate(text.split("\n")[:_MOST_LINES]):
        line = " ".join(line.translate(_APOSTROPHES).split())
        if line:
            places.append((number, len(joined) + 1 if joined else 0))
            joined = f"{joined} {line}" if joined else line
        if joined and (len(line) < _WRAPPED or line.endswith(_LAST)):
            yield joined, places
            joined, places = "", []
    if joined:
        yield joined, places
