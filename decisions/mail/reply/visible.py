"""What the writer of a mail wrote: the text without quotes and signatures."""

from __future__ import annotations

import re

from decisions.mail.html import html_text
from decisions.mail.parts import MimePart
from decisions.mail.reply.quotes import classify

MOST_TEXT = 256 << 10  # characters of a text that are read
_MOST_LINES = 5000
# A text of fewer lines below the quote is a signature when something was written above it.
_SIGNATURE_LINES = 7
_GREETING = 40  # characters
# Zero-width characters, and marks of direction, which programs put around names and addresses in Hebrew and Arabic.
_INVISIBLE = dict.fromkeys(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0x061C, 0xFEFF]
)


def body_text(mail: MimePart, *, until_quote: bool = False) -> str:
    """The text of a mail: its first plain part that says anything, else its HTML as text."""
    rich = ""
    for part in mail.walk():
        if part.attached or part.parts or not part.content_type.startswith("text/"):
            continue
        if part.content_type == "text/html":
            rich = rich or part.text()
        elif part.content_type != "text/calendar":
            text = part.text()
            if text.strip():
                return text[:MOST_TEXT]
    return html_text(rich, until_quote=until_quote)[:MOST_TEXT] if rich else ""


def has_quote(mail: MimePart) -> bool:
    """Whether the text holds a quoted mail."""
    kinds = classify(body_text(mail).split("\n")[:_MOST_LINES])
    return "b" in kinds or "q" in kinds or "hhh" in kinds


def visible_text(mail: MimePart) -> str:
    """What its writer wrote, as far as that can be told from what they quote."""
    return without_quotes(body_text(mail, until_quote=True))


def own_text(mail: MimePart) -> str:
    """The lines that its writer certainly wrote: none of a quote, however it is marked, nor of a signature. Often less
    than `visible_text`, and empty where that would rather show a quote than nothing."""
    return certain_text(body_text(mail, until_quote=True))


def certain_text(text: str) -> str:
    """Of a text the lines that stand above what it answers; below a line of the quote those behind an empty line."""
    lines = _lines(text)
    kinds, lines = _dropped("s", *_before_delimiter(classify(lines), lines))
    begin = re.search("b|hhh", kinds)
    own, after_quote, is_free = [], begin is None, True
    for at, (kind, line) in enumerate(zip(kinds, lines, strict=True)):
        if begin is not None and at == begin.start():
            is_free = after_quote = False
        if kind == "q":
            is_free, after_quote = False, True
        elif kind == "e":
            is_free = is_free or after_quote
            own.append("")
        elif kind == "t" and is_free:
            own.append(line)
        elif kind in "bh":
            is_free = after_quote = False
    return "\n".join(own).strip("\n")


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.translate(_INVISIBLE).split("\n")[:_MOST_LINES]]


def without_quotes(text: str) -> str:
    """The text without what it answers, and without the signature; all of it when nothing would be left."""
    lines = _lines(text)
    kinds = classify(lines)
    kinds, lines = _before_delimiter(kinds, lines)
    kinds, lines = _dropped("s", kinds, lines)
    kinds, lines = _before_quoted_mail(kinds, lines)
    if "t" in kinds:
        end = len(kinds.rstrip("eq"))
        kinds, lines = kinds[:end], lines[:end]
    visible = "\n".join(lines).strip("\n").rstrip()
    return visible if visible.strip() else text.strip()


def _before_delimiter(kinds: str, lines: list[str]) -> tuple[str, list[str]]:
    """Up to the first line of dashes or the like, which begins a signature or a quote, if anything stands before it."""
    at = kinds.find("d")
    if at >= 0 and re.search("[tq]", kinds[:at]):
        return kinds[:at], lines[:at]
    return _dropped("d", kinds, lines)


def _dropped(kind: str, kinds: str, lines: list[str]) -> tuple[str, list[str]]:
    if kind not in kinds:
        return kinds, lines
    kept = [at for at, each in enumerate(kinds) if each != kind]
    return "".join(kinds[at] for at in kept), [lines[at] for at in kept]


def _greets(kinds: str, lines: list[str]) -> bool:
    """Whether "Dear Ada," is all that stands above the quote."""
    texts = [line for kind, line in zip(kinds, lines, strict=False) if kind == "t"]
    return len(texts) == 1 and len(texts[0]) < _GREETING and texts[0].endswith((",", "，", "、"))


def _before_quoted_mail(kinds: str, lines: list[str]) -> tuple[str, list[str]]:
    """Up to where the quoted mail begins; where the answer stands below or between, that."""
    begin = re.search("b|hhh", kinds)
    if begin is None:
        return kinds, lines
    at = begin.start()
    before, after = kinds[:at], kinds[at:].lstrip("bheds")
    if "t" in before:
        between = re.search("q[e]*t[et]*q", after)
        below = re.search("q[e]*(t[et]*)$", after)
        is_answer = below and (below[1].count("t") >= _SIGNATURE_LINES or _greets(before, lines))
        if between or is_answer:
            return _dropped("h", *_dropped("b", kinds, lines))  # answered point by point
        return before, lines[:at]
    below = re.search("q[eb]*(t[et]*)$", kinds)
    if below and "q" in after and not re.search("te*q", after):
        return below[1], lines[below.start(1) :]
    return _dropped("h", *_dropped("b", kinds, lines))
