"""Which addresses of a mail are wrapped, and in which spelling they are redirected to."""

from __future__ import annotations

import re
from functools import lru_cache

import idna

# Longer than any server takes (Apache 8190 octets, nginx 8 KiB a line): such a link is left as it is.
MAX_URL = 8000

_HTTP = re.compile(r"(?i:(https?))://([^/?#\\]+)(.*)", re.DOTALL)
_ORDINARY = re.compile(r"https?://[A-Za-z0-9.-]++(?::[0-9]++)?+(?:[/?#][\x21\x23-\x3b\x3d\x3f-\x5f\x61-\x7e]*+)?")
_AUTHORITY = re.compile(r"(?P<user>[^@]*@)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]@]+)(?P<port>:[0-9]*)?")
# Twice the octets of a name (RFC 1035, 2.3.4), for what UTS 46 drops; what idna does with more takes long.
_MOST_HOST = 506
_PLAIN_HOST = re.compile(r"[A-Za-z0-9._-]+")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")  # of a host in ASCII
# What may not stand in a Location header or an HTTP request line; the rest of a URL is the sender's own business.
_UNSAFE = re.compile(r"[^\x21\x23-\x3b\x3d\x3f-\x5f\x61-\x7e]")


def target(url: str) -> str | None:
    """The address to redirect to, in ASCII: host by IDNA (UTS 46), the rest percent-encoded UTF-8 (WHATWG URL).

    None for what is left alone: other schemes, relative addresses, anchors, hosts that no browser takes, over-long
    addresses. An address that is ASCII already comes back unchanged.
    """
    if len(url) > MAX_URL:  # it only gets longer
        return None
    if _ORDINARY.fullmatch(url):
        return url
    split = _HTTP.fullmatch(url)
    if split is None:
        return None
    scheme, authority, rest = split.groups()
    parts = _AUTHORITY.fullmatch(authority)
    host = _host(parts["host"]) if parts else None
    if parts is None or host is None:
        return None
    spelled = f"{scheme}://{_encode(parts['user'] or '')}{host}{parts['port'] or ''}{_encode(rest)}"
    return spelled if len(spelled) <= MAX_URL else None


@lru_cache(maxsize=10_000)
def _host(host: str) -> str | None:
    if host.startswith("[") or _PLAIN_HOST.fullmatch(host):
        return host
    if len(host) > _MOST_HOST:
        return None
    try:
        return idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return _as_browsers_do(host)


def _as_browsers_do(host: str) -> str | None:
    """A host with what IDNA 2008 has no room for, such as emoji: browsers follow UTS 46 alone (WHATWG URL, 3.3)."""
    try:
        labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
        written = [label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}" for label in labels]
    except (idna.IDNAError, UnicodeError):
        return None
    if len(written) > 1 and not written[-1]:  # a dot at the end, as DNS writes its root
        del written[-1]
    return ".".join(written) if all(map(_LABEL.fullmatch, written)) else None


def _encode(text: str) -> str:
    return _UNSAFE.sub(lambda m: "".join(f"%{byte:02X}" for byte in m.group().encode("utf-8", "replace")), text)
