"""UTM tags: by which analytics of the landing page tells from which campaign, step and link somebody came.

The names are Google's (https://support.google.com/analytics/answer/10917952); other analytics read the same.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_plus

from decisions.sending.urls import MAX_URL
from schemas.errors import Reject
from schemas.events import Campaign
from schemas.text import first_control

MAX_UTM = 200  # characters of a tag as the campaign declares it
_FIELDS = ("utm_source", "utm_medium", "utm_campaign", "utm_content")
_PLACES = ("campaign", "step", "variant", "link")
_LINK = "{link}"
_BRACES = re.compile(r"\{([^{}]*)\}|[{}]")
# An argument of this name signs the address, arguments and all: one more, and the server refuses it. Amazon S3 and
# CloudFront, Google Cloud Storage, Azure's SAS, and what frameworks that sign links call it.
_SIGNING = frozenset(
    {"x-amz-signature", "x-goog-signature", "signature", "x-signature", "sig", "hmac", "awsaccesskeyid", "key-pair-id"}
)

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
    names = {unquote_plus(one.partition("=")[0]).lower() for one in re.split("[&;]", query)}
    if names & _SIGNING:
        return url
    more = "&".join(
        f"{name}={quote(value.replace(_LINK, str(number)), safe='')}" for name, value in tags if name not in names
    )
    if not more:
        return url
    between = "" if not query or query.endswith("&") else "&"
    found = f"{path}?{query}{between}{more}{mark}{fragment}"
    return found if len(found) <= MAX_URL else url
