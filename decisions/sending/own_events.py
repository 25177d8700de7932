"""What a platform that sends through a system of its own tells of its emails, and the events that follow.

Ids are those that an email of the sender's would have.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from decisions.mail.bounce.refusal import Assessment, assess
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.events import (
    BounceClass,
    Bounced,
    Complained,
    Deferred,
    Delivered,
    Delivery,
    EmailEvent,
    Name,
    Sent,
    Step,
    Time,
    to_ms,
)
from schemas.text import one_line
from schemas.tokens import Keyring, delivery_id, event_id

_DIAGNOSTIC = 500  # characters that are kept

OwnKind = Literal["delivered", "bounce", "deferred", "complaint"]


class OwnEvent(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a system that sends by itself knows of an email. Campaign, step and lead say which."""

    kind: Annotated[OwnKind, Meta(examples=["delivered"])]
    campaign: Annotated[Name, Meta(examples=["spring-launch"])]
    step: Annotated[Step, Meta(examples=[1])]
    variant: Annotated[str, Meta(max_length=64, examples=["A"])] = ""
    lead: Annotated[Name, Meta(examples=["lead-4711"])]
    at: Annotated[
        Time, Meta(description="When it happened, with an offset. Not in the future, nor more than 30 days ago.")
    ]
    sender: Annotated[str, Meta(description="Whose mailbox it was from.", examples=["news@example.net"])]
    to: Annotated[
        str,
        Meta(
            description="Where it went; delivered and a bounce in session need it. Its keyed hash and domain are kept.",
            examples=["ada@example.com"],
        ),
    ] = ""
    message_id: Annotated[str, Meta(max_length=990, description="Its Message-ID.")] = ""
    status: Annotated[
        str,
        Meta(
            max_length=32,
            description="Of a bounce or deferral: the enhanced status code (RFC 3463), or the SMTP code.",
            examples=["5.1.1"],
        ),
    ] = ""
    diagnostic: Annotated[
        str,
        Meta(
            max_length=2000,
            description="Of a bounce or deferral: what the mail server said.",
            examples=["550 5.1.1 no such user"],
        ),
    ] = ""
    bounce_class: Annotated[
        BounceClass | None, Meta(description="Of a bounce; told by status and diagnostic when it is not given.")
    ] = None
    via: Annotated[
        Literal["session", "report"],
        Meta(
            description="Of a bounce: the mail server refused the email, or took it, and a report came back later. The "
            "first says that it was sent as well; for the second tell `delivered` too.",
        ),
    ] = "session"
    attempt: Annotated[
        int, Meta(ge=1, le=255, description="Of a deferral: which attempt it was, each is one event.")
    ] = 1
    category: Annotated[
        str, Meta(max_length=64, description="Of a complaint: the feedback type (RFC 5965).", examples=["abuse"])
    ] = "abuse"


def events_of(
    told: OwnEvent, keyring: Keyring, sent_at: datetime | None = None
) -> tuple[list[EmailEvent], Delivery | None]:
    """The events that follow, and of a delivered email the record that the judge's timing reads.

    `sent_at` is when the email was sent, where that is known apart from what is told of it: then a bounce that was
    reported later says so too, and whichever is told last, the `sent` event is the same. Without it the email was sent
    when it was delivered, or refused in session. Ids go by the email and the kind, as the sender's do: what is told
    twice is the same event. Raises Reject for an invalid address, or a missing one where the email was sent.
    """
    delivery = str(delivery_id(told.campaign, told.step, told.lead))
    request = str(event_id(delivery, "told"))
    at, sender = to_ms(told.at), mailbox(told.sender).address
    message_id = one_line(told.message_id).strip().removeprefix("<").removesuffix(">")

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
            **of("sent") | {"at": at if sent_at is None else to_ms(sent_at)},
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
                status=one_line(told.status) or found.status,
                diagnostic=one_line(told.diagnostic[:_DIAGNOSTIC]),
                via=told.via,
                message_id=message_id if told.via == "report" else "",
                matched_by="platform",
            )
            return ([bounce] if told.via == "report" and sent_at is None else [sent(), bounce]), None
        case "deferred":
            deferred = Deferred(
                **of(f"deferred\x1f{told.attempt}"),
                status=one_line(told.status) or _assessed(told).status,
                diagnostic=one_line(told.diagnostic[:_DIAGNOSTIC]),
                attempt=told.attempt,
            )
            return [deferred], None
        case "complaint":
            complaint = Complained(
                **of("complaint"), message_id=message_id, matched_by="platform", category=one_line(told.category)
            )
            return [complaint], None


def _assessed(told: OwnEvent) -> Assessment:
    """By the words, and the code before them where that was given apart."""
    code = told.status if told.status.isdigit() else ""
    return assess(f"{code} {told.diagnostic}".strip(), told.status)
