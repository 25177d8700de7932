"""The text part of a mail that came with HTML alone: what a reader would read, with each link's address after it."""

from __future__ import annotations

import html as _html
import re

from agents.decisions.rewrite import ATTRIBUTES, END_OF_NAME, WS, Href, Scan, Stretch

_END_OF_LINK = re.compile(rf"</[aA]{END_OF_NAME}")
_TAG = re.compile(rf"</?([a-zA-Z][^{WS}/>]*+){ATTRIBUTES}>|</?[!?][^>]*+>")
# Elements that begin and end a line.
_LINES = frozenset(
    {"br", "p", "div", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "hr", "pre", "center"}
    | {"blockquote", "section", "article", "header", "footer"}
)

# Where a line ends, while white space is still put in order: HTML holds no NUL, a browser drops it.
_BREAK = "\0"


class _Ends(dict[str | None, str]):
    """What a tag of this name ends: a line, or nothing."""

    def __missing__(self, name: str | None) -> str:
        return _BREAK if name is not None and name.lower() in _LINES else ""


# Known names in the usual spellings, so that most look-ups need no Python.
_ends_line = _Ends(
    dict.fromkeys(_LINES, _BREAK)
    | {None: ""}
    | dict.fromkeys(("a", "b", "i", "em", "strong", "span", "font"), "")
    | dict.fromkeys(("img", "td", "th", "tbody", "html", "body", "head"), "")
).__getitem__
# What preheaders are padded with, besides what str.split takes for white space.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u034f\u00ad"


def plaintext(found: Scan) -> str:
    """Text of the HTML that this is the scan of, one paragraph or table row a line."""
    parts: list[str] = []
    for link, stretch in zip((None, *found.links), found.stretches, strict=True):
        if stretch.said is None:
            stretch.said = _said(stretch)
        shown, within, after = stretch.said
        parts += (within, _address(link, shown), after) if link and shown else (within, after)
    text = "".join(parts)
    while "  " in text:
        text = text.replace("  ", " ")
    return "\n".join(filter(None, map(str.strip, text.split(_BREAK))))


def _said(stretch: Stretch) -> tuple[str, str, str]:
    """What a link before the stretch shows as its own, on one line; the text of it, and that of what follows it."""
    source = stretch.source if stretch.last else stretch.source[: stretch.length]
    parts, at = [], 0
    for start, end in sorted(stretch.hidden):
        parts.append(source[at:start])
        at = max(at, end)
    parts.append(source[at:])
    html = "".join(parts).replace("-->", "").replace(_BREAK, "")
    link = _END_OF_LINK.search(html)
    ends = link.start() if link else len(html)
    within = _text(html[:ends])
    return within.replace(_BREAK, "").strip(), within, _text(html[ends:])


def _text(html: str) -> str:
    """The text without tags, line ends as `_BREAK`; white space is a single space, at the edges too."""
    pieces = _TAG.split(html)  # text and tag names in turn
    pieces[1::2] = map(_ends_line, pieces[1::2])
    text = "".join(pieces)
    if "&" in text:
        text = _html.unescape(text)
    if not text.isascii():
        for character in _INVISIBLE:
            text = text.replace(character, "")
    before, after = " " * text[:1].isspace(), " " * text[-1:].isspace()
    return f"{before}{' '.join(text.split())}{after}"


def _address(link: Href, shown: str) -> str:
    """What is put after a link, unless it shows its address itself."""
    if not link.url.startswith(("http://", "https://", "mailto:")):
        return ""
    address = " ".join(link.url.removeprefix("mailto:").split())
    return "" if shown == address else f" ({address})"
