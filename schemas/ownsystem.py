"""What ingest is handed of the decisions, for platforms that send through a system of their own.

Ingest and agents never import each other, so the functions come from the composition root, and their shapes stand here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

from schemas.events import BounceClass, Campaign, Delivery, EmailEvent, Link, Name, Pause, Send, Step, Time

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


class Fact(Protocol):
    """What is known under a `lead_key`: whether it holds."""

    @property
    def holds(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Ready:
    """An email for the platform's own mail server. `links` must be known before it leaves."""

    html: str
    text: str
    headers: dict[str, str]
    return_path: str
    links: list[Link]


@dataclass(frozen=True, slots=True)
class Withheld:
    """This lead must not get this email, in the gate's word."""

    reason: str


Instrument = Callable[[Send, Campaign, Pause | None, Callable[[str], Fact | None], datetime], Ready | Withheld]
Tell = Callable[[OwnEvent], tuple[list[EmailEvent], Delivery | None]]


@dataclass(frozen=True, slots=True)
class OwnSystem:
    """The decisions. `instrument` and `tell` raise Reject for what can't become an email, or an event of one."""

    instrument: Instrument
    tell: Tell
