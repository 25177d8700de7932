"""Each source's share of the process, so that one that floods it takes nothing from the others.

Tokens are signed: nobody can make up emails, so a flood can only be of the same hits again. A source within its share
is never looked at closer. Of one beyond it, the first hits of each email and link are recorded all the same, because
they may be of people behind one address (an office, a carrier, a mail provider's image proxy); only repeats are shed.
Nothing is shed unanswered. Counted in windows of fixed length, in bounded memory; what does not fit in it passes.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

WINDOW_SECONDS = 10.0
# Hits of one email and link from one source that a window always takes: a scanner, a prefetch, a person, a second look.
ALWAYS = 5
# Loopback, link-local, and what is nobody's on the internet (RFC 1918, RFC 4193).
_OURS = [
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "169.254.0.0/16",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fe80::/10",
        "fc00::/7",
    )
]
# What is remembered of one window at the most; some 20 MB.
_ENTRIES = 100_000


class SourceRateLimit:
    """Says of each hit whether it is taken. `per_second` is a source's share, averaged over a window; 0 is no limit."""

    def __init__(self, per_second: int) -> None:
        self._share = per_second * WINDOW_SECONDS
        self._until = 0.0
        self._sources: dict[str, int] = {}
        self._repeats: dict[tuple[str, str, str], int] = {}

    def takes(self, ip: str, delivery_id: str, link_id: str, now: float) -> bool:
        """Whether to record a hit of this email and link (none: its pixel). `now` is in seconds and never goes back."""
        source = _source(ip) if self._share else ""
        if not source:
            return True
        if now >= self._until:
            self._until = now + WINDOW_SECONDS
            self._sources.clear()
            self._repeats.clear()
        count = self._sources.get(source, 0)
        if count or len(self._sources) < _ENTRIES:
            self._sources[source] = count + 1
        if count < self._share:
            return True
        key = (source, delivery_id, link_id)
        repeats = self._repeats.get(key, 0)
        if repeats >= ALWAYS:
            return False
        if repeats or len(self._repeats) < _ENTRIES:
            self._repeats[key] = repeats + 1
        return True


@lru_cache(8192)
def _source(ip: str) -> str:
    """Who stands behind an address, empty when that can't be said.

    Of IPv6 it is the first 64 bits, because a host has the others to itself (RFC 4291, 2.5.1). An address of our own
    network is no source: it is a proxy that `SENDLENS_TRUSTED_PROXIES` does not name, and stands for everybody.
    """
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ""
    if any(address in network for network in _OURS):
        return ""
    return str(address) if address.version == 4 else str(ipaddress.IPv6Network((address, 64), False).network_address)
