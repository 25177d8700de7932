"""Codes of refusals: how they are found in a text, and what those mean that say by themselves what was wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from decisions.mail.bounce.category import Category
from decisions.mail.bounce.phrases import category_of
from decisions.tables import rows

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
# A reply's code and what may stand around it: "550 ", "550-", "[550 ", "550:", "ERROR_CODE :550".
_REPLY = re.compile(r"(?<![\d.:/-])([45]\d\d)(?=[\s:,\-']|$)(?![-:]\d\d)")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d]|\.\d)")


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of a diagnostic: the reply's, 0 for none; the enhanced one, or ""; and where the reply stands.

    `is_said`: the text says the enhanced one itself. A report's field alone may be the relay's guess: Sendmail writes
    5.1.1 for any 550, 5.1.3 for any 553.
    """

    reply: int
    enhanced: str
    at: int
    is_said: bool = True

    @property
    def code(self) -> int:
        """The SMTP code, made of the enhanced one where these two differ or only this is known.

        The enhanced code is of the final answer; the reply may be quoted from an earlier one.
        """
        if self.enhanced and self.enhanced[0] != str(self.reply)[0]:
            return int(self.enhanced[0]) * 100
        return self.reply

    @property
    def status(self) -> str:
        """The code that stands for them: enhanced, else the reply's, else ""."""
        return self.enhanced or (str(self.reply) if self.reply else "")


def codes(text: str, status: str) -> Codes:
    """The codes that a text says, and a report's Status field, which counts where the text's are vague or missing."""
    reply = _REPLY.search(text)
    said = [".".join(found) for found in _STATUS.findall(text)]
    field = ".".join(found.groups()) if (found := _STATUS.search(status)) else ""
    enhanced = next((code for code in said if _is_specific(code)), "")
    if not enhanced and field and (_is_specific(field) or not said):
        enhanced = field
    enhanced = enhanced or next(iter(said), "")
    return Codes(int(reply[1]) if reply else 0, enhanced, reply.start() if reply else 0, enhanced in said)


def enhanced_status(code: int, text: str) -> str:
    """The enhanced status code a reply starts with (RFC 2034), or its three digits."""
    found = _ENHANCED.match(text)
    return found.group(1) if found else str(code)


def meaning(status: str) -> Category | None:
    """What an enhanced code means that says so by itself."""
    return _meanings()["status"].get(status)


def powermta_meaning(category: str) -> Category | None:
    """What a word of PowerMTA's means."""
    return _meanings()["powermta"].get(category)


def _is_specific(status: str) -> bool:
    """Whether an enhanced code says what was wrong: x.0.y and x.y.0 are "other or undefined" (RFC 3463)."""
    return status[0] != "2" and not status.endswith(".0") and status[1:3] != ".0"


@lru_cache(maxsize=1)
def _meanings() -> dict[str, dict[str, Category]]:
    table: dict[str, dict[str, Category]] = {}
    for place, (of, code, bounce_class, category, _) in rows("refusal_codes.tsv", 5):
        table.setdefault(of, {})[code] = category_of(bounce_class, category, place)
    return table
