"""The operator's own ASN database: which autonomous system an address belongs to."""

from __future__ import annotations

from typing import Any

from agents.judge.maxmind import open_maxmind
from decisions.robots.networks import AsnLookup


def asn_lookup(path: str) -> AsnLookup | None:
    """Open a MaxMind DB file (GeoLite2-ASN or of its shape) and look AS numbers up in it; None for no path.

    Raises Misconfigured when it can't be read or holds no AS numbers.
    """
    if not path:
        return None
    database = open_maxmind("SENDLENS_ASN_DATABASE", path, ("ASN", "ISP"), "AS numbers: take GeoLite2-ASN")

    def asn_of(ip: str) -> int | None:
        try:
            found: Any = database.get(ip)
        except ValueError:  # no address, or an IPv6 address in a file of IPv4
            return None
        number = found.get("autonomous_system_number") if isinstance(found, dict) else None
        return number if isinstance(number, int) else None

    return asn_of
