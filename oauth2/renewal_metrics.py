"""What renewing access tokens counts; docs/metrics.md lists it. Worker and inbox show it, each of its own renewals."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

RENEWALS = Counter(
    "sendlens_oauth2_renewals",
    "Access tokens asked for: renewed, refused (the grant is revoked, or its client is wrong), failed (asked again).",
    ["result"],
    registry=None,
)
REFUSED = Gauge(
    "sendlens_oauth2_refused_grants",
    "OAuth 2.0 grants that the authorization server refuses, as this process knows.",
    registry=None,
)
_refused: set[str] = set()
for _result in ("renewed", "refused", "failed"):
    RENEWALS.labels(_result)


def register(registry: CollectorRegistry) -> None:
    """Show both where this process shows what it counts."""
    registry.register(RENEWALS)
    registry.register(REFUSED)


def note(grant: str, refused: bool) -> None:
    """Count the grant among the refused, or no more."""
    (_refused.add if refused else _refused.discard)(grant)
    REFUSED.set(len(_refused))
