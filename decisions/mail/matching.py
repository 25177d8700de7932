"""Which delivery a mail belongs to: by a token whose MAC verifies, and by nothing else.

In order: the return path we gave the email, in the addresses this mail came to; the Message-ID we gave it, in
In-Reply-To and References; then what a report returns of our email. A forged report has no token that verifies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from decisions.mail.charsets import decode_words
from decisions.mail.parts import MimePart
from decisions.mail.verdict import Match, MatchedBy
from schemas.tokens import BadToken, BounceClaim, Claim, Keyring, Purpose

# "bounce+" and 34 bytes in base32; mail servers may change its case, and forwarders wrap it (SRS, prvs).
_VERP = re.compile(r"bounce\+([a-z2-7]{55})(?![a-z2-7])", re.IGNORECASE)
_MESSAGE_ID = re.compile(r"(?<![A-Za-z0-9_-])([A-Za-z0-9_-]{54,400})@")
_UNSUBSCRIBE = re.compile(r"/u/([A-Za-z0-9_-]{54,700})(?![A-Za-z0-9_-])")

_ARRIVED_AT = (
    "delivered-to", "x-original-to", "to", "envelope-to", "x-envelope-to", "x-delivered-to", "apparently-to",
    "x-apparently-to", "x-forwarded-to", "x-rcpt-to", "resent-to", "cc",
)  # fmt: skip
_MOST_TOKENS = 60  # that are tried for one mail: verifying costs microseconds, and a header may hold thousands


def match(mail: MimePart, returned: MimePart | None, keyring: Keyring | None) -> Match | None:
    """The first proof found. `returned` is what the mail carries of the one it is about, if anything."""
    if keyring is None:
        return None
    for tried, (by, token) in enumerate(_tokens(mail, returned)):
        if tried >= _MOST_TOKENS:
            break
        claim = _claim(keyring, by, token)
        if claim is not None:
            return Match(delivery_id=str(claim.delivery_id), by=by, claim=claim)
    return None


def _claim(keyring: Keyring, by: MatchedBy, token: str) -> Claim | BounceClaim | None:
    try:
        if by in ("verp", "returned-path"):
            return keyring.verify_bounce(token)
        return keyring.verify(Purpose.UNSUBSCRIBE if by == "returned-unsubscribe" else Purpose.MESSAGE, token)
    except BadToken:
        return None


def _tokens(mail: MimePart, returned: MimePart | None) -> Iterator[tuple[MatchedBy, str]]:
    arrived = [value for name in _ARRIVED_AT for value in mail.all(name)] + mail.all("received")
    yield from (("verp", token) for token in _found(_VERP, arrived))
    # Programs that fold headers at 78 columns put a longer word into encoded words (RFC 2047), Python's own among them.
    answered, thread = (map(decode_words, mail.all(name)) for name in ("in-reply-to", "references"))
    yield from (("in-reply-to", token) for token in _found(_MESSAGE_ID, answered))
    # The mail answered stands last in References.
    yield from (("references", token) for token in reversed(list(_found(_MESSAGE_ID, thread))))
    if returned is not None:
        paths = [
            value for name in ("return-path", "sender", "received", "x-envelope-from") for value in returned.all(name)
        ]
        yield from (("returned-path", token) for token in _found(_VERP, paths))
        ids = [*returned.all("message-id"), *mail.all("original-message-id")]
        yield from (("returned-message-id", token) for token in _found(_MESSAGE_ID, ids))
        yield from (("returned-unsubscribe", token) for token in _found(_UNSUBSCRIBE, returned.all("list-unsubscribe")))


def _found(pattern: re.Pattern[str], values: Iterable[str]) -> Iterator[str]:
    for value in values:
        # A folded header may have its token cut in two; ours never are, so blanks end one.
        yield from pattern.findall(value)
