"""Addresses as numbers."""

from __future__ import annotations

import socket

_MAPPED = b"\0" * 10 + b"\xff\xff"  # ::ffff:0:0/96, an IPv4 address in IPv6 clothes
_V4, _V6 = int(socket.AF_INET), int(socket.AF_INET6)  # an enum's member takes longer to find than an address to read
_packed = socket.inet_pton


def numbered(ip: str) -> tuple[int, int] | None:
    """Family (4 or 6) and number of an address; None for other text. An IPv4-mapped IPv6 address is IPv4."""
    try:
        return 4, int.from_bytes(_packed(_V4, ip), "big")
    except (OSError, ValueError):
        pass
    try:
        packed = _packed(_V6, ip)
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED):
        return 4, int.from_bytes(packed[12:], "big")
    return 6, int.from_bytes(packed, "big")
