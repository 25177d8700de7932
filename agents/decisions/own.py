"""For a platform that sends through a system of its own: the email to send, and what its words make known.

The same gate, tokens and events, with the same ids, as of an email that the sender puts to its server.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from agents.decisions.again import LONGEST_TRANSACTION
from agents.decisions.gate import Go, Skip, gate
from agents.decisions.instrument import parts_of
from agents.decisions.mime import mailbox
from agents.decisions.refusal import Assessment, assess
from schemas.errors import Reject
from schemas.events import (
    Bounced,
    Campaign,
    Complained,
    Deferred,
    Delivered,
    Delivery,
    EmailEvent,
    Pause,
    Send,
    Sent,
    to_ms,
)
from schemas.ownsystem import Fact, OwnEvent, Ready, Withheld
from schemas.tokens import Keyring, delivery_id, event_id

_DIAGNOSTIC = 500  # characters that are kept


def instrumented(
    send: Send,
    campaign: Campaign,
    pause: Pause | None,
    fact: Callable[[str], Fact | None],
    now: datetime,
    *,
    keyring: Keyring,
    public_url: str,
    envelope_domain: str,
    honeypot: bool,
) -> Ready | Withheld:
    """The email to send, or why this lead must not get it. Raises Reject for what can't become one.

    Its tokens say that they are older than they are. An email of ours that the mail server has not taken a few minutes
    after its tokens were made can't have been opened, so the judge calls that a robot; of this one nobody may ever
    tell us that it was delivered, and then nothing follows from that.
    """
    address = mailbox(send.to).address
    verdict = gate(
        send, campaign, pause, fact, keyring.address_ids(address), None, lead_ids=keyring.lead_ids(send.lead)
    )
    if isinstance(verdict, Skip):
        return Withheld(verdict.reason)
    if not isinstance(verdict, Go):
        raise TypeError("an email that nobody sent was answered as if somebody had")
    parts = parts_of(
        send,
        keyring,
        public_url=public_url,
        envelope_domain=envelope_domain,
        minted_at=now - LONGEST_TRANSACTION,
        honeypot=honeypot,
        track_opens=campaign.track_opens,
        track_clicks=campaign.track_clicks,
        wrap_text_links=campaign.wrap_text_links,
    )
    return Ready(parts.html, parts.text, parts.headers, parts.return_path, parts.links)


def events_of(told: OwnEvent, keyring: Keyring) -> tuple[list[EmailEvent], Delivery | None]:
    """The events that follow, and of a delivered email the record that the judge's timing reads.

    Ids go by the email and the kind, as the sender's do, so that telling it twice, or by two ways, changes nothing.
    Raises Reject for an address that is none, or is missing where the email was sent.
    """
    delivery = str(delivery_id(told.campaign, told.step, told.lead))
    request = str(event_id(delivery, "told"))
    at, sender = to_ms(told.at), mailbox(told.sender).address
    message_id = told.message_id.strip().removeprefix("<").removesuffix(">")

    def of(cause: str) -> dict[str, Any]:
        return {
            "id": str(event_id(delivery, cause)),
            "at": at,
            "delivery_id": delivery,
            "campaign": told.campaign,
            "step": told.step,
            "variant": told.variant,
            "lead": told.lead,
            "sender": sender,
        }

    def sent() -> Sent:
        if not told.to:
            raise Reject("address-missing", "to: an email that was sent went somewhere")
        to = mailbox(told.to)
        return Sent(
            **of("sent"),
            recipient_domain=to.domain,
            message_id=message_id,
            request_id=request,
            address=keyring.address_ids(to.address)[0],
        )

    match told.kind:
        case "delivered":
            events: list[EmailEvent] = [sent(), Delivered(**of("delivered"), request_id=request)]
            return events, Delivery(delivery_id=delivery, request_id=request, at=at)
        case "bounce":
            found = _assessed(told)
            bounce = Bounced(
                **of("bounce"),
                bounce_class=told.bounce_class or found.category.bounce_class,
                category=found.category.category,
                status=told.status or found.status,
                diagnostic=told.diagnostic[:_DIAGNOSTIC],
                via=told.via,
                message_id=message_id if told.via == "report" else "",
                matched_by="platform",
            )
            return ([bounce] if told.via == "report" else [sent(), bounce]), None
        case "deferred":
            deferred = Deferred(
                **of(f"deferred\x1f{told.attempt}"),
                status=told.status or _assessed(told).status,
                diagnostic=told.diagnostic[:_DIAGNOSTIC],
                attempt=told.attempt,
            )
            return [deferred], None
        case "complaint":
            complaint = Complained(
                **of("complaint"), message_id=message_id, matched_by="platform", category=told.category
            )
            return [complaint], None


def _assessed(told: OwnEvent) -> Assessment:
    """By the words, and the code before them where that was given apart."""
    code = told.status if told.status.isdigit() else ""
    return assess(f"{code} {told.diagnostic}".strip(), told.status)
