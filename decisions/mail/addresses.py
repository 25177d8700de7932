"""Finds email addresses in text that nobody promises is well formed."""

from __future__ import annotations

import re

from decisions.mail.signs import shows

# Not RFC 5322, on purpose: what stands in reports. Possessive, so linear; the lookbehind lets a match begin only at a
# word's start. A local part may begin with what a phone number or an X.400 address does.
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9._%+=/&*$!#?^`{|}~-])"
    r"([A-Za-z0-9_%+=/&*$!#?^{|}~][A-Za-z0-9._%+=/&'*$!#?^`{|}~-]{0,127}+)@"
    r"((?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}+)\.){1,8}[A-Za-z][A-Za-z0-9-]{1,23}+|\[[0-9A-Fa-f.:IPv]{4,45}\])"
)
_QUOTED = re.compile(r'"([^"@<>\s]{1,64})"@([A-Za-z0-9][A-Za-z0-9.-]{1,250})')


def addresses(text: str) -> list[str]:
    """Every address in the text, in order, each once, in the case it stands in."""
    if "@" not in text:
        return []
    found: dict[str, str] = {}
    for at in _ADDRESS.finditer(text):
        address = f"{at[1]}@{at[2]}"
        found.setdefault(address.lower(), address)
    if '"@' in text:
        for at in _QUOTED.finditer(text):
            address = f"{at[1]}@{at[2]}"
            found.setdefault(address.lower(), address)
    return list(found.values())


def first_address(text: str) -> str:
    """The first address in the text, or ""."""
    found = _ADDRESS.search(text)
    return f"{found[1]}@{found[2]}" if found else next(iter(addresses(text)), "")


def is_robot(address: str) -> bool:
    """Whether the local part is one that mail systems and help desks use, and recipients seldom."""
    return shows("robot", address.partition("@")[0])
