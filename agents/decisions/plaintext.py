"""The text part of a mail that came with HTML alone: what a reader would read, with each link's address after it."""

from __future__ import annotations

import html as _html
import re

from agents.decisions.rewrite import ATTRIBUTES, END_OF_NAME, WS, Scan, href_of

_LINK = re.compile(rf"<[aA]{END_OF_NAME}({ATTRIBUTES})>((?:[^<]++|<(?!/?[aA]{END_OF_NAME}))*+)")
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


def plaintext(html: str, found: Scan) -> str:
    """Text of the HTML, one paragraph or table row a line. `found` is the scan of the same HTML."""
    parts, at = [], 0
    for start, end in sorted(found.hidden):
        parts.append(html[at:start])
        at = max(at, end)
    parts.append(html[at:])
    text = "".join(parts).replace("-->", "")
    if _BREAK in text:
        text = text.replace(_BREAK, "")
    text = _LINK.sub(_with_address, text)
    pieces = _TAG.split(text)  # text and tag names in turn
    pieces[1::2] = map(_ends_line, pieces[1::2])
    text = "".join(pieces)
    if "&" in text:
        text = _html.unescape(text)
    if not text.isascii():
        for character in _INVISIBLE:
            text = text.replace(character, "")
    return "\n".join(filter(None, map(str.strip, " ".join(text.split()).split(_BREAK))))


def _with_address(link: re.Match[str]) -> str:
    content = link[2]
    shown = (_TAG.sub("", content) if "<" in content else content).strip()
    href = href_of(link[1]) if shown else None
    if href is None or not href.url.startswith(("http://", "https://", "mailto:")):
        return content
    address = href.url.removeprefix("mailto:")
    return (
        content
        if (_html.unescape(shown) if "&" in shown else shown) == address
        else f"{content} ({_html.escape(address)})"
    )
