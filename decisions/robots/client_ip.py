"""What is kept of a client's address (SENDLENS_CLIENT_IP): all, its network, a keyed hash, or nothing.

The judge sees the whole address; what it knows of the network by it stands in the event. What is kept in part can't be
taken for an address: judged again, the hit has the network that was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Literal

from schemas.tokens import Keyring

ClientIp = Literal["full", "truncated", "hashed", "none"]

# As the boards show networks that are not known by name.
_V4_BITS, _V6_BITS = 24, 48
_HASHED = "hashed:"


def keeper(how: ClientIp, keyring: Keyring) -> Callable[[str], str] | None:
    """What makes of an address what is kept of it; None where that is all of it."""
    if how == "full":
        return None

    @lru_cache(maxsize=10_000)
    def kept(ip: str) -> str:
        if not is_whole(ip) or how == "none":
            return "" if how == "none" else ip
        return _truncated(ip) if how == "truncated" else _HASHED + keyring.ip_id(ip)

    return kept


def is_whole(ip: str) -> bool:
    """Whether it is all of an address, and not what was kept of one."""
    return bool(ip) and not ip.startswith(_HASHED) and "/" not in ip


def is_network(ip: str) -> bool:
    """Whether it is the network that was kept of an address."""
    return "/" in ip


def _truncated(ip: str) -> str:
    try:
        address = ip_address(ip)
    except ValueError:
        return ""  # a proxy that writes no address
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    bits = _V4_BITS if address.version == 4 else _V6_BITS
    return str(ip_network(f"{str(address).partition('%')[0]}/{bits}", strict=False))
