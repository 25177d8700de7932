"""What reading a mail comes to. Values only."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from schemas.events import BounceClass
from schemas.tokens import BounceClaim, Claim

MailKind = Literal["reply", "auto_reply", "bounce", "delivery_report", "complaint", "other"]
MatchedBy = Literal["verp", "in-reply-to", "references", "returned-path", "returned-message-id", "returned-unsubscribe"]


class Recipient(Struct, frozen=True, kw_only=True):
    """One address a report speaks of. Of a complaint, `category` is the feedback type; of a delivery, `delivered`.

    `status` is the enhanced code (RFC 3463), else the SMTP code, else empty; `diagnostic` the words, at most 500
    characters of them.
    """

    address: str
    bounce_class: BounceClass = msgspec.field(name="class", default="unknown")
    category: str = "unknown"
    status: str = ""
    diagnostic: str = ""


class Match(Struct, frozen=True, kw_only=True):
    """The delivery that a mail belongs to, proven by a token of ours.

    `claim` says campaign, step and lead where the token has them; that of a return path has the delivery alone.
    """

    delivery_id: str
    by: MatchedBy
    claim: Claim | BounceClaim


class StopRequest(Struct, frozen=True, kw_only=True):
    """Words in a reply that ask for no more mail, and the line of its visible text in which they begin, from 1; 0 is
    the subject."""

    phrase: str
    line: int


class MailVerdict(Struct, frozen=True, kw_only=True):
    """What a mail is, whom it speaks of, what its writer wrote, and which delivery it belongs to.

    `reason` is the sign that decided the kind. `text` is the visible reply, of replies, auto-replies and others.
    `stop` is where a reply asks for no more mail.
    `sender` is the one address in From, `message_id` is without its brackets; both are whatever the mail says and may
    be empty. `dmarc_failed`: the mailbox's own server says that the domain of `sender` did not send it. A mail that
    matches nothing may still be a reply: somebody wrote a new mail.
    """

    kind: MailKind
    reason: str
    recipients: tuple[Recipient, ...] = ()
    text: str = ""
    stop: StopRequest | None = None
    match: Match | None = None
    sender: str = ""
    dmarc_failed: bool = False
    subject: str = ""
    message_id: str = ""
