"""What each line of a reply is: the writer's text, a quote, the words before a quote, a signature's mark.

Lines are classified one by one in time linear in their length, so no text can make this slow.
"""

from __future__ import annotations

import re
import unicodedata

from decisions.mail.reply.attributions import MOST_LINE, attributed
from decisions.mail.reply.headers import mark_headers
from decisions.mail.reply.patterns import reads

# One letter a line: e empty, q quote, d delimiter, b begin of a quoted mail, h quoted header, s device's line or
# another to leave out, t text. A rule ("-----") is r until it is known what it is drawn between.

_BLANKS = dict.fromkeys(map(ord, "\u00a0\u2007\u202f\u3000"), " ")
_QUOTE = re.compile(r"\s{0,3}(?:[A-Za-z]{1,20})?[>|]|\s{0,3}&gt;")
_NOTES_TABLE = re.compile(r"\|-{6,}>\s*")  # around each header of the quoted mail, where Lotus Notes draws a table
_ROW = re.compile(r"\s*\|[^|]*\|")  # of a table
# RFC 3676, 4.3: "-- "; its blank is often lost. Streak and Mailtrack put theirs beside it.
_SIGNATURE = re.compile(r"[\s\u200b]*(?:--\s*ᐧ?|ᐧ)[\s\u200b]*")
_DASH = re.compile(r"\s*[—⁃–]\s*")  # what some programs make of "--"
_RULE = re.compile(r"[\s\u200b]*[-_=+~#*—–⁃━]{2,}[\s\u200b]*")
# A text of fewer lines below a lone dash is a signature.
_SIGNATURE_LINES = 7
# Where programs that wrap a quote forget its mark: lines are up to 78 characters long (RFC 3676, 4.2), and words are
# not torn, so that the first part may be some shorter.
_WRAPPED = 60
_FULL_STOPS = (".", "!", "?", ":", "。", "！", "？", "…", ";")


def classify(lines: list[str]) -> str:
    """A letter for each line."""
    lines = [line if line.isascii() else unicodedata.normalize("NFC", line).translate(_BLANKS) for line in lines]
    kinds: list[str] = []
    for line in lines:
        kind = _one(line)
        if kind == "t" and kinds and kinds[-1] in "bq" and _ROW.match(line):
            kind = "q"
        kinds.append(kind)
    last = len("".join(kinds).rstrip("qe")) - 1
    for at in range(len(lines)):
        if kinds[at] in "th" or _goes_on(lines, kinds, at):
            first = attributed(lines, kinds, at, is_last=at >= last)
            if first >= 0:
                kinds[first : at + 1] = "b" * (at + 1 - first)
    mark_headers(lines, kinds)
    _rules(lines, kinds)
    _wrapped(lines, kinds)
    return "".join(kinds)


def _goes_on(lines: list[str], kinds: list[str], at: int) -> bool:
    """Whether a line that begins as a quote does may be of an attribution: an address in angle brackets that began
    above, or GroupWise's ">>>" where no quote stands above."""
    above, kind_above = (lines[at - 1], kinds[at - 1]) if at else ("", "e")
    if kinds[at] != "q":
        return False
    return (kind_above in "th" and above.rfind("<") > above.rfind(">")) or (
        lines[at].startswith(">>>") and kind_above != "q"
    )


def _one(line: str) -> str:
    if not line.strip():
        return "e"
    if _QUOTE.match(line):
        return "t" if _ROW.match(line) else "b" if _NOTES_TABLE.fullmatch(line) else "q"
    line = line[:MOST_LINE]
    if _SIGNATURE.fullmatch(line):
        return "d"
    if _RULE.fullmatch(line) or _DASH.fullmatch(line):
        return "r"
    if reads("marker", line):
        return "b"
    if reads("header", line):
        return "h"
    return "s" if len(line) < 200 and reads("device", line.strip()) else "t"


def _rules(lines: list[str], kinds: list[str]) -> None:
    """A rule belongs to the quoted mail or the list's footer below it. Any other is the writer's, and so is one that
    closes what the same rule opened."""
    firsts = {lines[at].strip(): at for at in range(len(lines) - 1, -1, -1) if kinds[at] == "r"}
    below, next_line = "", ""  # the kinds of up to three lines that follow and are not empty, and the first of these
    texts = 0
    for at in range(len(lines) - 1, -1, -1):
        kind = kinds[at]
        if kind == "r":
            closes = at > 0 and (_ROW.match(lines[at - 1]) or (kinds[at - 1] == "t" and firsts[lines[at].strip()] < at))
            few = texts < _SIGNATURE_LINES
            kind = kinds[at] = "t" if closes else _rule(lines[at], below, next_line, few=few)
        if kind != "e":
            below, next_line = (kind + below)[:3], lines[at]
        texts = texts + 1 if kind == "t" else 0 if kind in "bqh" else texts


def _rule(line: str, below: str, next_line: str, *, few: bool) -> str:
    """The kind of a rule above these kinds and this line; `few` is whether few lines of text follow."""
    if not below or below.startswith(("b", "hh", "d")):
        return "d"
    if below.startswith("q"):
        return "s"
    if below.startswith("t") and reads("footer", next_line[:MOST_LINE]):
        return "d"
    return "d" if _DASH.fullmatch(line) and few else "t"


def _wrapped(lines: list[str], kinds: list[str]) -> None:
    """A line right below a long one of a quote and right above another is the rest of it, unless it answers."""
    for at in range(1, len(lines) - 1):
        if kinds[at] != "t" or kinds[at - 1] != "q" or len(lines[at - 1]) < _WRAPPED:
            continue
        above = lines[at - 1].rstrip()
        answers = above.endswith(_FULL_STOPS) and not lines[at].lstrip()[:1].islower()
        goes_on = kinds[at + 1] == "q" or (len(lines[at]) >= _WRAPPED and kinds[at + 1 : at + 3] == ["t", "q"])
        if goes_on and not answers:
            kinds[at] = "q"
