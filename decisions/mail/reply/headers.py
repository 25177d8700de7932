"""Which lines are the headers of a quoted mail: blocks with colons, or each name on a line of its own (Lotus Notes)."""

from __future__ import annotations

import re

from decisions.mail.reply.attributions import has_address, is_day_line
from decisions.mail.reply.patterns import reads

_MOST_WRAPPED = 12  # lines of a Notes header: names may have several recipients below them
_MOST_SENDER = 10  # lines, empty ones too, that say who sent a mail and when, above its other headers
_TITLE = re.compile(r"[-=_*]{3,}[^-=_*].*[-=_*]{3}")
_NAMED = re.compile(r"\s*[*_]{0,2}[^\W\d_][^\d\n:：]{0,24}[*_]{0,2}\s?[:：](?!//)")


def mark_headers(lines: list[str], kinds: list[str]) -> None:
    """Settle which lines of kind "h" are headers and which text; find those that no table has a name for."""
    _join(kinds)
    _unnamed(lines, kinds)
    at = 0
    while at < len(kinds):
        if kinds[at] != "h":
            at += 1
            continue
        end = at
        while end < len(kinds) and kinds[end] == "h":
            end += 1
        if not _is_block(lines, kinds, at, end):
            kinds[at:end] = "t" * (end - at)
        at = end
    _notes(lines, kinds)


def _join(kinds: list[str]) -> None:
    """One line between two headers is the rest of a long one."""
    for at in range(1, len(kinds) - 1):
        if kinds[at] == "t" and kinds[at - 1] == "h" and kinds[at + 1] == "h":
            kinds[at] = "h"


def _is_block(lines: list[str], kinds: list[str], at: int, end: int) -> bool:
    """Quoted headers come in blocks; fewer than three are those of a mail when something says so."""
    if end - at >= 3:
        return True
    before = (kinds[at - 1 : at] or [""])[0] + (kinds[at - 2 : at - 1] or [""])[0]
    if "b" in before or "d" in before:
        return True
    if end - at == 2 and has_address(lines[at]) and is_day_line(lines[at + 1]):
        kinds[at] = "b"
        return True
    return False


def _unnamed(lines: list[str], kinds: list[str]) -> None:
    """Four lines with names and colons, an address in the first and a day in the second or third, are headers in any
    language; so are three below a line of words between dashes."""
    at = 0
    while at < len(lines):
        end = at
        while end < len(lines) and kinds[end] in "th" and end - at < 8 and _NAMED.match(lines[end]):
            end += 1
        if end - at >= 3 and has_address(lines[at]):
            dated = end - at >= 4 and any(is_day_line(line) for line in lines[at + 1 : at + 3])
            if at and kinds[at - 1] == "t" and _TITLE.fullmatch(lines[at - 1].strip()[:200]):
                kinds[at - 1] = "b"
            elif not dated:
                at = end
                continue
            kinds[at:end] = "h" * (end - at)
        at = max(end, at + 1)


def _notes(lines: list[str], kinds: list[str]) -> None:
    """Headers of Lotus Notes: who and when in lines without a name, then "To" and "Subject" with or without colons."""
    for at, line in enumerate(lines):
        if kinds[at] not in "th" or (at and kinds[at - 1] == "h") or not reads("to", line[:200]):
            continue
        first = _sender_above(lines, kinds, at)
        end = _subject_below(lines, kinds, at) if first >= 0 else -1
        if end >= 0:
            kinds[first : end + 1] = ["b" if kind != "e" else "e" for kind in kinds[first : end + 1]]


def _subject_below(lines: list[str], kinds: list[str], at: int) -> int:
    """The line of the subject that belongs to the "To" on line `at`, or -1."""
    for below in range(at + 1, min(len(lines), at + _MOST_WRAPPED)):
        if kinds[below] == "q":
            return -1
        if reads("subject", lines[below][:200]):
            is_alone = below + 1 < len(lines) and len(lines[below].split()) == 1
            return below + 1 if is_alone and kinds[below + 1] in "th" else below
    return -1


def _sender_above(lines: list[str], kinds: list[str], at: int) -> int:
    """The first of the lines above that say who sent the mail and when, or -1 where no day is."""
    first, named = -1, False
    for above in range(at - 1, max(-1, at - 1 - _MOST_SENDER), -1):
        line = lines[above]
        if kinds[above] == "e":
            if first >= 0 and (named or above == 0 or not lines[above - 1].rstrip().endswith(">")):
                break
        elif kinds[above] not in "th" or len(line) > 200:
            break
        elif first >= 0 or is_day_line(line):
            first, named = above, named or has_address(line)
        elif not has_address(line) and not reads("respond", line):
            break
    return first
