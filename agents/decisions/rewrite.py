"""Rewrites an email's HTML by source offset: links are replaced and a tail is put in, every other character stays.

Nothing is parsed into a tree and written back, because templates live by what serialisers tidy away: conditional
comments, odd attribute quoting, unclosed tags. The scanner follows the tokenizer of the HTML standard (WHATWG, 13.2.5)
as far as offsets need it, so that what a mail client takes for a link is what is wrapped.
"""

from __future__ import annotations

import html as _html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

_WS = r"\t\n\f\r "
# What may stand between a tag's name and its ">": quotes hide a ">" only right after "=".
_ATTRIBUTES = rf"""(?:[^>=]++|=[{_WS}]*+(?:"[^"]*+"|'[^']*+'|(?!["'])[^{_WS}>]*+))*+"""
_END_OF_NAME = rf"(?=[{_WS}/>])"
# VML shapes are how Outlook gets its buttons; their href is as clickable as that of <a>.
_LINKED = r"(?i:a|area|v:[a-z]+)"
# Elements whose content is text to a parser (13.2.5.2 and 13.2.5.3); <noscript> is not, as mail runs no scripts.
_RAW = r"(?i:script|style|textarea|title|xmp|iframe|noembed|noframes|plaintext)"
_CLOSING = r"(?i:body|html)"

# Each match is either a run of everything that needs no attention, or one token that does: most of the work is done
# inside the regular expression engine. Possessive throughout: linear on any input.
_TOKEN = re.compile(
    rf"""
    (?: [^<]++
      | <(?!(?:{_LINKED}|{_RAW}){_END_OF_NAME})[a-zA-Z]{_ATTRIBUTES}>
      | </(?!{_CLOSING}{_END_OF_NAME})[a-zA-Z]{_ATTRIBUTES}>
      | <(?:!(?!--)|\?|/(?![a-zA-Z]))[^>]*+>
      | <(?![a-zA-Z/!?])
    )++
    | <{_LINKED}{_END_OF_NAME}(?P<attributes>{_ATTRIBUTES})>
    | <(?P<raw>{_RAW}){_END_OF_NAME}{_ATTRIBUTES}>
    | </(?P<closing>{_CLOSING}){_END_OF_NAME}{_ATTRIBUTES}>
    | (?P<comment><!--)
    """,
    re.VERBOSE,
)
_ATTRIBUTE = re.compile(
    rf"""([^{_WS}/>=][^{_WS}/>=]*+)(?:[{_WS}]*+=[{_WS}]*+(?:"([^"]*+)"|'([^']*+)'|([^{_WS}>"'][^{_WS}>]*+)))?"""
)
_COMMENT_END = re.compile(r"-->|(?<!<!)--!>")
_CONDITIONAL = re.compile(r"\s*\[if\b", re.IGNORECASE)

_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[a-zA-Z][a-zA-Z0-9]*(?:;|(?![a-zA-Z0-9=])))")
_TRIMMED = "".join(map(chr, range(0x21)))  # C0 controls and space, which URLs are stripped of (WHATWG URL, 4.4)
_DROPPED = str.maketrans("", "", "\t\n\r")

# The place a template keeps for the unsubscribe address. Editors put a scheme before it or percent-encode the braces.
PLACEHOLDER = re.compile(r"(?:https?://)?(?:\{\{|%7B%7B)(?:\s|%20)*+unsubscribe_url(?:\s|%20)*+(?:\}\}|%7D%7D)", re.I)


@dataclass(frozen=True, slots=True)
class Href:
    """A link's address: where its source text lies and what it says once decoded."""

    start: int
    end: int
    url: str


@dataclass(slots=True)
class Scan:
    """What rewriting needs to know. `tail` is where something may be added at the end of what is shown."""

    hrefs: list[Href] = field(default_factory=list)
    hidden: list[tuple[int, int]] = field(default_factory=list)
    tail: int = 0


def scan(html: str) -> Scan:
    """Find the links, what no reader sees (comments, scripts, titles), and the place before `</body>`.

    Without `</body>` the place is before `</html>`, or the end; before anything unclosed (a comment, a script, a tag)
    that would swallow an addition.
    """
    found = Scan()
    places: dict[str, int] = {}
    end = _scan(html, 0, len(html), found, places)
    found.tail = places.get("body", places.get("html", end))
    return found


def rewrite(html: str, found: Scan, wrap: Callable[[str], str | None], unsubscribe_url: str, tail: str) -> str:
    """Put `wrap(url)` in the place of every link it has an answer for, fill placeholders, add `tail`."""
    edits = [(found.tail, found.tail, tail)] if tail else []
    for href in found.hrefs:
        if PLACEHOLDER.search(html, href.start, href.end):
            continue
        wrapped = wrap(href.url)
        if wrapped is not None:
            edits.append((href.start, href.end, _html.escape(wrapped)))
    if "unsubscribe_url" in html.lower():
        address = _html.escape(unsubscribe_url)
        edits += [(*place.span(), address) for place in PLACEHOLDER.finditer(html)]
    edits.sort()
    parts: list[str] = []
    at = 0
    for start, end, text in edits:
        parts += (html[at:start], text)
        at = end
    parts.append(html[at:])
    return "".join(parts)


def shows_placeholder(html: str, found: Scan) -> bool:
    """Whether a reader gets to see the template's own unsubscribe link: in a link or in text, not in a comment."""
    if "unsubscribe_url" not in html.lower():
        return False
    for place in PLACEHOLDER.finditer(html):
        at = place.start()
        if any(start <= at < end for start, end in found.hidden):
            continue
        if any(href.start <= at < href.end for href in found.hrefs):
            return True
        if html.rfind("<", 0, at) <= html.rfind(">", 0, at):
            return True
    return False


def decode_attribute(raw: str) -> str:
    """Decode character references as in an attribute: `&copy=1` stays, for it is a query argument (13.2.5.73)."""
    return _REFERENCE.sub(lambda m: _html.unescape(m.group()), raw) if "&" in raw else raw


def href_of(attributes: str, offset: int = 0) -> Href | None:
    """The first `href` among a tag's attributes, decoded and cleaned as a browser does."""
    for m in _ATTRIBUTE.finditer(attributes):
        if m.group(1).lower() == "href":
            group = m.lastindex or 1
            if group == 1:
                return None
            url = decode_attribute(m.group(group)).strip(_TRIMMED).translate(_DROPPED)
            return Href(offset + m.start(group), offset + m.end(group), url)
    return None


def _scan(html: str, at: int, end: int, found: Scan, places: dict[str, int]) -> int:
    """Scan one stretch; return where it stopped: `end`, or the start of something unclosed."""
    while at < end:
        token = _TOKEN.match(html, at, end)
        if token is None:
            return at
        kind = token.lastgroup
        start, at = at, token.end()
        if kind == "attributes":
            href = href_of(token["attributes"], token.start("attributes"))
            if href is not None:
                found.hrefs.append(href)
        elif kind == "closing":
            places[token["closing"].lower()] = start
        elif kind == "raw":
            close = re.compile(rf"</{token['raw']}{_END_OF_NAME}", re.IGNORECASE).search(html, at, end)
            found.hidden.append((start, close.start() if close else end))
            if close is None:
                return start
            at = close.start()
        elif kind == "comment":
            close = _COMMENT_END.search(html, start + 2, end)
            stop = close.start() if close else end
            # Outlook shows what a conditional comment holds, so its links count.
            if _CONDITIONAL.match(html, at, stop):
                _scan(html, at, stop, found, {})
            else:
                found.hidden.append((start, stop))
            if close is None:
                return start
            at = close.end()
    return end
