"""The operator's own ASN database: which autonomous system an address belongs to."""

from __future__ import annotations

from typing import Any

from decisions.robots.networks import AsnLookup
from schemas.errors import Misconfigured


def asn_lookup(path: str) -> AsnLookup | None:
    """Open a MaxMind DB file (GeoLite2-ASN or of its shape) and look AS numbers up in it; None for no path.

    The file is read into memory, so that replacing it does no harm to a running process. Raises Misconfigured when it
    can't be read or holds no AS numbers.
    """
    if not path:
        return None
    import maxminddb  # by those alone who have a file

    try:
        database = maxminddb.open_database(path, maxminddb.MODE_MEMORY)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        raise Misconfigured(f"SENDLENS_ASN_DATABASE: {path} can't be read ({error})") from None
    kind = database.metadata().database_type
    if "ASN" not in kind.upper() and "ISP" not in kind.upper():
        raise Misconfigured(f"SENDLENS_ASN_DATABASE: {path} holds {kind}, not AS numbers: take GeoLite2-ASN")

    def asn_of(ip: str) -> int | None:
        try:
            found: Any = database.get(ip)
        except ValueError:  # no address, or an IPv6 address in a file of IPv4
            return None
        number = found.get("autonomous_system_number") if isinstance(found, dict) else None
        return number if isinstance(number, int) else None

    return asn_of
