"""Reports of SendGrid's Event Webhook, many in a request.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from decisions.providers.report import ProviderReport, moment


class SendGridEvent(Struct):
    """One event; what was passed along as a unique argument stands beside its own fields."""

    event: str
    timestamp: float
    email: str = ""
    sg_event_id: str = ""
    sg_message_id: str = ""
    smtp_id: str = field(default="", name="smtp-id")
    status: Any = ""
    reason: str = ""
    response: str = ""
    type: str = ""
    attempt: Any = 1
    sendlens: str = ""


def report(event: SendGridEvent) -> ProviderReport:
    """The report of an event."""
    special = {"bounce": event.type, "dropped": event.reason}.get(event.event, "")
    attempt = str(event.attempt)
    return ProviderReport(
        word="/".join(filter(None, (event.event, special))),
        at=moment(event.timestamp),
        cause=event.sg_event_id or f"{event.sg_message_id}/{event.event}/{event.timestamp:.0f}",
        recipient=event.email,
        passed=event.sendlens,
        message_id=event.smtp_id,
        status=str(event.status or ""),
        diagnostic=(event.response if event.event == "deferred" else event.reason) or "",
        attempt=min(int(attempt), 255) if attempt.isascii() and attempt.isdigit() and attempt != "0" else 1,
    )
