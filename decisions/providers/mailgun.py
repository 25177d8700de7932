"""Reports of Mailgun's webhooks, one in a request.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from decisions.providers.passing import joined
from decisions.providers.report import ProviderReport, moment


class _Status(Struct):
    message: str | None = None
    description: str | None = None
    code: Any = ""
    enhanced_code: str | None = field(default=None, name="enhanced-code")
    attempt_no: Any = field(default=1, name="attempt-no")


class _Message(Struct):
    headers: dict[str, Any] = {}


class _Envelope(Struct):
    sender: str = ""


class MailgunEvent(Struct):
    """What stands in `event-data`."""

    event: str
    timestamp: float
    id: str = ""
    recipient: str = ""
    severity: str = ""
    reason: str = ""
    status: _Status | None = field(default=None, name="delivery-status")
    message: _Message | None = None
    envelope: _Envelope | None = None
    variables: Any = field(default=None, name="user-variables")


def report(event: MailgunEvent) -> ProviderReport:
    """The report of an event."""
    status, headers = event.status or _Status(), (event.message or _Message()).headers
    words = [event.event]
    if event.event == "failed":
        words += [event.severity, event.reason]
    # "4" and "5" stand for the whole of a code that a server did not give.
    code = str(status.code or "")
    attempt = str(status.attempt_no)
    said = status.message or status.description or ""
    return ProviderReport(
        word="/".join(filter(None, words)),
        at=moment(event.timestamp),
        cause=event.id,
        recipient=event.recipient,
        sender=str(headers.get("from", "")),
        passed=joined(event.variables) if isinstance(event.variables, dict) else "",  # none is an empty list
        message_id=str(headers.get("message-id", "")),
        return_path=event.envelope.sender if event.envelope else "",
        status=status.enhanced_code or "",
        diagnostic=f"{code} {said}".strip() if len(code) == 3 and not said.startswith(code) else said,
        attempt=min(int(attempt), 255) if attempt.isascii() and attempt.isdigit() and attempt != "0" else 1,
    )
