"""What travels on the topics: requests, hits, state and events, as msgspec Structs.

Events are one flat JSON object each, told apart by `kind`; ClickHouse takes them as they are (JSONEachRow). Times are
UTC, RFC 3339. Ids are derived from their cause, so a duplicate is the same event again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Id = Annotated[str, Meta(min_length=36, max_length=36, description="A UUID in its 36-character form.")]
Name = Annotated[str, Meta(min_length=1, max_length=64, description="An id chosen by the platform.")]
Step = Annotated[int, Meta(ge=0, le=255)]
Time = Annotated[datetime, Meta(tz=True)]

HitKind = Literal["open", "click"]
Verdict = Literal["human", "bot", "machine"]
BounceClass = Literal["hard", "soft", "block", "unknown"]


class Hit(Struct, frozen=True, kw_only=True):
    """One request for a pixel or a wrapped link, as it came in, with what its token proves. Topic `hits`."""

    id: Id
    kind: HitKind
    at: Time
    delivery_id: Id
    campaign: Name
    step: Step
    variant: str
    lead: Name
    minted_at: Time
    link_id: str = ""
    method: str = "GET"
    user_agent: str = ""
    ip: str = ""
    # Only the headers that rules read, names in lower case.
    headers: dict[str, str] = {}


class Event(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every event says: its own id, when it happened, and of which email."""

    id: Id
    at: Time
    delivery_id: Id
    campaign: Name
    step: Step
    variant: str
    lead: Name


class Sent(Event, tag="sent", frozen=True, kw_only=True):
    """The email was put to the recipient's mail server, which gave its final answer. The base of every rate."""

    sender: str
    recipient_domain: str
    message_id: str
    request_id: str = ""
    attempt: int = 1


class Delivered(Event, tag="delivered", frozen=True, kw_only=True):
    """The mail server took the email (SMTP 250). `at` is the moment of that answer."""

    sender: str
    request_id: str = ""


class Deferred(Event, tag="deferred", frozen=True, kw_only=True):
    """The mail server said not now (SMTP 4xx, a timeout, a refused connection); it is tried again."""

    sender: str
    status: str
    diagnostic: str
    attempt: int


class Skipped(Event, tag="skipped", frozen=True, kw_only=True):
    """The email was not sent, and why: paused, unsubscribed, invalid, replied or duplicate."""

    reason: str


class Bounced(Event, tag="bounce", frozen=True, kw_only=True):
    """The email was refused. `status` is the enhanced code (RFC 3463) or the SMTP code."""

    sender: str
    bounce_class: BounceClass
    category: str
    status: str
    diagnostic: str


class _Judged(Event, frozen=True, kw_only=True):
    """A hit and the verdict on it."""

    verdict: Verdict
    reason: str
    rules_version: str
    user_agent: str = ""
    ip: str = ""


class Opened(_Judged, tag="open", frozen=True, kw_only=True):
    """The pixel was fetched, by whom `verdict` says."""


class Clicked(_Judged, tag="click", frozen=True, kw_only=True):
    """A wrapped link was followed, by whom `verdict` says."""

    link_id: str


class Unsubscribed(Event, tag="unsubscribe", frozen=True, kw_only=True):
    """The lead wants no more email, from any campaign. `via` is page or one-click (RFC 8058)."""

    via: Literal["page", "one-click"]


AnyEvent = Sent | Delivered | Deferred | Skipped | Bounced | Opened | Clicked | Unsubscribed
EVENTS: tuple[type[Event], ...] = (Sent, Delivered, Deferred, Skipped, Bounced, Opened, Clicked, Unsubscribed)


class Send(Struct, frozen=True, kw_only=True):
    """One email to send, rendered by the platform. Topic `sends`. `request_id` tells a repeat from a replay."""

    request_id: Id
    delivery_id: Id
    campaign: Name
    step: Step
    variant: str
    lead: Name
    to: str
    sender: str
    subject: str
    html: str = ""
    text: str = ""
    headers: dict[str, str] = {}
    requested_at: Time


class Delivery(Struct, frozen=True, kw_only=True):
    """An email the mail server took, and when. Topic `deliveries`: the timing join and the duplicate check read it."""

    delivery_id: Id
    request_id: Id
    at: Time


class Campaign(Struct, frozen=True, kw_only=True):
    """A campaign as the platform declared it. Topic `campaigns`, newest record wins."""

    id: Name
    name: str
    created_at: Time
    paused: bool = False


class Lead(Struct, frozen=True, kw_only=True):
    """A lead that must not be mailed, and why. Topic `leads`, newest record wins."""

    lead: Name
    unsubscribed_at: Time | None = None


class Link(Struct, frozen=True, kw_only=True):
    """Where a wrapped link leads. Topic `links`; only what stands here is ever redirected to."""

    link_id: str
    campaign: Name
    url: str


class Dead(Struct, frozen=True, kw_only=True):
    """A record that could not be processed, whole, with the reason. Topic `dead`. `key` and `value` are base64."""

    stage: str
    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    at: Time
    key: str
    value: str


def lines(records: Iterable[Struct]) -> bytes:
    """Encode a batch: one JSON object a line, a newline after each."""
    return _encode_lines(records)


_encode_lines = msgspec.json.Encoder().encode_lines
