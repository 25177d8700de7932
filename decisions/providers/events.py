"""The events that follow from a provider's report of an email."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from decisions.effects.returns import SentEmail
from decisions.mail.complaints import BY_MACHINES, TAKEN_BACK
from decisions.providers.passing import read_passed
from decisions.providers.report import Meaning, ProviderReport, assessed
from decisions.sending.own_events import OwnEvent, events_of
from decisions.sending.own_system import instrumented_at
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.events import Bounced, Complained, Deferred, Delivery, EmailEvent, Unsubscribed, to_ms
from schemas.providers import Provider
from schemas.text import one_line
from schemas.tokens import BadToken, BounceClaim, Claim, Keyring, Purpose, event_id

_DIAGNOSTIC = 500  # characters that are kept
_VERP = "bounce+"


@dataclass(frozen=True, slots=True)
class ProvedEmail:
    """The email that a report is of, as its token proves, and where the token was found. `own_sender` is that of an
    email which the platform sends by itself: nobody else says that it was sent."""

    claim: Claim | BounceClaim
    matched_by: str
    own_sender: str = ""


def proved(report: ProviderReport, keyring: Keyring) -> ProvedEmail | None:
    """The email of a report, by what was passed along, its Message-ID, or its return path. None without a token that
    verifies."""
    token, own_sender = read_passed(report.passed)
    message_id = report.message_id.strip().removeprefix("<").partition("@")[0]
    for text, by, sender in ((token, "passed", own_sender), (message_id, "message-id", "")):
        try:
            return ProvedEmail(keyring.verify(Purpose.MESSAGE, text), by, sender)
        except BadToken:
            continue
    local, _, _ = report.return_path.strip().removeprefix("<").partition("@")
    try:
        return ProvedEmail(keyring.verify_bounce(local[len(_VERP) :]), "verp") if local.startswith(_VERP) else None
    except BadToken:
        return None


def email_of(found: ProvedEmail, report: ProviderReport) -> SentEmail | None:
    """The email as its token alone says; None where the token has room for its id only."""
    claim = found.claim
    if not isinstance(claim, Claim):
        return None
    sender = found.own_sender or _address(report.sender)
    return SentEmail(str(claim.delivery_id), claim.campaign, claim.step, claim.variant, claim.lead, sender)


def events_of_report(
    report: ProviderReport,
    meaning: Meaning,
    email: SentEmail,
    found: ProvedEmail,
    *,
    provider: Provider,
    keyring: Keyring,
    now: datetime,
) -> tuple[list[EmailEvent], Delivery | None]:
    """What follows: nothing where the sender has told it already, or a machine complained.

    Ids go by the email, the provider and what happened, so a report that comes again is the same event. A bounce that
    also comes as a mail is a second event of the email; whatever is counted counts emails, and so once.

    A delivery of an email that the sender sent has no event. It comes after the `delivered` that the sender wrote, when
    hits may be judged already, and a hit that is judged again must get the same verdict.
    """
    at = to_ms(min(report.at, now))
    if found.own_sender and meaning.kind in ("delivered", "bounce"):
        return events_of(_own(report, meaning, email, at), keyring, instrumented_at(found.claim.minted_at))
    return list(_events(replace(report, at=at), meaning, email, found.matched_by, provider)), None


def _own(report: ProviderReport, meaning: Meaning, email: SentEmail, at: datetime) -> OwnEvent:
    """As the platform would report it of an email that it sends by itself. A bounce is always `via` report: it does not
    say whether the mail server had taken the email before."""
    bounce = meaning.kind == "bounce"
    what = assessed(report, meaning)
    return OwnEvent(
        kind="bounce" if bounce else "delivered",
        campaign=email.campaign,
        step=email.step,
        variant=email.variant,
        lead=email.lead,
        at=at,
        sender=email.sender,
        to=report.recipient,
        message_id=report.message_id[:990],
        status=what.status[:32] if bounce else "",
        diagnostic=report.diagnostic[:2000] if bounce else "",
        bounce_class=what.category.bounce_class if bounce else None,
        via="report",
    )


def _events(
    report: ProviderReport, meaning: Meaning, email: SentEmail, matched_by: str, provider: Provider
) -> Iterator[EmailEvent]:
    def of(cause: str) -> dict[str, Any]:
        return {
            "id": str(event_id(email.delivery_id, f"{cause}\x1f{provider}")),
            "at": report.at,
            "delivery_id": email.delivery_id,
            "campaign": email.campaign,
            "step": email.step,
            "variant": email.variant,
            "lead": email.lead,
        }

    told: dict[str, Any] = {"sender": email.sender, "message_id": "", "matched_by": matched_by}
    diagnostic = one_line(report.diagnostic[:_DIAGNOSTIC])
    match meaning.kind:
        case "bounce":
            what = assessed(report, meaning)
            yield Bounced(
                **of("bounce"),
                **told,
                bounce_class=what.category.bounce_class,
                category=what.category.category,
                status=one_line(what.status)[:32],
                diagnostic=diagnostic,
                via="report",
            )
        case "deferred":
            status = one_line(assessed(report, meaning).status)[:32]
            cause = f"deferred\x1f{report.cause}"
            yield Deferred(
                **of(cause), sender=email.sender, status=status, diagnostic=diagnostic, attempt=report.attempt
            )
        case "complaint":
            if report.feedback not in BY_MACHINES | TAKEN_BACK:
                yield Complained(**of("complaint"), **told, category=one_line(report.feedback)[:64] or "abuse")
        case "unsubscribe":
            yield Unsubscribed(**of("unsubscribe"), via="provider")


def _address(text: str) -> str:
    try:
        return mailbox(text).address if text else ""
    except Reject:
        return ""
