"""What each line of a reply is: the writer's text, a quote, the words before a quote, a signature's mark.

Lines are classified one by one in time linear in their length, so no text can make this slow.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2

from agents.decisions.tables import rows

# One letter a line: e empty, q quote, d delimiter, b begin of a quoted mail, h quoted header, s device's line, t text.
_MOST_LINE = 600  # characters of a line, or of the lines of one attribution, that are looked at
_MOST_JOINED = 4  # lines that one attribution may be wrapped over

_QUOTE = re.compile(r"\s{0,3}(?:[A-Za-z]{1,20})?[>|]|\s{0,3}&gt;")
_DELIMITER = re.compile(r"[\s\u200b]*(?:[-_=+~#*—–⁃]{2,}|[—ᐧ]|--\s*ᐧ?)[\s\u200b]*")
# A date, a time of day, or an address: who quotes says when or whom, and who just writes "I wrote two mails:" does not.
_DATED = re.compile(r"\d{1,2}[:.hH]\d{2}|\d{4}|\d{1,2}[./-]\s?\d{1,2}|@")
_DATE_SOON = re.compile(r"\s*(?:\S+\s){0,3}\S*\d")
_FRAME = r"[\s>*_~=#—–|-]*"
_ENDS = (":", "：", ":*", ":_")


@lru_cache(maxsize=1)
def _patterns() -> dict[str, Any]:
    words: dict[str, list[str]] = {}
    for _, (what, pattern, _) in rows("reply_words.tsv", 3):
        words.setdefault(what, []).append(pattern)
    joined = {what: "|".join(patterns) for what, patterns in words.items()}
    verb, starter = joined["verb"], joined["starter"]
    # Words of other scripts have no blanks around them, so ends of words are asked of the verbs by hand.
    said = rf"(?:^|[\s,>)\"'、，]){{0,1}}(?:{verb})(?:\([^)]{{1,4}}\))?"
    begins = rf"^[\s*_>(]*(?:(?:{starter})[\s,.]|\d|[\p{{Lu}}\p{{Lo}}]).{{3,}}"
    built = {
        # "On <date> <somebody> wrote:"
        "attribution": rf"{begins}{said}[\s*_]*[:：][\s*_]*$",
        # "Am <date> schrieb <somebody>:"
        "inverted": rf"{begins}(?:{joined['inverted']})\s.{{2,160}}[:：][\s*_]*$",
        # "<somebody> <address> wrote ...:"
        "named": rf"^[\s*_]*.{{0,120}}<?\S+@\S+>?\)?,?\s.{{0,80}}{said}.{{0,80}}[:：][\s*_]*$",
        # "2017-02-05 13:29 GMT+02:00 Name <address>:"
        "dated": r"^[\s*_]*.{0,60}\d{1,4}.{4,160}<\s?\S+@\S+\s?>\s?[:：][\s*_]*$",
        "header": rf"^[\s*_>]*(?:{joined['header']})\s?[*_]{{0,2}}\s?[:：]",
        "marker": rf"^(?:{_FRAME}(?:{joined['marker']})[^.!?]{{0,60}}[-_=*~:：]+[\s>*_-]*$"
        rf"|[\s>]*-{{2,}}.{{0,10}}(?:{joined['marker']}))",
        "device": joined["device"],
    }
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    return {what: re2.compile(pattern.encode(), options).search for what, pattern in built.items()}


def _shows(what: str, text: str) -> bool:
    return bool(_patterns()[what](text.encode("utf-8", "replace")))


def classify(lines: list[str]) -> str:
    """A letter for each line."""
    kinds = [_one(line) for line in lines]
    for at, line in enumerate(lines):
        torn = kinds[at] == "q" and at > 0 and kinds[at - 1] in "th" and _torn(lines[at - 1])
        if (kinds[at] in "th" or torn) and line.rstrip().endswith(_ENDS):
            first = _attributed(lines, kinds, at)
            if first >= 0:
                kinds[first : at + 1] = "b" * (at + 1 - first)
    _headers(kinds)
    return "".join(kinds)


def _torn(line: str) -> bool:
    """Whether an address in angle brackets goes on in the next line, which then begins as a quote does."""
    return line.rfind("<") > line.rfind(">")


def _one(line: str) -> str:
    if not line.strip():
        return "e"
    if _QUOTE.match(line):
        return "q"
    line = line[:_MOST_LINE]
    if _DELIMITER.fullmatch(line):
        return "d"
    if _shows("marker", line):
        return "b"
    if _shows("header", line):
        return "h"
    return "s" if len(line) < 200 and _shows("device", line.strip()) else "t"


def _attributed(lines: list[str], kinds: list[str], last: int) -> int:
    """The first line of the attribution that ends on line `last`, or -1 when none does."""
    found = -1
    for first in range(last, max(-1, last - _MOST_JOINED), -1):
        if kinds[first] not in "th" and first < last:
            break
        text = " ".join(line.strip() for line in lines[first : last + 1])
        if len(text) > _MOST_LINE:
            break
        if not _DATED.search(text):
            continue
        if any(_shows(what, text) for what in ("dated", "named", "attribution", "inverted")):
            if first < last and found >= 0 and not _starts(lines[first]):
                break
            found = first
    return found


def _starts(line: str) -> bool:
    """Whether a line may begin an attribution that a shorter one was found in already."""
    return _DATE_SOON.match(line) is not None


def _headers(kinds: list[str]) -> None:
    """Quoted headers come in blocks: one line between two of them is the rest of a long one, a lone one is text."""
    for at in range(1, len(kinds) - 1):
        if kinds[at] == "t" and kinds[at - 1] == "h" and kinds[at + 1] == "h":
            kinds[at] = "h"
    at = 0
    while at < len(kinds):
        if kinds[at] != "h":
            at += 1
            continue
        end = at
        while end < len(kinds) and kinds[end] == "h":
            end += 1
        if end - at < 3 and (at == 0 or kinds[at - 1] not in "bd") and not (at >= 2 and kinds[at - 2] in "bd"):
            kinds[at:end] = "t" * (end - at)
        at = end
