"""Rewrites an email's HTML by source offset: links are replaced and a tail is put in, every other character stays.

Nothing is parsed into a tree and written back, because templates live by what serialisers tidy away: conditional
comments, odd attribute quoting, unclosed tags. The scanner follows the tokenizer of the HTML standard (WHATWG, 13.2.5)
as far as offsets need it, so that what a mail client takes for a link is what is wrapped.
"""

from __future__ import annotations

import html as _html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.entities import html5
from itertools import repeat, zip_longest

from msgspec import Struct

from schemas.references import unescape

WS = r"\t\n\f\r "
# What may stand between a tag's name and its ">": quotes hide a ">" only around a value, and a name may begin with "=".
_NAME = rf"[^{WS}/>][^{WS}/>=]*+"
_IS = rf"[{WS}]*+=[{WS}]*+"
ATTRIBUTES = (
    rf"""(?:[{WS}/]*+{_NAME}(?:="[^"]*+"|{_IS}(?:"[^"]*+"|'[^']*+'|(?!["'])[^{WS}>]*+)|(?![{WS}]*+=)))*+[{WS}/]*+"""
)
END_OF_NAME = rf"(?=[{WS}/>])"
# VML shapes are how Outlook gets its buttons; their href is as clickable as that of <a>.
_LINKED = r"(?i:a|area|v:[a-z]+)"
_LINK_TAG = rf"<{_LINKED}{END_OF_NAME}(?P<attributes>{ATTRIBUTES})>"
# Elements whose content is text to a parser (13.2.5.2 and 13.2.5.3); <noscript> is not, as mail runs no scripts.
_RAW_NAMES = ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "plaintext")
_RAW = rf"(?i:{'|'.join(_RAW_NAMES)})"
_CLOSING = r"(?i:body|html)"
# The start of every other tag's name, told by its first letter as far as that goes: most tags of a mail are these.
_OTHER = (
    rf"(?:[bcdefghjklmoqruwyzBCDEFGHJKLMOQRUWYZ]|(?!(?:{_LINKED}|{_RAW}){END_OF_NAME})[aintpsvxAINTPSVX])[^{WS}/>]*+"
)
_OTHER_END = rf"(?:[acdefgijklmnopqrstuvwxyzACDEFGIJKLMNOPQRSTUVWXYZ]|(?!{_CLOSING}{END_OF_NAME})[bhBH])[^{WS}/>]*+"

# Each match is either a run of everything that needs no attention, or one token that does: most of the work is done
# inside the regular expression engine. Possessive throughout: linear on any input.
_TOKEN = re.compile(
    rf"""
    (?: [^<]++
      | <{_OTHER}{ATTRIBUTES}>
      | </{_OTHER_END}{ATTRIBUTES}>
      | <(?:!(?!--)|\?|/(?![a-zA-Z]))[^>]*+>
      | <(?![a-zA-Z/!?])
    )++
    | {_LINK_TAG}
    | <(?P<raw>{_RAW}){END_OF_NAME}{ATTRIBUTES}>
    | </(?P<closing>{_CLOSING}){END_OF_NAME}{ATTRIBUTES}>
    | (?P<comment><!--)
    """,
    re.VERBOSE,
)
_LINK = re.compile(_LINK_TAG)
_VALUE = rf"""{_IS}(?:"([^"]*+)"|'([^']*+)'|([^{WS}>"'][^{WS}>]*+))"""
_OTHER_ATTRIBUTE = rf"(?!(?i:href)[{WS}=]){_NAME}(?:{_VALUE.replace('([', '(?:[')})?+[{WS}/]*+"
_HREF = re.compile(rf"[{WS}/]*+(?:{_OTHER_ATTRIBUTE})*+(?i:href){_VALUE}")
_ATTRIBUTE = re.compile(rf"[{WS}/]*+({_NAME})(?:{_VALUE})?+")
_FIRST_HREF = re.compile(r' href="([^"]*+)"')  # as nearly all are written
_RAW_END = {name: re.compile(rf"</{name}{END_OF_NAME}", re.IGNORECASE) for name in _RAW_NAMES}
_COMMENT_END = re.compile(r"-->|(?<!<!)--!>")
_CONDITIONAL = re.compile(r"\s*\[if\b", re.IGNORECASE)

# By which a template asks that a link be left as it is: ours, and those that templates bring along from SendGrid,
# Amazon SES, Postmark, Mautic, Mailgun, Mandrill and SparkPost. Some say so by being there, others by their value.
_OFF = frozenset({"off", "false", "0", "no", "none"})
_TRACKING = {"data-track", "clicktracking", "data-clicktracking", "data-msys-clicktrack"}
_NO_TRACKING = {
    *("ses:no-track", "data-pm-no-track", "mautic:disable-tracking", "disable-tracking", "data-disable-tracking"),
    "mc:disable-tracking",
}
_IN_EVERY_WISH = "track"  # a tenth of the time that a pattern without regard to case takes to look for it

_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[a-zA-Z][a-zA-Z0-9]*(?:;|(?![a-zA-Z0-9=])))")
_TRIMMED = "".join(map(chr, range(0x21)))  # C0 controls and space, which URLs are stripped of (WHATWG URL, 4.4)
_DROPPED = str.maketrans("", "", "\t\n\r")

# The place a template keeps for the unsubscribe address. Editors put a scheme before it or percent-encode the braces.
PLACEHOLDER_NAME = "unsubscribe_url"
# Three braces are how Handlebars and Mustache write what is not to be escaped.
_OPENS, _CLOSES = r"(?:\{|%7[bB])", r"(?:\}|%7[dD])"
_PLACED = r"(?:\s|%20)*+unsubscribe_url(?:\s|%20)*+"
PLACEHOLDER = re.compile(
    rf"(?i:https?://)?(?:{_OPENS}{{3}}{_PLACED}{_CLOSES}{{3}}|{_OPENS}{{2}}{_PLACED}{_CLOSES}{{2}})"
)


class Href(Struct, frozen=True, gc=False):
    """A link's address: where its source text lies and what it says once decoded. `left_alone` is that its tag asks
    not to be tracked."""

    start: int
    end: int
    url: str
    left_alone: bool = False


@dataclass(frozen=True, slots=True)
class SpanText:
    """What a stretch says as text. `within` is what stands before the end of a link that began before it, and `linked`
    the same with the words of images; `shown` is that on one line, and `pictured` whether there are images."""

    shown: str
    within: str
    linked: str
    after: str
    pictured: bool


@dataclass(slots=True)
class TextSpan:
    """What stands between two links, or before the first or after the last; offsets count from its first character.

    `source` is all that decides how it is read: up to where the next link's attributes begin and a character more, or
    the whole rest. So where the same characters stand again, so does the same stretch.
    """

    source: str
    length: int  # up to the next link's "<", or to where reading ends: anything unclosed
    last: bool
    hrefs: tuple[Href, ...] = ()  # in Outlook's comments
    hidden: tuple[tuple[int, int], ...] = ()  # what one contains stands before what it contains
    places: tuple[tuple[str, int], ...] = ()  # of closing tags, by name
    said: SpanText | None = None  # what `plaintext` makes of it
    told: tuple[str | None, str] | None = None  # the same with the address of the link before it, by that address


class LinkTag(Struct, frozen=True, gc=False):
    """The tag of a link: its source, and its address, whose offsets count from the tag's first character. `is_a` is
    that it is an `<a>`, and no `<area>` or shape."""

    source: str
    href: Href | None
    is_a: bool


class _ScanState:
    """What `_read` has met, counted from `origin`."""

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.hrefs: list[Href] = []
        self.hidden: list[tuple[int, int]] = []
        self.places: list[tuple[str, int]] = []


@dataclass(slots=True)
class Scan:
    """What rewriting needs to know. `tail` is where something may be added at the end of what is shown. `tags` stand
    between one stretch and the next. `hidden` is what most readers do not see: comments, those of Outlook among them,
    and the content of scripts and the like."""

    hrefs: list[Href] = field(default_factory=list)
    hidden: list[tuple[int, int]] = field(default_factory=list)
    stretches: list[TextSpan] = field(default_factory=list)
    tags: list[LinkTag] = field(default_factory=list)
    tail: int = 0
    read: int = 0  # up to here every tag is closed


def scan(html: str, like: Scan | None = None) -> Scan:
    """Find the links, what no reader sees (comments, scripts, titles), and the place before `</body>`.

    Without `</body>` the place is before `</html>`, or the end; before anything unclosed (a comment, a script, a tag)
    that would swallow an addition. `like` is the scan of another email of the same campaign: what both share is not
    read again, and nothing else depends on it.
    """
    found = Scan()
    stretches, tags, hrefs = found.stretches, found.tags, found.hrefs
    places: dict[str, int] = {}
    at = 0
    for before, tag_before in _endless(like):
        again = _again(before, tag_before, html, at) if before else None
        stretch, tag = again or _stretch(html, at)
        stretches.append(stretch)
        for href in stretch.hrefs:
            hrefs.append(_moved(href, at))
        for start, stop in stretch.hidden:
            found.hidden.append((at + start, at + stop))
        for name, place in stretch.places:
            places[name] = at + place
        at += stretch.length
        if tag is None:
            break
        tags.append(tag)
        if tag.href is not None:
            hrefs.append(_moved(tag.href, at))
        at += len(tag.source)
    found.read = at
    found.tail = places.get("body", places.get("html", at))
    return found


def _endless(like: Scan | None) -> Iterator[tuple[TextSpan | None, LinkTag | None]]:
    """The stretches of a scan, each with the tag after it; then None for ever."""
    if like is not None:
        yield from zip_longest(like.stretches, like.tags)
    yield from repeat((None, None))


def _moved(href: Href, by: int) -> Href:
    return Href(by + href.start, by + href.end, href.url, href.left_alone)


def _again(stretch: TextSpan, tag: LinkTag | None, html: str, at: int) -> tuple[TextSpan, LinkTag | None] | None:
    """The stretch, where it stands here too, and the link's tag after it."""
    if not html.startswith(stretch.source, at):
        return None
    if stretch.last:
        return (stretch, None) if at + len(stretch.source) == len(html) else None
    ends = at + stretch.length
    if tag is None or not html.startswith(tag.source, ends):
        found = _LINK.match(html, ends)
        tag = _tag(found) if found else None  # not closed, so no link: the stretch is another
    return (stretch, tag) if tag else None


def _stretch(html: str, start: int) -> tuple[TextSpan, LinkTag | None]:
    """Read the stretch that begins here, and the link's tag after it, None where there is none."""
    met = _ScanState(start)
    at, tag = _read(html, start, len(html), met, in_comment=False)
    source = html[start : tag.start("attributes") + 1] if tag else html[start:]
    stretch = TextSpan(source, at - start, tag is None, tuple(met.hrefs), tuple(met.hidden), tuple(met.places))
    return stretch, _tag(tag) if tag else None


def _tag(found: re.Match[str]) -> LinkTag:
    begins = found.start("attributes") - found.start()
    return LinkTag(found[0], href_of(found["attributes"], begins), begins == len("<a"))


def rewrite(
    html: str,
    found: Scan,
    wrap: Callable[[str], str | None],
    unsubscribe_url: str,
    tail: str,
    head: str = "",
    top: int = 0,
) -> str:
    """Put `wrap(url)` in the place of every link it has an answer for (source text), fill placeholders, add `tail` at
    the end of the body and `head` at `top`."""
    edits = [(found.tail, found.tail, tail)] if tail else []
    if head:
        edits.append((top, top, head))
    has_placeholder = PLACEHOLDER_NAME in html
    for href in found.hrefs:
        if href.left_alone:
            continue
        if has_placeholder and PLACEHOLDER.search(html, href.start, href.end):
            continue
        wrapped = wrap(href.url)
        if wrapped is not None:
            edits.append((href.start, href.end, wrapped))
    if has_placeholder:
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


def attributes_of(text: str) -> dict[str, str]:
    """What stands between a tag's name and its ">", by name in lower case, decoded. Of two of a name the first counts
    (13.2.5.33)."""
    said: dict[str, str] = {}
    at = 0
    while one := _ATTRIBUTE.match(text, at):  # a search would look through a run of blanks from each of them
        at = one.end()
        said.setdefault(one[1].lower(), decode_attribute(one[2] or one[3] or one[4] or ""))
    return said


def decode_attribute(raw: str) -> str:
    """Decode character references as in an attribute: `&copy=1` stays, for it is a query argument (13.2.5.73)."""
    if "&" not in raw:
        return raw
    if raw.count("&") == raw.count("&amp;"):  # nearly always
        return raw.replace("&amp;", "&")
    return _REFERENCE.sub(_decode_reference, raw)


def _decode_reference(m: re.Match[str]) -> str:
    reference = m.group()
    # By its whole name only: the prefix that text allows (`&copyright` is ©right) an attribute does not.
    return unescape(reference) if reference[1] == "#" else html5.get(reference[1:], reference)


def href_of(attributes: str, offset: int = 0) -> Href | None:
    """The first `href` among a tag's attributes, decoded and cleaned as a browser does."""
    m = _FIRST_HREF.match(attributes) or _HREF.match(attributes)
    if m is None:
        return None
    group = m.lastindex or 0
    url = decode_attribute(m.group(group)).strip(_TRIMMED)
    if "\n" in url or "\r" in url or "\t" in url:
        url = url.translate(_DROPPED)
    left_alone = _IN_EVERY_WISH in attributes.lower() and _is_left_alone(attributes)
    return Href(offset + m.start(group), offset + m.end(group), url, left_alone)


def _is_left_alone(attributes: str) -> bool:
    said = attributes_of(attributes)
    return any(said[name].strip().lower() in _OFF for name in _TRACKING & said.keys()) or any(
        said[name].strip().lower() not in _OFF for name in _NO_TRACKING & said.keys()
    )


def _read(html: str, at: int, end: int, met: _ScanState, *, in_comment: bool) -> tuple[int, re.Match[str] | None]:
    """Read up to the next link; return where it begins and its tag. Without one: `end`, or the start of something
    unclosed. In a comment, what is asked for is all of its links."""
    origin = met.origin
    while at < end:
        token = _TOKEN.match(html, at, end)
        if token is None:
            return at, None
        kind = token.lastgroup
        start, at = at, token.end()
        if kind == "attributes":
            if not in_comment:
                return start, token
            href = href_of(token["attributes"], token.start("attributes") - origin)
            if href is not None:
                met.hrefs.append(href)
        elif kind == "closing" and not in_comment:
            met.places.append((token["closing"].lower(), start - origin))
        elif kind == "raw":
            close = _RAW_END[token["raw"].lower()].search(html, at, end)
            met.hidden.append((start - origin, (close.start() if close else end) - origin))
            if close is None:
                return start, None
            at = close.start()
        elif kind == "comment" and not in_comment:  # comments don't nest
            close = _COMMENT_END.search(html, start + 2, end)
            _read_comment(html, start, at, close, end, met)
            if close is None:
                return start, None
            at = close.end()
    return end, None


def _read_comment(html: str, start: int, at: int, close: re.Match[str] | None, end: int, met: _ScanState) -> None:
    """A comment, from its start to where it is closed. Outlook shows what a conditional one holds: its links count."""
    stop = close.start() if close else end
    met.hidden.append((start - met.origin, (close.end() if close else end) - met.origin))
    if _CONDITIONAL.match(html, at, stop):
        _read(html, at, stop, met, in_comment=True)
