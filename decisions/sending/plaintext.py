"""The text part of a mail that came with HTML alone: what a reader would read, with each link's address after it."""

from __future__ import annotations

import re
from html import escape
from itertools import zip_longest

from decisions.sending.rewrite import ATTRIBUTES, END_OF_NAME, WS, Scan, SpanText, TextSpan, attributes_of
from schemas.references import unescape

# A tag with its name; or the first that is not closed, with all that follows, for there is no second look at that.
_TAG = re.compile(rf"</?([a-zA-Z][^{WS}/>]*+){ATTRIBUTES}>|<[!?/][^>]*+>|(</?[a-zA-Z!?].*+)", re.DOTALL)
# In what follows, a tag ends before the next "<": so no part of it is read twice.
_SHORT_TAG = re.compile(rf"</?([a-zA-Z][^{WS}/<>]*+)[^<>]*+>|</?[!?][^<>]*+>")
# Everything before the end tag of a link, which may also stand in an attribute, where it is none.
_IN_LINK = re.compile(
    rf"(?:[^<]++|</?(?![aA]{END_OF_NAME})[a-zA-Z][^{WS}/>]*+{ATTRIBUTES}>|<[!?/](?![a-zA-Z])[^>]*+>|<(?!/[aA]{END_OF_NAME}))*+"
)
_IMAGE = re.compile(rf"<(?i:img){END_OF_NAME}({ATTRIBUTES})>")
# A tag with attributes that the end of the email tore off: it is no text.
_TORN = re.compile(rf"<[a-zA-Z][^{WS}/<>]*+[{WS}/][^<>=]*+=[^<>]*+\Z")
# Elements that begin and end a line.
_LINES = frozenset(
    {"br", "p", "div", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "hr", "pre", "center"}
    | {"blockquote", "section", "article", "header", "footer"}
)
_CELLS = frozenset({"td", "th"})

# Where a line ends, while white space is still put in order: HTML holds no NUL, a browser drops it.
_BREAK = "\0"
# What stands for a comment until tags are gone: "<" before a comment and a name after it are text and no tag.
_CUT = "\1"


class _Ends(dict[str | None, str]):
    """What a tag of this name ends: a line, a table's cell, or nothing."""

    def __missing__(self, name: str | None) -> str:
        if name is None:
            return ""
        return _BREAK if name.lower() in _LINES else " " * (name.lower() in _CELLS)


# Known names in the usual spellings, so that most look-ups need no Python.
_ends_line = _Ends(
    dict.fromkeys(_LINES, _BREAK)
    | {None: ""}
    | dict.fromkeys(("a", "b", "i", "em", "strong", "span", "font"), "")
    | dict.fromkeys(("img", "tbody", "html", "body", "head"), "")
    | dict.fromkeys(_CELLS, " ")
).__getitem__
_AT_END = f"{_BREAK} "  # of a link's words, before which its address stands
# What preheaders are padded with, besides what str.split takes for white space.
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u034f\u00ad"


def plaintext(found: Scan) -> str:
    """Text of the HTML that this is the scan of, one paragraph or table row a line."""
    told: list[str] = []
    url = None
    for stretch, tag in zip_longest(found.stretches, found.tags):
        known = stretch.told
        if known is None or known[0] != url:
            known = stretch.told = url, _told(stretch, url)
        told.append(known[1])
        url = tag.href.url if tag and tag.is_a and tag.href else None
    text = "".join(told)
    while "  " in text:
        text = text.replace("  ", " ")
    return "\n".join(filter(None, map(str.strip, text.split(_BREAK))))


def _told(stretch: TextSpan, url: str | None) -> str:
    """The text of the stretch, with the address of the link before it."""
    if stretch.said is None:
        stretch.said = _said(stretch)
    said = stretch.said
    if url is None or not (said.shown or said.pictured):
        return said.within + said.after
    words = said.linked.rstrip(_AT_END)
    return f"{words}{_address(url, said.shown)}{said.linked[len(words) :]}{said.after}"


def _said(stretch: TextSpan) -> SpanText:
    source = stretch.source[: stretch.length]
    parts, at = [], 0
    for start, end in sorted(stretch.hidden):
        parts.append(source[at:start])
        at = max(at, end)
    parts.append(source[at:])
    # Only `_text` may see what is not closed: in it, other patterns would look for the end again at every "<".
    unclosed = stretch.source[max(at, stretch.length) :] if stretch.last else ""
    html = _CUT.join(parts).replace(_BREAK, _CUT)
    link = _IN_LINK.match(html)
    ends = link.end() if link else len(html)
    within = linked = _text(html[:ends])
    described, images = _IMAGE.subn(_alternative, html[:ends])
    if images:
        linked = _text(described)
    return SpanText(linked.replace(_BREAK, "").strip(), within, linked, _text(html[ends:] + unclosed), images > 0)


def _alternative(image: re.Match[str]) -> str:
    return f" {escape(attributes_of(image[1]).get('alt', ''))} "


def _text(html: str) -> str:
    """The text without tags, line ends as `_BREAK`; white space is a single space, at the edges too."""
    pieces = _TAG.split(html)  # text, tag name, and what is not closed, in turn
    unclosed = pieces[-2] if len(pieces) > 1 else None
    del pieces[2::3]
    if unclosed:
        pieces[-1:] = _SHORT_TAG.split(_TORN.sub("", unclosed))
    pieces[1::2] = map(_ends_line, pieces[1::2])
    text = "".join(pieces).replace(_CUT, "")
    if "&" in text:
        text = unescape(text)
    if not text.isascii():
        for character in _INVISIBLE:
            text = text.replace(character, "")
    before, after = " " * text[:1].isspace(), " " * text[-1:].isspace()
    return f"{before}{' '.join(text.split())}{after}"


def _address(url: str, shown: str) -> str:
    """What is put after a link, unless it shows its address itself."""
    scheme = url.partition(":")[0].lower()
    if scheme not in ("http", "https", "mailto"):
        return ""
    address = " ".join((url[len("mailto:") :] if scheme == "mailto" else url).split())
    if not shown:  # an image that nobody has described
        return f" {address} "
    return "" if shown == address else f" ({address})"
