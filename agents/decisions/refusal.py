"""What a mail server's refusal says about the address: dead (hard), not now (soft), or about us (block).

One categoriser for what is refused in session, what a delivery status says (RFC 3464) and what a bounce says in words.
The enhanced code decides where it is specific; where it is generic or missing, the text does, by the table
`data/refusals.tsv`. Sources: RFC 3463, the IANA registry of enhanced status codes, and the wording of servers and
providers. `hard` costs a lead its address, so whatever is not certain is not hard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast, get_args

import re2

from agents.decisions.tables import rows
from schemas.events import BounceClass

Stage = Literal["connect", "mail", "rcpt", "data"]

_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
_MOST_TEXT = 2000  # characters that are read of a text: the server's words come first


@dataclass(frozen=True, slots=True)
class Category:
    """A refusal's class, and one word for what was wrong."""

    bounce_class: BounceClass
    category: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a diagnostic comes to: its category, and the code that stands for it (enhanced, else SMTP, else "")."""

    category: Category
    status: str


_HARD_CODES = {
    "5.1.1": "user-unknown",
    "5.1.2": "domain-unknown",
    "5.1.3": "bad-address",
    "5.1.6": "moved",
    "5.1.10": "no-mail-accepted",  # null MX, RFC 7505
    "5.4.4": "domain-unknown",
    "5.4.310": "domain-unknown",  # Exchange Online: the recipient's domain does not exist
    "5.7.17": "owner-changed",  # RFC 7293
}
_OTHER_CODES = {
    "5.1.7": Category("block", "sender-refused"),
    "5.1.8": Category("block", "sender-refused"),
    "5.2.2": Category("soft", "mailbox-full"),
    "5.2.3": Category("soft", "too-big"),
    "5.3.4": Category("soft", "too-big"),
}
# Words that stand in many refusals: where the text also says that nobody is there, that is what it means.
_WEAK = frozenset({"policy", "content", "refused", "system"})
_UNKNOWN = Category("unknown", "unknown")

# An address or host in the text is not the server's word: spam@example.com is a mailbox, not a verdict.
_NAMES = re.compile(r"<[^>]{0,320}>|[A-Za-z0-9._%+=/&'*$!#?^`{|}~-]{0,100}@[A-Za-z0-9.:\[\]-]+|https?://\S+")
_BLANKS = re.compile(r"\s+")

# A reply's code and what may stand around it: "550 ", "550-", "[550 ", "550:", "ERROR_CODE :550".
_REPLY = re.compile(r"(?<![\d.:/-])([45]\d\d)(?=[\s:,\-']|$)(?![-:]\d\d)")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d]|\.\d)")
# Gateways that put a code and a phrase of their own before the server's reply:
# "5.1.0 - Unknown address error 550-'5.2.2 ...".
_WRAPPED = re.compile(r"^\W*[45]\.\d\.\d - .{0,60}?(?=[245]\d\d-')")
_VAGUE = _WEAK | {"network", "mailbox", "deferred"}


def enhanced_status(code: int, text: str) -> str:
    """The enhanced status code a reply starts with (RFC 2034), or its three digits."""
    found = _ENHANCED.match(text)
    return found.group(1) if found else str(code)


def categorise(code: int, status: str, text: str, stage: Stage = "rcpt") -> Category:
    """Class and category of a refusal. `code` is the SMTP reply's, 0 where none is known.

    `status` is the enhanced code; the three digits again, or "", where there is none.
    """
    told = told_by(text)
    if 200 <= code < 500:
        return told if told.bounce_class == "soft" else Category("soft", "deferred")
    subject = status.split(".")[1] if "." in status else ""
    if subject == "6" and told.category != "sender-refused":
        return Category("soft", "content")
    if told.category in _WEAK and subject != "7":
        told = _dead(text) or told
    if told.category == "no-mail-accepted" and (subject in ("1", "3", "7", "") or status in _HARD_CODES):
        return told
    if told.bounce_class == "block" and told.category != "refused":
        return told  # a listed sender is told about dead addresses that are none
    if status in _OTHER_CODES:
        return _OTHER_CODES[status]
    if stage in ("mail", "connect"):
        return told if told.bounce_class in ("block", "soft") else Category("block", "sender-refused")
    if status in _HARD_CODES:
        return told if told.category == "mailbox-full" else Category("hard", _HARD_CODES[status])
    if subject == "7":
        return Category("block", "policy")
    if status == "5.4.1":
        return told if told.bounce_class == "hard" else Category("soft", "routing")
    if stage == "data" and told.category in ("user-unknown", "domain-unknown") and status != "5.1.1":
        # The address was taken and the mail refused: filters of Japanese carriers say so of mailboxes that live.
        return Category("unknown", "filtered")
    if subject in ("3", "4") and told.bounce_class != "hard":
        return told if told.bounce_class == "soft" else Category("soft", "system")
    if told == _UNKNOWN and subject == "2":
        return Category("soft", "mailbox")
    return told


def assess(text: str, status: str = "", stage: Stage = "rcpt") -> Assessment:
    """Read a diagnostic that came by mail. `status` is what a report's Status field says, weaker than the text."""
    text = _WRAPPED.sub("", text[:_MOST_TEXT])
    reply = _REPLY.search(text)
    codes = [".".join(found) for found in _STATUS.findall(text)]
    said = next((at for at in codes if _specific(at)), "")
    field = ".".join(found.groups()) if (found := _STATUS.search(status)) else ""
    if not said and field and (_specific(field) or not codes):
        said = field
    said = said or (codes[0] if codes else "")
    code = int(reply[1]) if reply else (int(said[0]) * 100 if said else 0)
    if reply and said and said[0] != reply[1][0]:
        code = (
            int(said[0]) * 100
        )  # the enhanced code is of the final answer, the reply may be quoted from an earlier one
    words = text[reply.start() :] if reply else text
    category = categorise(code, said, words, stage)
    if reply and reply.start() > 0 and (category.bounce_class == "unknown" or category.category in _VAGUE):
        whole = categorise(code, said, text, stage)  # what stands before the reply may say more than the reply
        if whole.bounce_class != "unknown" and (category.bounce_class == "unknown" or whole.category not in _VAGUE):
            category = whole
    return Assessment(category, said or (reply[1] if reply else ""))


def _specific(status: str) -> bool:
    """Whether an enhanced code says what was wrong: x.0.y and x.y.0 are "other or undefined" (RFC 3463)."""
    return status[0] != "2" and not status.endswith(".0") and status[1:3] != ".0"


def told_by(text: str) -> Category:
    """What the words alone say, codes aside."""
    words = _words(text)
    return next((category for search, category in _texts() if search(words)), _UNKNOWN)


def _dead(text: str) -> Category | None:
    """What the words say of an address that nobody has, whatever else they say."""
    words = _words(text)
    return next((told for search, told in _texts() if told.category == "user-unknown" and search(words)), None)


def _words(text: str) -> bytes:
    return _BLANKS.sub(" ", _NAMES.sub(" ", text[:_MOST_TEXT])).encode("utf-8", "replace")


@lru_cache(maxsize=1)
def _texts() -> list[tuple[Any, Category]]:
    """The table's patterns, compiled. Each on its own: counted repeats of all in one automaton would not fit."""
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    table: list[tuple[Any, Category]] = []
    for place, (pattern, bounce_class, category, _) in rows("refusals.tsv", 4):
        if bounce_class not in get_args(BounceClass):
            raise ValueError(f"{place}: {bounce_class!r} is no class of bounce")
        of = Category(cast(BounceClass, bounce_class), category)
        try:
            table.append((re2.compile(pattern.encode(), options).search, of))
        except re2.error as error:
            raise ValueError(f"{place}: {error}") from None
    return table
