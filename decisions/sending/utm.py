"""UTM tags: by which analytics of the landing page tells from which campaign, step and link somebody came.

The names are Google's (https://support.google.com/analytics/answer/10917952); other analytics read the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain
from urllib.parse import quote, unquote, unquote_plus

from decisions.patterns import Search, searcher, utf8
from decisions.sending.urls import MAX_URL
from decisions.tables import rows
from schemas.errors import Reject
from schemas.events import Campaign
from schemas.text import first_control

MAX_UTM = 200  # characters of a tag as the campaign declares it
_FIELDS = ("utm_source", "utm_medium", "utm_campaign", "utm_content")
_PLACES = ("campaign", "step", "variant", "link")
_LINK = "{link}"
_BRACES = re.compile(r"\{([^{}]*)\}|[{}]")
_ANY = "*"  # in the table: an argument of any name

# (name, value) of each tag, in order; what stands for the link's number is still in the value.
Tags = tuple[tuple[str, str], ...]


def check_utm(campaign: object) -> None:
    """Raise Reject unless a campaign's tags can be filled in and travel in an address."""
    for name in _FIELDS:
        value = str(getattr(campaign, name))
        if len(value) > MAX_UTM:
            raise Reject("utm-invalid", f"{name}: at most {MAX_UTM} characters")
        if control := first_control(value):
            raise Reject("control-character", f"{name}: {control}")
        for place in _BRACES.finditer(value):
            if place[1] not in _PLACES:
                known = ", ".join(f"{{{one}}}" for one in _PLACES)
                raise Reject("utm-invalid", f"{name}: {place[0]!r} stands for nothing; there are {known}")


def tags_of(campaign: Campaign, step: int, variant: str) -> Tags:
    """The tags of an email's links, all but the link's number filled in. Empty for a campaign without any."""
    said = {"{campaign}": campaign.id, "{step}": str(step), "{variant}": variant}
    return tuple(
        (name, _BRACES.sub(lambda place: said.get(place[0], place[0]), value))
        for name in _FIELDS
        if (value := getattr(campaign, name))
    )


def tagged(url: str, tags: Tags, number: int) -> str:
    """The address with those of the tags that it does not have yet, before its fragment; `number` is that of the link
    in the email, from 1. An address that is signed, or would be too long for a server, comes back as it is."""
    before, mark, fragment = url.partition("#")
    path, _, query = before.partition("?")
    arguments: dict[str, list[str]] = {}
    for one in re.split("[&;]", query):
        name, _, value = one.partition("=")
        arguments.setdefault(unquote_plus(name).lower(), []).append(unquote(value))
    if _is_signed(arguments):
        return url
    more = "&".join(
        f"{name}={quote(value.replace(_LINK, str(number)), safe='')}" for name, value in tags if name not in arguments
    )
    if not more:
        return url
    between = "" if not query or query.endswith("&") else "&"
    found = f"{path}?{query}{between}{more}{mark}{fragment}"
    return found if len(found) <= MAX_URL else url


def _is_signed(arguments: dict[str, list[str]]) -> bool:
    """Whether a server may refuse the address with one argument more. Missing tags are the lesser harm."""
    for (name, *beside), value in _signatures():
        if all(other in arguments for other in beside):
            given = chain.from_iterable(arguments.values()) if name == _ANY else arguments.get(name, ())
            if any(value(utf8(each)) for each in given):
                return True
    return False


@lru_cache(maxsize=1)
def _signatures() -> tuple[tuple[list[str], Search], ...]:
    """Names of arguments that sign an address together, and what the value of the first looks like."""
    return tuple(
        (names.split(" "), searcher(f"^(?:{value})$")) for _, (names, value, _) in rows("signed_addresses.tsv", 3)
    )
