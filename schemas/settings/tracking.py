"""Where recipients reach ingest: the form of a tracking address, and the host that it names.

An address stands in every pixel and link of an email and may come from a platform, so its form is narrow: what would
end a tag, a header or a URL early is refused here.
"""

from __future__ import annotations

import ipaddress
import re

MAX_URL = 300  # characters; it stands before every token, and mail programs cut long URLs
# RFC 1035, 2.3.1 and 2.3.4: what a host's name is made of, and how long it may be.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_MAX_HOST = 253
_URL = re.compile(r"(https?)://([^/:]+)(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._~-]+)*)/?", re.ASCII | re.IGNORECASE)
_ANY = "*"


def tracking_url(text: str) -> str:
    """The address in its one form: scheme and host in lower case, no slash at its end. Raises ValueError."""
    if not text.isascii():
        raise ValueError("tracking_url: write the name in ASCII, as DNS has it (xn--...)")
    found = _URL.fullmatch(text) if len(text) <= MAX_URL else None
    if found is None or int(found[3] or 1) not in range(1, 65536):
        raise ValueError("tracking_url: want an address like https://t.example.com")
    port = f":{found[3]}" if found[3] else ""
    return f"{found[1].lower()}://{host_name(found[2])}{port}{found[4]}"


def host_name(text: str) -> str:
    """A host's name in lower case, without a dot at its end. Raises ValueError."""
    name = text.removesuffix(".").lower()
    if len(name) > _MAX_HOST or not _HOST.fullmatch(name):
        raise ValueError("want a host's name like t.example.com, without scheme and port")
    return name


def host_of(url: str) -> str:
    """The host of an address whose form was checked, in lower case."""
    authority = url.partition("://")[2].partition("/")[0]
    name = authority.partition("]")[0].strip("[") if authority.startswith("[") else authority.partition(":")[0]
    return name.removesuffix(".").lower()


def further_hosts(text: str) -> tuple[tuple[str, ...], bool]:
    """What `SENDLENS_TRACKING_HOSTS` lists, and whether `*` is in it. Raises ValueError."""
    listed = [one for one in map(str.strip, text.split(",")) if one]
    return tuple(host_name(one) for one in listed if one != _ANY), _ANY in listed


def is_public(name: str) -> bool:
    """Whether somebody could have this name in DNS: it has a dot and is no address. Names without one, as proxies and
    probes use them inside a network, are not."""
    if "." not in name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return True
    return False
