"""What the writer of a mail wrote: the text without quotes and signatures."""

from __future__ import annotations

import re

from agents.decisions.mail.html import html_text
from agents.decisions.mail.parts import Part
from agents.decisions.mail.quotes import classify

MOST_TEXT = 256 << 10  # characters of a text that are read
_MOST_LINES = 5000
# A text of fewer lines below the quote is a signature when something was written above it.
_SIGNATURE_LINES = 7
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f"))


def body_text(mail: Part, *, until_quote: bool = False) -> str:
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


def has_quote(mail: Part) -> bool:
    """Whether the text holds a quoted mail."""
    kinds = classify(body_text(mail).split("\n")[:_MOST_LINES])
    return "b" in kinds or "q" in kinds or "hhh" in kinds


def visible_text(mail: Part) -> str:
    """What its writer wrote, as far as that can be told from what they quote."""
    return without_quotes(body_text(mail, until_quote=True))


def without_quotes(text: str) -> str:
    """The text without what it answers, and without the signature; all of it when nothing would be left."""
    lines = [line.rstrip() for line in text.translate(_INVISIBLE).split("\n")[:_MOST_LINES]]
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
        if between or (below and below[1].count("t") >= _SIGNATURE_LINES):
            return _dropped("h", *_dropped("b", kinds, lines))  # answered point by point
        return before, lines[:at]
    below = re.search("q[eb]*(t[et]*)$", kinds)
    if below and "q" in after and not re.search("t[et]*q", after):
        return below[1], lines[below.start(1) :]
    return _dropped("h", *_dropped("b", kinds, lines))
