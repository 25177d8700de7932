"""Bounces and complaints that a provider sends as JSON: Amazon SES through SNS."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from decisions.mail.bounce.refusal import assess
from decisions.mail.complaints import TAKEN_BACK
from decisions.mail.verdict import MailKind, Recipient

_CALLED = re.compile(r"notificationType|eventType")
_WRAP = re.compile(r"\n ?")

_REASON = "ses-notification"
_DEAD = ("General", "NoEmail", "Suppressed", "OnAccountSuppressionList")


def notification(words: str) -> tuple[MailKind, str, tuple[Recipient, ...]] | None:
    """Kind, reason and recipients of a notification in the text, or None.

    Source: Amazon SES developer guide, "Amazon SNS notification contents".
    """
    if not _CALLED.search(words[:200_000]):
        return None
    start = words.find("{")
    told = _decode(words[start:]) or _decode(_WRAP.sub("", words[start:]))
    if told is None:
        return None
    if isinstance(told.get("Message"), str):
        told = _decode(_WRAP.sub("", told["Message"])) or told
    read, name = _KINDS.get(str(told.get("notificationType") or told.get("eventType")), (None, ""))
    about = told.get(name)
    return read(about) if read is not None and isinstance(about, dict) else None


def _bounce(bounce: dict[str, Any]) -> tuple[MailKind, str, tuple[Recipient, ...]]:
    return "bounce", _REASON, tuple(_bounced(bounce))


def _complaint(complaint: dict[str, Any]) -> tuple[MailKind, str, tuple[Recipient, ...]]:
    category = str(complaint.get("complaintFeedbackType") or "abuse")[:40]
    complained = _each(complaint.get("complainedRecipients"))
    recipients = tuple(Recipient(address=address, category=category) for address, _ in complained)
    if category.lower() in TAKEN_BACK:
        return "other", category.lower(), recipients
    return "complaint", _REASON, recipients


def _delivery(delivery: dict[str, Any]) -> tuple[MailKind, str, tuple[Recipient, ...]]:
    found = delivery.get("recipients")
    addresses = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    said = str(delivery.get("smtpResponse", ""))[:500]
    return (
        "delivery_report",
        _REASON,
        tuple(Recipient(address=each, category="delivered", status="2.0.0", diagnostic=said) for each in addresses),
    )


# A notification's type: what reads the object that it names, and where that stands.
_KINDS: dict[str, tuple[Callable[[dict[str, Any]], tuple[MailKind, str, tuple[Recipient, ...]]], str]] = {
    "Bounce": (_bounce, "bounce"),
    "Complaint": (_complaint, "complaint"),
    "Delivery": (_delivery, "delivery"),
}


def _decode(text: str) -> dict[str, Any] | None:
    end = text.rfind("}")
    try:
        told = msgspec.json.decode(text[: end + 1].encode("utf-8", "replace"), strict=False)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _each(found: object) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(found, list):
        return []
    return [
        (each["emailAddress"], each)
        for each in found[:200]
        if isinstance(each, dict) and isinstance(each.get("emailAddress"), str)
    ]


def _bounced(bounce: dict[str, Any]) -> list[Recipient]:
    out = []
    for address, each in _each(bounce.get("bouncedRecipients")):
        text = str(each.get("diagnosticCode", "") or "")
        told = assess(text, str(each.get("status", "") or ""))
        bounce_class = told.category.bounce_class
        if bounce_class == "unknown" and bounce.get("bounceType") == "Transient":
            bounce_class = "soft"
        if (
            bounce_class == "unknown"
            and bounce.get("bounceType") == "Permanent"
            and bounce.get("bounceSubType") in _DEAD
        ):
            bounce_class = "hard"
        out.append(
            Recipient(
                address=address,
                bounce_class=bounce_class,
                category=told.category.category,
                status=told.status,
                diagnostic=text[:500],
            )
        )
    return out
