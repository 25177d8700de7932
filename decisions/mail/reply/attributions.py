"""Which lines say who wrote the quoted mail below them, and when: "On <date> <somebody> wrote:".

Verbs and first words come from reply_words.tsv. An address beside a day and a time of day needs none of them: programs
alone write these three on one line that ends with a colon, so languages that no table has are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from decisions.mail.reply.patterns import reads

MOST_LINE = 600  # characters of a line that are looked at
_MOST = 400  # characters of an attribution
_MOST_JOINED = 4  # lines that one attribution may be wrapped over
_MOST_NAME = 60  # characters of "<somebody> wrote:"

COLONS = (":", "：", "∶", "﹕", "៖", "։")
_COLON = " " + "".join(COLONS)
# A date, a time of day, or an address: who quotes says when or whom, and who just writes "I wrote two mails:" does not.
_DATED = re.compile(r"\d{1,2}[:.hH]\d{2}|\d{4}|\d{1,2}[./-]\s?\d{1,2}|@")
_DATE_SOON = re.compile(r"\s*(?:\S+\s){0,3}\S*\d")
_DAY = re.compile(r"(?<!\d)\d{4}(?!\d)|(?<!\d)\d{1,2}[./-]\s?\d{1,2}[./-]\s?\d{2}(?!\d)")
_CLOCK = re.compile(r"(?<!\d)\d{1,2}(?:[:∶hH]|\s?[시点點时時]\s?)\d{2}|(?<![\d./-])\d{1,2}\.\d{2}(?![\d./-])")
_ADDRESS = re.compile(r"[<(\[]\s?(?:mailto:)?[^\s<>()\[\]@]{1,64}@[^\s<>()\[\]@]{1,255}\s?[>)\]]")
_NUMBER = re.compile(r"\d")
_AT = re.compile(r"[^\s@]@[^\s@]")
_ADDRESS_LAST = re.compile(r"[^\s<>()\[\]@]@[^\s<>()\[\]@:]{1,255}\s?$")
_NUMBER_LAST = re.compile(r"\d[^\s:]{0,3}(?:\s[^\s:]{1,5})?\s?[:：]$")
_MUTT = re.compile(r"\s*\*\s.{1,100}\[[^\]]{1,60}\]\s?:")  # "* Name [2026-11-02 09:00 +0000]:"
_DASHES = "-_=*~—–━"
_MARKED = ">>>"  # before and behind an attribution of GroupWise
_GOES_ON = re.compile(r"\s*[<(\[]|\s*\S{1,64}@")


def attributed(lines: list[str], kinds: list[str], last: int, *, is_last: bool = False) -> int:
    """The first line of the attribution that ends on line `last`, or -1 when none does.

    `kinds` are the letters of quotes.py; lines that are neither text nor header end an attribution. `is_last`: whether
    only quotes follow.
    """
    if not _may_end(lines[last]):
        return -1
    around = lines[max(0, last + 1 - _MOST_JOINED) : last + 1]
    if not lines[last].rstrip(" " + _DASHES).endswith(COLONS) and not any(map(_NUMBER.search, around)):
        return -1
    found = -1
    above_quote = _next_kind(kinds, last) == "q"
    apart = last + 1 >= len(lines) or kinds[last + 1] in "eq"
    for first in range(last, max(-1, last - _MOST_JOINED), -1):
        if kinds[first] not in "th" and first < last and not lines[first].startswith(_MARKED):
            break
        text = " ".join(line.strip() for line in lines[first : last + 1])
        if len(text) > _MOST:
            break
        starts = first == 0 or kinds[first - 1] not in "th"
        if not _attributes(_candidate(text, above_quote, is_last, starts, apart)):
            continue
        if first < last and found >= 0 and not _joins(lines[first], lines[found]):
            break
        found = first
    return found


def is_day_line(line: str) -> bool:
    """Whether a line names a day and a time of day and is not much longer than these."""
    return len(line) < 120 and bool(_DAY.search(line) and _CLOCK.search(line))


def has_address(line: str) -> bool:
    """Whether there is an address on a line, in whatever brackets or in none."""
    return _AT.search(line[:MOST_LINE]) is not None


def _may_end(line: str) -> bool:
    """Whether an attribution can end with this line: most lines of most texts can't, and are not looked at further."""
    line = line[-MOST_LINE:].rstrip()
    return (
        line.endswith((*COLONS, ">", ")", *_DASHES))
        or line.rstrip(" ." + _DASHES).endswith(COLONS)
        or reads("verb-last", line.rstrip("."))
        or is_day_line(line)
        or line.lstrip().startswith(COLONS)
    )


def _next_kind(kinds: list[str], last: int) -> str:
    """The kind of the next line that is not empty."""
    at = last + 1
    while at < len(kinds) and at <= last + _MOST_JOINED and kinds[at] == "e":
        at += 1
    return kinds[at] if at < len(kinds) else ""


def _joins(line: str, next_line: str) -> bool:
    """Whether a line begins the attribution that a shorter one was found in already."""
    if _DATE_SOON.match(line) or (_ADDRESS.search(line) and not _ADDRESS.search(next_line)):
        return True
    return line.rfind("<") > line.rfind(">") or _GOES_ON.match(next_line) is not None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What the rules look at: a line or several, joined, and what stands around them.

    `core` is the text without dashes at its ends; `starts` and `apart`: whether no text stands right above, and below.
    """

    text: str
    core: str
    day: bool
    clock: bool
    address: bool
    above_quote: bool
    is_last: bool
    starts: bool
    apart: bool

    @property
    def whole(self) -> bool:
        """Whether both a day and a time of day are named."""
        return self.day and self.clock

    def says(self, *what: str) -> bool:
        """Whether it reads so, and not as one writes who tells of what they wrote themselves."""
        return any(reads(each, self.core) for each in what) and not reads("self", self.core)

    def names(self, *what: str) -> bool:
        """Whether it reads so, and does not begin as one writes who tells of what others wrote: "you wrote:"."""
        return self.says(*what) and not reads("others", self.core)


def _candidate(text: str, above_quote: bool, is_last: bool, starts: bool, apart: bool) -> _Candidate:
    text = text.strip()
    core = text.strip(_DASHES + "> ") if text.startswith(_MARKED) else text.strip(_DASHES + " \t#|")
    day, clock, address = (search(core) is not None for search in (_DAY.search, _CLOCK.search, _ADDRESS.search))
    return _Candidate(text, core, day, clock, address, above_quote, is_last, starts, apart)


_Rule = Callable[[_Candidate], bool]

# With a colon, a day and a time of day.
_WHOLE: tuple[_Rule, ...] = (
    lambda one: one.address,
    lambda one: _ADDRESS_LAST.search(one.core.rstrip(_COLON)) is not None,
    lambda one: _MUTT.match(one.text) is not None,
    lambda one: one.says("dated", "named", "attribution", "inverted", "phrase", "spoken"),
    lambda one: one.above_quote and one.says("verb", "speech"),
    # In languages that no table has; where an answer follows, the line may speak of what it answers.
    lambda one: one.above_quote and one.is_last and one.starts and one.names("any"),
    # "<somebody> wrote the following on <date>:"
    lambda one: _NUMBER_LAST.search(one.core) is not None and one.names("verb", "speech"),
)
# With a colon and some of a date, or an address.
_DATED_SOMEHOW: tuple[_Rule, ...] = (
    lambda one: one.says("dated", "attribution", "inverted"),
    lambda one: one.address and any(reads(what, one.core) for what in ("named", "phrase")),
    lambda one: (one.day or reads("verb-last", one.core[:-1])) and one.says("named"),
    lambda one: one.above_quote and one.address and reads("verb", one.core),
    lambda one: one.above_quote and one.day and one.says("spoken"),
)
# With a colon alone: "<somebody> wrote:".
_UNDATED: tuple[_Rule, ...] = (
    lambda one: one.above_quote and one.starts and len(one.core) < _MOST_NAME and one.names("bare"),
)
# Between dashes, or GroupWise's marks.
_FRAMED: tuple[_Rule, ...] = (
    lambda one: (one.day or one.clock) and (one.address or one.text.startswith(_MARKED)),
    lambda one: (one.day or one.clock) and reads("verb-last", one.core),
)
# With neither, all the rest must be there.
_OPEN: tuple[_Rule, ...] = (
    lambda one: one.whole and one.address and one.apart and one.says("verb"),
    lambda one: one.whole and (one.address or one.apart) and one.says("verb-last"),
    lambda one: one.above_quote and one.day and (one.clock or one.address) and one.says("verb"),
    lambda one: one.above_quote and one.whole and one.core.startswith(COLONS),  # what is read from the right, torn
)


def _attributes(one: _Candidate) -> bool:
    if one.core.endswith(COLONS):
        rules = _WHOLE if one.whole else _DATED_SOMEHOW if _DATED.search(one.text) else _UNDATED
    elif _is_framed(one.text):
        rules = _FRAMED
    else:
        rules = _OPEN if one.starts else ()
    return any(rule(one) for rule in rules)


def _is_framed(text: str) -> bool:
    """Whether a line has dashes or the like at both ends."""
    if text.startswith(_MARKED):
        return text.endswith(_MARKED)
    return text[:2].strip(_DASHES) == "" and text[-2:].strip(_DASHES) == "" and len(text) > 4
