"""What a mail server's refusal says about the address: dead (hard), not now (soft), or about us (block).

One categoriser for what is refused in session, what a delivery status says (RFC 3464) and what a bounce says in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from decisions.mail.bounce.category import Category, Stage
from decisions.mail.bounce.codes import codes
from decisions.mail.bounce.phrases import MOST_TEXT
from decisions.mail.bounce.rules import WEAK, Judged, judge
from decisions.mail.evidence import Evidence

# Gateways that put a code and a phrase of their own before the server's reply:
# "5.1.0 - Unknown address error 550-'5.2.2 ...".
_WRAPPED = re.compile(r"^\W*[45]\.\d\.\d - .{0,60}?(?=[245]\d\d-')", re.DOTALL)
# Sendmail's own words for a reply's three digits: "550 5.1.1 <ada@example.com>... User unknown".
_SENDMAILS = re.compile(r"(?m)^[ \t]*[45]\d\d (?:\d\.\d\.\d )?<?[^\s<>]{1,320}@[^\s<>]{1,255}>?\.\.\. .*$")
_REPLY = re.compile(r"(?m)^[ \t]*(?:<<<|\(reason:) ?[45]\d\d[ -]")
_VAGUE = WEAK | {"network", "mailbox", "deferred"}


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a diagnostic comes to: its category, and the code that stands for it (enhanced, else SMTP, else "").

    `rule` is the one that decided, `phrase` where the phrase was found that it followed, or "".
    """

    category: Category
    status: str
    rule: str = field(default="", compare=False)
    phrase: str = field(default="", compare=False)

    def evidence(self, about: str) -> tuple[Evidence, ...]:
        """What decided, as evidence about an address."""
        rule = Evidence(about, self.rule, self.status)
        return (rule, Evidence(about, "phrase", self.phrase)) if self.phrase else (rule,)


def categorise(code: int, status: str, text: str, stage: Stage = "rcpt") -> Category:
    """Class and category of a refusal. `code` is the SMTP reply's, 0 where none is known.

    `status` is the enhanced code; the three digits again, or "", where there is none.
    """
    return judge(code, status, text, stage).category


@lru_cache(maxsize=128)  # a report says the same of many
def assess(text: str, status: str = "", stage: Stage = "rcpt") -> Assessment:
    """Read a diagnostic that came by mail. `status` is what a report's Status field says, weaker than the text."""
    text = text[:MOST_TEXT]
    own = _servers_own(text)
    told = _assess(own, status, stage)
    return _assess(text, status, stage) if own != text and told.category.bounce_class == "unknown" else told


def _assess(text: str, status: str, stage: Stage) -> Assessment:
    text = _WRAPPED.sub("", text)
    found = codes(text, status)
    judged = judge(found.code, found.enhanced, text[found.at :], stage, is_said=found.is_said)
    if found.at > 0 and _is_vague(judged):
        # What stands before the reply may say more than it.
        whole = judge(found.code, found.enhanced, text, stage, is_said=found.is_said)
        if whole.category.bounce_class != "unknown" and not (_is_vague(whole) and _is_known(judged)):
            judged = whole
    return Assessment(judged.category, found.status, judged.rule, judged.phrase)


def _servers_own(text: str) -> str:
    """A Sendmail transcript with the server's reply alone, without what Sendmail makes of its three digits."""
    return _SENDMAILS.sub("", text) if "... " in text and _REPLY.search(text) else text


def _is_known(judged: Judged) -> bool:
    return judged.category.bounce_class != "unknown"


def _is_vague(judged: Judged) -> bool:
    return not _is_known(judged) or judged.category.category in _VAGUE
