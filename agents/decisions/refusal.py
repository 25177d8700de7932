"""What a mail server's refusal says about the address: dead (hard), not now (soft), or about us (block).

The enhanced code decides where it is specific; where it is generic or missing, the text does. Tables: RFC 3463, the
IANA registry of enhanced status codes, and the wording of the large providers. `hard` costs a lead its address, so
whatever is not certain is not hard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from schemas.events import BounceClass

Stage = Literal["mail", "rcpt", "data"]

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, slots=True)
class Category:
    """A refusal's class, and one word for what was wrong."""

    bounce_class: BounceClass
    category: str


_HARD_CODES = {
    "5.1.1": "user-unknown",
    "5.1.2": "domain-unknown",
    "5.1.3": "bad-address",
    "5.1.6": "moved",
    "5.1.10": "no-mail-accepted",  # null MX, RFC 7505
    "5.4.4": "domain-unknown",
    "5.7.17": "owner-changed",  # RFC 7293
}
_OTHER_CODES = {
    "5.1.7": Category("block", "sender-refused"),
    "5.1.8": Category("block", "sender-refused"),
    "5.2.2": Category("soft", "mailbox-full"),
    "5.2.3": Category("soft", "too-big"),
    "5.3.4": Category("soft", "too-big"),
}

# An address or host in the text is not the server's word: spam@example.com is a mailbox, not a verdict.
_NAMES = re.compile(r"<[^>]*>|\S+@\S+|https?://\S+")
_TEXTS: tuple[tuple[re.Pattern[str], Category], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), category)
    for pattern, category in (
        (
            r"spam|black ?list|block ?list|blocked|reputation|\brbl\b|dnsbl|spamhaus|barracuda|\bpolicy\b|\bdmarc\b"
            r"|\bspf\b|\bdkim\b|spoof|banned|unsolicited|not authori[sz]ed|relay|authentication required",
            Category("block", "policy"),
        ),
        (
            r"(mailbox|inbox|quota|account).{0,20}\b(full|exceed|over)|over ?quota|storage",
            Category("soft", "mailbox-full"),
        ),
        (r"too (large|big)|exceeds? .{0,30}size|size limit", Category("soft", "too-big")),
        (r"grey ?list|graylist", Category("soft", "greylisted")),
        (r"too many|too quickly|throttl|rate limit|try (again|later)|temporar", Category("soft", "rate-limited")),
        (
            r"(unknown|no such|invalid|non-?existent|inactive) (local )?(user|recipient|mailbox|address|account)"
            r"|(user|recipient|mailbox|address|account)\b.{0,30}(unknown|not found|does(n't| not) exist|not exist"
            r"|invalid|not valid|no longer|disabled|deleted|closed|doesn't have|rejected: access denied)"
            r"|no mailbox (here )?by that name|address rejected|not our customer|user doesn't",
            Category("hard", "user-unknown"),
        ),
        (r"suspended|inactive", Category("soft", "inactive")),
    )
)


def enhanced_status(code: int, text: str) -> str:
    """The enhanced status code a reply starts with (RFC 2034), or its three digits."""
    found = _ENHANCED.match(text)
    return found.group(1) if found else str(code)


def categorise(code: int, status: str, text: str, stage: Stage = "rcpt") -> Category:
    """Class and category of a refusal in session. `status` is the enhanced code or the three digits again."""
    told = _by_text(text)
    if code < 500:
        return told if told.bounce_class == "soft" else Category("soft", "deferred")
    if told.bounce_class == "block":
        return told  # a listed sender is told about dead addresses that are none
    if status in _OTHER_CODES:
        return _OTHER_CODES[status]
    if stage == "mail":
        return Category("block", "sender-refused")
    if status in _HARD_CODES:
        return told if told.category == "mailbox-full" else Category("hard", _HARD_CODES[status])
    subject = status.split(".")[1] if "." in status else ""
    if subject == "7":
        return Category("block", "policy")
    if subject == "6":
        return Category("soft", "content")
    if status == "5.4.1":
        return told if told.bounce_class == "hard" else Category("soft", "routing")
    if subject in ("3", "4"):
        return Category("soft", "system")
    return told


def _by_text(text: str) -> Category:
    words = _NAMES.sub(" ", text)
    return next((category for pattern, category in _TEXTS if pattern.search(words)), Category("unknown", "unknown"))
