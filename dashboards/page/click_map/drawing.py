"""Draws clicks on a variant's HTML: a numbered badge at each link that emails of it wrap. Pure.

The document is made for a frame in which nothing runs and nothing is loaded (map_routes.py): that is what keeps hostile
HTML harmless, not this file. Here addresses are taken out, so that nothing leads away, and so are the elements for
which a browser connects to a host before it asks the policy.
"""

from __future__ import annotations

import html as _html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from decisions.sending.rewrite import ATTRIBUTES, PLACEHOLDER, Href, scan
from decisions.sending.tracking import MAX_LINKS
from decisions.sending.urls import target
from decisions.sending.utm import Tags, tagged

# A badge is 700 bytes, and hostile HTML of 512 kB has tens of thousands of links.
_MOST_BADGES = 1_000
# Tried in Chromium 156: under `default-src 'none'` a preconnect, and a frame that is then refused, still connect. An
# element of another name is nothing to a browser. In attributes and comments the name changes too, which nobody sees.
_CONNECTING = re.compile(
    r"<(?=(?:applet|base|embed|fencedframe|frame|frameset|iframe|link|meta|object|portal)[\t\n\f\r />])", re.IGNORECASE
)
# What is left of a tag after its address.
_REST_OF_TAG = re.compile(rf"""["']?{ATTRIBUTES}>""")

# No colour comes from the email: each ground is dark enough for white at 4.5 to 1 (WCAG 2.2, 1.4.3).
_SHADES = ("#5b6675", "#2a6ea3", "#00629b", "#06477a")
_BADGE = (
    "all:initial!important;position:absolute!important;left:-4px!important;bottom:2px!important;"
    "z-index:2147483647!important;padding:2px 7px!important;border-radius:9px!important;"
    "font:600 12px/1.35 system-ui,sans-serif!important;white-space:nowrap!important;color:#fff!important;"
    "box-shadow:0 1px 4px rgb(0 0 0/35%)!important;background:"
)
_ANCHOR = (
    "all:initial!important;position:relative!important;display:inline-block!important;width:0!important;"
    "height:0!important;vertical-align:top!important"
)
_HEAD = """<!doctype html>
<html><head><meta charset="utf-8"><meta name="color-scheme" content="light"><title>The email, with its clicks</title>
<style>
:root { color-scheme: light; background: #fff; }
body { padding-top: 18px; }
a:has(> [data-badge]) { outline: 2px solid rgb(0 98 155 / 45%); outline-offset: 1px; }
img { background: #eef1f5; }
</style></head><body inert>
"""


@dataclass(frozen=True, slots=True)
class LinkClicks:
    """Emails in which a link was followed, by a person and by anybody, and what share `clicked` is of those with links
    that were delivered; None where there are none."""

    link_id: str
    link: str
    clicked: int
    raw_clicked: int
    click_rate: float | None


@dataclass(frozen=True, slots=True)
class MappedLink:
    """A line beside the map. `number` is that of the badge, 0 for a link that does not stand in the HTML; a link that
    nobody followed has no `link_id`."""

    number: int
    link: str
    link_id: str
    clicked: int
    raw_clicked: int
    click_rate: float | None


@dataclass(frozen=True, slots=True)
class ClickMap:
    """The document with its badges, and the links in the order of their numbers, those that do not stand in it last."""

    document: str
    links: list[MappedLink]


def draw(html: str, tags: Tags, followed: Sequence[LinkClicks]) -> ClickMap:
    """The map of a variant's HTML, of whose campaign's links have these `tags`."""
    hrefs = scan(html).hrefs
    numbered = _numbered(html, hrefs, tags)
    by_link: dict[str, list[LinkClicks]] = {}
    for one in followed:
        by_link.setdefault(one.link, []).append(one)
    totals = {link: sum(one.clicked for one in ones) for link, ones in by_link.items()}
    most = max((totals.get(link, 0) for link in numbered.values()), default=0)
    numbers = {link: number for number, link in enumerate(dict.fromkeys(numbered.values()), 1)}
    badges = set(list(numbered)[:_MOST_BADGES])
    parts: list[str] = []
    at = 0
    for href in hrefs:
        link = numbered.get(href.start) if href.start in badges else None
        tag = _REST_OF_TAG.match(html, href.end)
        parts += (html[at : href.start], "#")
        at = href.end
        if link is not None and tag is not None:
            rates = [one.click_rate for one in by_link.get(link, ()) if one.click_rate is not None]
            parts += (html[at : tag.end()], _badge(numbers[link], totals.get(link, 0), sum(rates), most))
            at = tag.end()
    parts.append(html[at:])
    return ClickMap(_HEAD + _CONNECTING.sub("<x-", "".join(parts)), _lines(numbers, by_link))


def _numbered(html: str, hrefs: Sequence[Href], tags: Tags) -> dict[int, str]:
    """Where each link stands that is wrapped, and the address that it leads to: as decisions/sending/instrument.py has
    it, the tags' number of a link among them, and no more than an email may have."""
    found: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for href in hrefs:
        if href.left_alone or PLACEHOLDER.search(html, href.start, href.end):
            continue
        address = target(href.url)
        if address is not None and (href.url in numbers or len(numbers) < MAX_LINKS):
            number = numbers.setdefault(href.url, len(numbers) + 1)
            found[href.start] = tagged(address, tags, number) if tags else address
    return found


def _lines(numbers: Mapping[str, int], by_link: Mapping[str, Sequence[LinkClicks]]) -> list[MappedLink]:
    """A line for each id of each link: after the token keys were changed an address has another id."""
    lines = []
    for link in [*numbers, *(link for link in by_link if link not in numbers)]:
        number = numbers.get(link, 0)
        ones = by_link.get(link) or [LinkClicks("", link, 0, 0, None)]
        lines += [MappedLink(number, link, one.link_id, one.clicked, one.raw_clicked, one.click_rate) for one in ones]
    return lines


def _badge(number: int, clicked: int, rate: float, most: int) -> str:
    """What stands at a link: its number, and in how many emails, and what share of them, a person followed it."""
    shade = _SHADES[0] if not clicked else _SHADES[1 + min(2, 3 * clicked // (most + 1))]
    said = f"{number}: {clicked:,} · {100 * rate:.1f}%" if clicked else f"{number}: 0"
    badge = f'<span style="{_BADGE}{shade}!important">{_html.escape(said)}</span>'
    return f'<span data-badge style="{_ANCHOR}">{badge}</span>'
