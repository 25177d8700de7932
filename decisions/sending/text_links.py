"""The links of a text part: where an address begins and ends among words that were written around it."""

from __future__ import annotations

import re
from collections.abc import Callable

# What stands around an address and never in one as people copy it: quotation marks, and the stops and brackets of
# Chinese and Japanese, which stand there without a space; what has no width and what turns the direction of writing.
_AROUND = (
    '<>"`“”„‟«»‹›…、。〈〉《》「」『』【】〔〕〖〗〝〞〟（），．：；！？［］｛｝｢｣｡､\u200b\u200e\u200f\u2060\ufeff'
)
_ADDRESS = re.compile(rf"(?<![A-Za-z0-9])https?://[^\s{re.escape(_AROUND)}]++", re.IGNORECASE)
_AFTER_SENTENCE = ".,;:!?'*‘’‚‛—–"
_OPENED_BY = {")": "(", "]": "["}
_BRACKET = re.compile(r"[][()]")
_EMPHASIS = "_~"  # of Markdown; addresses end with them too
_LOOKED_AT = 200  # characters before an address in which its emphasis may have begun


def wrapped(text: str, wrap: Callable[[str], str | None]) -> str:
    """The text with `wrap(address)` in the place of every address that it has an answer for."""

    def instead(found: re.Match[str]) -> str:
        url = found[0][: _length(found[0], text, found.start())]
        other = wrap(url)
        return found[0] if other is None else other + found[0][len(url) :]

    return _ADDRESS.sub(instead, text)


def _length(found: str, text: str, at: int) -> int:
    """How much of it is the address, without what ends a sentence, a bracket or an emphasis around it."""
    end = _closing(found)
    emphasised = {mark for mark in _EMPHASIS if mark in found[:end][-8:] and _begins(mark, text, at)}
    while end and (found[end - 1] in _AFTER_SENTENCE or found[end - 1] in emphasised):
        end -= 1
    return end


def _closing(found: str) -> int:
    """Where the first bracket stands that was opened before the address."""
    depth = dict.fromkeys(_OPENED_BY.values(), 0)
    for bracket in _BRACKET.finditer(found):
        opening = _OPENED_BY.get(bracket[0])
        if opening is None:
            depth[bracket[0]] += 1
        elif not depth[opening]:
            return bracket.start()
        else:
            depth[opening] -= 1
    return len(found)


def _begins(mark: str, text: str, at: int) -> bool:
    """Whether an emphasis by this mark has begun on the address's line before it."""
    line = text[max(text.rfind("\n", max(0, at - _LOOKED_AT), at) + 1, at - _LOOKED_AT) : at]
    return re.search(rf"(?:^|[\s(*_~]){re.escape(mark)}(?:\S|$)", line) is not None
