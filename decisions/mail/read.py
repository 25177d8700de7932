"""`read_mail`: what a raw mail is, whom it speaks of, what its writer wrote, and which delivery it belongs to.

Pure, and total: any bytes give a verdict, broken and hostile ones too. What costs time is bounded in `parts.py`.
"""

from __future__ import annotations

from decisions.mail.charsets import decode_words
from decisions.mail.evidence import Evidence
from decisions.mail.kinds import MailFacts, decide
from decisions.mail.matching import match
from decisions.mail.origin import dmarc_failed, from_address
from decisions.mail.parts import MimePart, parse
from decisions.mail.reply.stop import stop_request
from decisions.mail.reply.visible import own_text, visible_text
from decisions.mail.returned import report, wrapped_report
from decisions.mail.signs import find
from decisions.mail.verdict import MailKind, MailVerdict
from schemas.tokens import Keyring

MAX_MAIL = 25 << 20  # bytes; what the large providers take at the most (Gmail: 25 MB)


def read_mail(raw: bytes, keyring: Keyring | None = None, authserv_id: str = "") -> MailVerdict:
    """Read one mail as it came from the mailbox. Without a keyring nothing is matched. Never raises.

    `authserv_id` is what the mailbox's server calls itself in Authentication-Results, where that is known. A mail over
    `MAX_MAIL` bytes is read up to there; a caller that wants to refuse it does so before.
    """
    return explain_mail(raw, keyring, authserv_id)[0]


def explain_mail(
    raw: bytes, keyring: Keyring | None = None, authserv_id: str = ""
) -> tuple[MailVerdict, tuple[Evidence, ...]]:
    """Read one mail as `read_mail` does, and say what decided: of its kind first, then of each recipient."""
    mail = parse(raw[:MAX_MAIL])
    subject = decode_words(mail.get("subject"))
    inner = wrapped_report(mail)
    told = report(inner or mail)
    found = match(mail, told.returned, keyring)
    reading = decide(
        MailFacts(
            inner or mail,
            told,
            decode_words(inner.get("subject")) if inner else subject,
            matched=found is not None,
            returned=found is not None and found.by == "verp",
        )
    )
    text = _text(mail, reading.kind)
    verdict = MailVerdict(
        kind=reading.kind,
        reason=reading.reason,
        recipients=reading.recipients,
        text=text,
        stop=stop_request(own_text(mail), text, subject) if reading.kind == "reply" else None,
        match=found,
        sender=from_address(mail),
        dmarc_failed=dmarc_failed(mail, authserv_id),
        subject=subject[:1000],
        message_id=mail.get("message-id").strip().strip("<>")[:1000],
    )
    return verdict, reading.evidence


def _text(mail: MimePart, kind: MailKind) -> str:
    """What its writer wrote, for kinds that have one. Programs that answer mark what they return as reports do."""
    if kind not in ("reply", "auto_reply", "other"):
        return ""
    text = visible_text(mail)
    mark = find("returned-mark", text, len(text)) if kind == "auto_reply" else None
    return text[: mark.start].rstrip() if mark and text[: mark.start].strip() else text
