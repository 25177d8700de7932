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
_PLAIN_HOST = re.compile(r"[A-Za-z0-9._-]+")
# What may not stand in a Location header or an HTTP request line; the rest of a URL is the sender's own business.
_UNSAFE = re.compile(r"[^\x21\x23-\x3b\x3d\x3f-\x5f\x61-\x7e]")


def target(url: str) -> str | None:
    """The address to redirect to, in ASCII: host by IDNA (UTS 46), the rest percent-encoded UTF-8 (WHATWG URL).

    None for what is left alone: other schemes, relative addresses, anchors, hosts that no browser takes, over-long
    addresses. An address that is ASCII already comes back unchanged.
    """
    if _ORDINARY.fullmatch(url):
        return url if len(url) <= MAX_URL else None
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
    try:
        return idna.encode(host, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return None


def _encode(text: str) -> str:
    return _UNSAFE.sub(lambda m: "".join(f"%{byte:02X}" for byte in m.group().encode("utf-8", "replace")), text)
