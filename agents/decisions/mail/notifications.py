"""Bounces and complaints that a provider sends as JSON: Amazon SES through SNS."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from agents.decisions.mail.verdict import MailKind, Recipient
from agents.decisions.refusal import assess

_CALLED = re.compile(r"notificationType|eventType")
_WRAP = re.compile(r"\n ?")

_DEAD = ("General", "NoEmail", "Suppressed", "OnAccountSuppressionList")


def notification(words: str) -> tuple[MailKind, str, tuple[Recipient, ...]] | None:
    """Kind, reason and recipients of a notification in the text, or None.

    Source: Amazon SES developer guide, "Amazon SNS notification contents".
    """
    if not _CALLED.search(words[:200_000]):
        return None
    start = words.find("{")
    for text in (words[start:], _WRAP.sub("", words[start:])):
        told = _decode(text)
        if told is not None:
            break
    else:
        return None
    if isinstance(told.get("Message"), str):
        told = _decode(_WRAP.sub("", told["Message"])) or told
    kind = told.get("notificationType") or told.get("eventType")
    if kind == "Bounce" and isinstance(told.get("bounce"), dict):
        return "bounce", "ses-notification", tuple(_bounced(told["bounce"]))
    if kind == "Complaint" and isinstance(told.get("complaint"), dict):
        category = str(told["complaint"].get("complaintFeedbackType") or "abuse")[:40]
        return (
            "complaint",
            "ses-notification",
            tuple(
                Recipient(address=address, category=category)
                for address, _ in _each(told["complaint"].get("complainedRecipients"))
            ),
        )
    if kind == "Delivery" and isinstance(told.get("delivery"), dict):
        found = told["delivery"].get("recipients")
        return (
            "delivery_report",
            "ses-notification",
            tuple(
                Recipient(
                    address=address,
                    category="delivered",
                    status="2.0.0",
                    diagnostic=str(told["delivery"].get("smtpResponse", ""))[:500],
                )
                for address in (found if isinstance(found, list) else ())
                if isinstance(address, str)
            ),
        )
    return None


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
