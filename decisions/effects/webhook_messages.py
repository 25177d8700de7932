"""What other systems are told, how it is signed, and when it is tried again.

The form is that of Standard Webhooks (https://www.standardwebhooks.com, specification 1.0): a payload of type,
timestamp and data; the headers webhook-id, webhook-timestamp and webhook-signature.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from schemas.state.webhook_calls import EventNotice

LONGEST = timedelta(hours=24)
# Seconds after each attempt that failed, the last one again and again.
_DELAYS = (5, 60, 300, 900, 3600)
_JITTER = 0.1  # of the delay, both ways: endpoints that went down together don't come back to a crowd


# What every payload has, whatever its event is of: of a campaign's pause there is no lead.
_ALWAYS = ("campaign", "step", "variant", "lead")
# Which field of an event says why, where it has no reason or it is empty.
_REASONS = {
    "bounce": "category",
    "complaint": "category",
    "deferred": "status",
    "unsubscribe": "via",
    "reply": "matched_by",
    "auto_reply": "matched_by",
}


class _EventHead(msgspec.Struct, frozen=True):
    id: str
    kind: str
    at: str
    delivery_id: str = ""


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """An event as it is told: `id` is the same at every attempt, so that an endpoint can tell a repeat. `delivery` is
    empty for an event of no email; `recipient` is the address in a sent event that has it."""

    id: str
    kind: str
    delivery: str
    recipient: str
    data: Mapping[str, Any]

    def body(self, to: str | None = None) -> bytes:
        """The payload; with `to`, for an endpoint that asked for it. Empty where it is not known."""
        data = dict(self.data) if to is None else {**self.data, "to": to}
        return _encode(EventNotice(self.kind, self.data["at"], data))


def report(line: bytes) -> WebhookMessage:
    """The payload of an event given as a line of JSON. Raises msgspec.MsgspecError when the line is not one."""
    data = _decode(line)
    recipient = str(data.pop("recipient", ""))
    head = msgspec.convert(data, _EventHead)
    data |= {name: data.get(name) for name in _ALWAYS}
    data["reason"] = data.get("reason") or data.get(_REASONS.get(head.kind, ""), "")
    return WebhookMessage(head.id, head.kind, head.delivery_id, recipient, data)


def signed(secrets: Sequence[bytes], id_: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers that prove where a payload comes from. With several secrets, as while keys are rotated, the
    endpoint may know any of them."""
    timestamp = str(int(now.timestamp()))
    content = b".".join((id_.encode(), timestamp.encode(), body))
    marks = [base64.b64encode(hmac.digest(secret, content, "sha256")).decode() for secret in secrets]
    return {
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{mark}" for mark in marks),
    }


def next_attempt(
    attempt: int, first_at: datetime, now: datetime, luck: float, asked: float | None = None
) -> datetime | None:
    """When to try again after attempt number `attempt` (from 1) failed; None when 24 hours are over.

    `luck` is 0 to 1. `asked` is the endpoint's Retry-After in seconds, which is heeded unless it is sooner.
    """
    deadline = first_at + LONGEST
    if now >= deadline:
        return None
    delay = _DELAYS[min(attempt, len(_DELAYS)) - 1] * (1 + _JITTER * (2 * luck - 1))
    return min(now + timedelta(seconds=max(delay, asked or 0.0)), deadline)


_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
