"""What a reader gets to see of an email's HTML, and where that begins."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from decisions.sending.rewrite import ATTRIBUTES, PLACEHOLDER, PLACEHOLDER_NAME, WS, Scan, attributes_of

_ANY_TAG = re.compile(rf"<(/?[a-zA-Z][^{WS}/>]*+){ATTRIBUTES}>|<[!?/][^>]*+>")
_UNDISPLAYED = re.compile(r"(?i)\b(?:display\s*+:\s*+none|visibility\s*+:\s*+hidden)\b")
_MAYBE_UNDISPLAYED = re.compile(r"(?i)\bhidden\b|\bdisplay\s*+:\s*+none\b")
_VOID = frozenset({"area", "br", "col", "hr", "img", "input", "link", "meta", "wbr"})
_NONE = (sys.maxsize, sys.maxsize)  # where no more follows: behind all of it


def shown_placeholder(html: str, found: Scan) -> int | None:
    """Which of the template's places for the unsubscribe address a reader gets to see, the first of them counted from
    0: in a link or in text, not in a comment. None where there is none."""
    if PLACEHOLDER_NAME not in html:
        return None
    spans = sorted((*found.hidden, *undisplayed(html, found)))
    hidden, hrefs = iter(spans), ((href.start, href.end) for href in sorted(found.hrefs, key=lambda one: one.start))
    unseen, link = next(hidden, _NONE), next(hrefs, _NONE)
    read, opened, closed = 0, -1, -1  # up to where, and the last "<" and ">" before that
    for number, place in enumerate(PLACEHOLDER.finditer(html)):  # each of these in its order, so each once
        at = place.start()
        while unseen[1] <= at:
            unseen = next(hidden, _NONE)
        while link[1] <= at:
            link = next(hrefs, _NONE)
        opened = max(opened, html.rfind("<", read, at))
        closed = max(closed, html.rfind(">", read, at))
        read = at
        if unseen[0] <= at:
            continue
        if link[0] <= at or opened <= closed:
            return number
    return None


def undisplayed(html: str, found: Scan) -> list[tuple[int, int]]:
    """The elements that say of themselves that they are not displayed, as far as no comment stands in between."""
    if not _MAYBE_UNDISPLAYED.search(html):
        return []
    spans: list[tuple[int, int]] = []
    inside, start, depth = "", 0, 0  # of the outermost such element: its name, its start, how many of it are open
    for tag in _shown_tags(html, found):
        name = (tag[1] or "").lower()
        if inside:
            depth += (name == inside) - (name == f"/{inside}")
            if not depth:
                spans.append((start, tag.end()))
                inside = ""
        elif name and name[0] != "/" and name not in _VOID and _MAYBE_UNDISPLAYED.search(tag[0]):
            said = attributes_of(tag[0][1 + len(name) : -1])
            if "hidden" in said or _UNDISPLAYED.search(said.get("style", "")):
                inside, start, depth = name, tag.start(), 1
    return spans  # what is never closed is for every client to make something of: it counts as displayed


def _shown_tags(html: str, found: Scan) -> Iterator[re.Match[str]]:
    """The tags outside what is hidden, up to anything unclosed."""
    at = 0
    for start, stop in sorted(found.hidden):
        if start >= found.read:
            break
        if start >= at:
            yield from _ANY_TAG.finditer(html, at, start)
        at = max(at, stop)
    yield from _ANY_TAG.finditer(html, at, max(at, found.read))


def top_of(html: str, found: Scan) -> int:
    """The beginning of what is shown: after `<body>`, or else after the head, or what stands for the start of one."""
    begins = 0
    for tag in _shown_tags(html, found):
        name = (tag[1] or "").lower()
        if name == "body":
            return tag.end()
        if name in ("html", "/head") or (not name and tag[0][:9].lower() == "<!doctype"):
            begins = tag.end()
    return begins
