"""Reports of Postmark's webhooks, one in a request.

https://postmarkapp.com/developer/webhooks/bounce-webhook
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from decisions.providers.passing import joined
from decisions.providers.report import ProviderReport, moment_of


class PostmarkRecord(Struct, rename="pascal"):
    """What any of the webhooks posts."""

    record_type: str
    type: str = ""
    message_id: str | None = field(default="", name="MessageID")  # null where a change is of an address, and no email
    email: str = ""
    recipient: str = ""
    from_: str = field(default="", name="From")
    details: str = ""
    description: str = ""
    bounced_at: str = ""
    delivered_at: str = ""
    changed_at: str = ""
    received_at: str = ""
    id: Any = field(default="", name="ID")
    suppress_sending: bool = False
    suppression_reason: str | None = None
    origin: str | None = None
    metadata: dict[str, Any] | None = None


def report(record: PostmarkRecord) -> ProviderReport:
    """The report of a record. Raises Reject for one without a time."""
    special = [record.type] if record.record_type == "Bounce" else []
    if record.record_type == "SubscriptionChange" and record.suppress_sending:
        special = [record.suppression_reason or "", record.origin or ""]
    at = record.bounced_at or record.delivered_at or record.changed_at or record.received_at
    passed = {name.lower(): value for name, value in (record.metadata or {}).items()}
    return ProviderReport(
        word="/".join(filter(None, (record.record_type, *special))),
        at=moment_of(at),
        cause=f"{record.message_id or ''}/{record.id or at}",
        recipient=record.email or record.recipient,
        sender=record.from_,
        passed=joined(passed),
        diagnostic=record.details or record.description if record.record_type == "Bounce" else "",
    )
