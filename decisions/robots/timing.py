"""How soon after delivery a person can have seen an email at all."""

from __future__ import annotations

from datetime import datetime, timedelta

# The product's rule; Mautic and GoCheck use the same. Most scanners are slower: networks and agents find those.
SCANNER_WINDOW = timedelta(seconds=2)

# Within this long after delivery a hit from a security vendor's network is its scanner; later it may be a person whose
# browser the vendor isolates (Proofpoint, Mimecast, Cisco).
ISOLATION_AFTER = timedelta(minutes=10)


def too_soon(at: datetime, delivered_at: datetime, window: timedelta) -> str | None:
    """Name why a hit came sooner than a person can: `before-delivery`, `too-quick`, or None when it did not.

    Both times come from our own processes, so clocks differ by NTP's error alone.
    """
    if at < delivered_at:
        return "before-delivery"
    if at - delivered_at < window:
        return "too-quick"
    return None


def soon(at: datetime, delivered_at: datetime) -> bool:
    """Whether a security vendor's scanner is still the likely visitor."""
    return at - delivered_at < ISOLATION_AFTER
