"""Reports of Brevo's transactional webhooks, one in a request.

https://developers.brevo.com/docs/transactional-webhooks
"""

from __future__ import annotations

from msgspec import Struct, field

from decisions.providers.passing import NAME
from decisions.providers.report import ProviderReport, moment

_MILLISECONDS = 10**11  # a number of seconds beyond the year 5000


class BrevoEvent(Struct):
    """One event."""

    event: str
    ts_event: float = 0
    ts: float = 0
    ts_epoch: float = 0
    email: str = ""
    message_id: str = field(default="", name="message-id")
    custom: str | None = field(default=None, name="X-Mailin-custom")
    reason: str | None = None


def report(event: BrevoEvent) -> ProviderReport:
    """The report of an event."""
    seconds = event.ts_event or event.ts_epoch or event.ts
    at = moment(seconds / 1000 if seconds > _MILLISECONDS else seconds)
    name, _, passed = (event.custom or "").partition(":")
    return ProviderReport(
        word=event.event.lower(),
        at=at,
        cause=f"{event.message_id}/{event.event}/{at.timestamp():.0f}",
        recipient=event.email,
        passed=passed.strip() if name.strip() == NAME else "",
        message_id=event.message_id,
        diagnostic=event.reason or "",
    )
