"""Delivery status notifications (RFC 3464): the fields of each recipient, also where the MIME around them is broken."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agents.decisions.mail.addresses import first_address
from agents.decisions.mail.parts import Part

_FIELD = re.compile(
    r"^[> ]{0,3}(final-recipient|original-recipient|x-actual-recipient|x-original-recipient|action|status"
    r"|diagnostic-code"
    r"|remote-mta|x-supplementary-info|x-failed-recipient|x-notes|x-powermta-bouncecategory"
    r"|recipient)[ \t]{0,3}:[ \t]*(.*)$",
    re.IGNORECASE,
)
_MOST_RECIPIENTS = 500
_TYPED = re.compile(r"^\s*[A-Za-z0-9-]{1,20}\s*;\s*")
_ACTION = re.compile(r"[a-z]+")


@dataclass(slots=True)
class Status:
    """What a report says of one recipient. `action` is in lower case and may be anything, or empty."""

    address: str
    action: str
    status: str
    diagnostic: str
    hint: str = ""  # PowerMTA's own word for it


def statuses(mail: Part, words: str) -> list[Status] | None:
    """Each recipient's fields; None when the mail has no delivery status at all. `words` is the report's own text."""
    texts = [
        part.text()
        for part in mail.walk()
        if part.content_type in ("message/delivery-status", "message/global-delivery-status")
    ]
    if texts:
        found = [status for text in texts for status in _read(text)]
        return found[:_MOST_RECIPIENTS]
    lowered = words.lower()
    if "final-recipient:" in lowered or ("original-recipient:" in lowered and "action:" in lowered):
        return _read(words)[:_MOST_RECIPIENTS] or None
    return None


def _read(text: str) -> list[Status]:
    found: list[Status] = []
    group: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        match = _FIELD.match(line)
        if match:
            name = match[1].lower()
            if name == "final-recipient" and name in group:
                _close(group, found)
            group.setdefault(name, match[2].strip())
        elif name and line.startswith((" ", "\t")) and line.strip():
            if len(group[name]) < 4000:
                group[name] += " " + line.strip()
        elif not line.strip():
            name = ""
            if any(key.endswith("recipient") for key in group):
                _close(group, found)
            elif "status" not in group and "diagnostic-code" not in group:
                group.clear()
        elif name == "diagnostic-code" and ":" not in line[:30] and len(group[name]) < 4000:
            group[name] += " " + line.strip()  # folded without the blanks that folding needs
        else:
            name = ""
    _close(group, found)
    return found


def _close(group: dict[str, str], found: list[Status]) -> None:
    address = next(
        (
            address
            for key in (
                "final-recipient",
                "original-recipient",
                "x-original-recipient",
                "x-actual-recipient",
                "recipient",
            )
            if key in group and (address := first_address(_TYPED.sub("", group[key])))
        ),
        "",
    )
    if address or "status" in group or "action" in group:
        action = _ACTION.match(group.get("action", "").lower())
        code = group.get("diagnostic-code", "")
        found.append(
            Status(
                address,
                action[0] if action else "",
                group.get("status", ""),
                _TYPED.sub("", code),
                group.get("x-powermta-bouncecategory", ""),
            )
        )
    group.clear()
