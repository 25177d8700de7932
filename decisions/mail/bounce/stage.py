"""At which command of the session a refusal came, as far as its words say."""

from __future__ import annotations

import re

from decisions.mail.bounce.category import Stage
from decisions.mail.signs import shows

_MOST = 128 << 10  # characters that are looked at
# A transcript of the session: what was sent (">>>"), and the answers to it ("<<<").
_AFTER_DATA = re.compile(r">>> DATA\n(?:<<< .{0,300}\n){1,20}5\d\d (?:5\.\d\.\d )?Service unavailable", re.IGNORECASE)
# An answer to RCPT names its address; "550 : User unknown" is KDDI's after the whole mail was taken.
_NAMELESS = re.compile(r"^[^\w\n]*+5\d\d:?[ \t]+:[ \t]+user unknown", re.IGNORECASE | re.MULTILINE)


def stage_of(text: str) -> Stage:
    """At which command of the session the refusal came: to RCPT, where nothing is said of another."""
    words = " ".join(text[:_MOST].split())  # where a line breaks says nothing
    if shows("stage-data", words, _MOST) or _AFTER_DATA.search(text) or _NAMELESS.search(text):
        return "data"
    if shows("stage-mail", words, _MOST):
        return "mail"
    return "connect" if shows("stage-connect", words, _MOST) else "rcpt"
