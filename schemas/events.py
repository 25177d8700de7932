"""What travels on the topics: requests, hits, state and events, as msgspec Structs.

Events are one flat JSON object each, told apart by `kind`; ClickHouse takes them as they are (JSONEachRow). Times are
UTC, RFC 3339. Ids are derived from their cause, so a duplicate is the same event again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from schemas.state.images import Image

Id = Annotated[str, Meta(min_length=36, max_length=36, description="A UUID in its 36-character form.")]
Name = Annotated[str, Meta(min_length=1, max_length=64, description="An id chosen by the platform.")]
Step = Annotated[int, Meta(ge=0, le=255)]
Time = Annotated[datetime, Meta(tz=True)]


def to_ms(at: datetime) -> datetime:
    """To the millisecond, which is what ClickHouse keeps: a replay, and what is restored, must have the same time."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


HitKind = Literal["open", "click"]
Verdict = Literal["human", "bot", "machine"]
BounceClass = Literal["hard", "soft", "block", "unknown"]
Fact = Literal["unsubscribed", "invalid", "complained", "suppressed", "replied", "erased", "snoozed", "left"]
FactOwner = Literal["lead", "address", "domain", "hashed-lead"]


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


class BaseEvent(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every event says: its own id, and when it happened."""

    id: Id
    at: Time


class Event(BaseEvent, frozen=True, kw_only=True):
    """What every event of an email says besides: of which."""

    delivery_id: Id
    campaign: Name
    step: Step
    variant: str
    lead: Name


class Sent(Event, tag="sent", frozen=True, kw_only=True):
    """The email was handed to the recipient's mail server, which gave its final answer. The base of every rate."""

    sender: str
    recipient_domain: str
    message_id: str
    request_id: str = ""
    attempt: int = 1
    # A keyed hash of the recipient's address (Keyring.address_id): by it a dead address is known in every list.
    address: str = ""
    # Whether it has a pixel, and how many links were wrapped. None: not known, and counted as if it had both.
    pixel: bool | None = None
    wrapped_links: int | None = None
    # The recipient's address itself, where SENDLENS_WEBHOOKS_TO keeps it for webhooks that ask for `to`.
    recipient: str = ""


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


class Unanswered(Event, tag="unanswered", frozen=True, kw_only=True):
    """The connection or the worker died while the email was at its mail server, so it is unknown whether it left. It
    is not sent again by itself: an operator decides."""

    sender: str
    request_id: str
    message_id: str
    attempt: int = 1


class Bounced(Event, tag="bounce", frozen=True, kw_only=True):
    """The email was refused, in session or by a report that came back. `status` is the enhanced code (RFC 3463) or the
    SMTP code; `matched_by` says how a report was known to be of this email."""

    sender: str
    bounce_class: BounceClass
    category: str
    status: str
    diagnostic: str
    via: Literal["session", "report"] = "session"
    message_id: str = ""
    matched_by: str = ""


class _Answer(Event, frozen=True, kw_only=True):
    """A mail that came back. `message_id` is its own; `matched_by` says how it was known to be of this email."""

    sender: str
    message_id: str
    matched_by: str


class Replied(_Answer, tag="reply", frozen=True, kw_only=True):
    """A person answered the email. `text` is what they wrote, without quotes and signature; `from_address` the one
    address in From, which may be another than the email went to. `asks_to_stop`: they want no more mail, by the words
    `stop_phrase` in line `stop_line` of `text` (from 1; 0 is the subject)."""

    subject: str = ""
    text: str = ""
    from_address: str = ""
    asks_to_stop: bool = False
    stop_phrase: str = ""
    stop_line: int = 0


class AutoReplied(_Answer, tag="auto_reply", frozen=True, kw_only=True):
    """A machine answered for the person: out of office and the like. Never a reply. `text` is what it says, without
    quotes; `from_address` the one address in From."""

    subject: str = ""
    text: str = ""
    from_address: str = ""


class Complained(_Answer, tag="complaint", frozen=True, kw_only=True):
    """The person told their mailbox provider that the email is spam, and the provider told us (RFC 5965)."""

    category: str = "abuse"


class _Judged(Event, frozen=True, kw_only=True):
    """A hit and the verdict on it. `agent` and `network` are what the user agent and the address are known as, empty
    where nothing is. `client` is the mail client or browser that the user agent names, a robot's too, `device` desktop,
    mobile, tablet, other or unknown, `country` that of the whole address (ISO 3166-1 alpha-2). Empty: not recorded."""

    verdict: Verdict
    reason: str
    rules_version: str
    user_agent: str = ""
    agent: str = ""
    ip: str = ""
    network: str = ""
    client: str = ""
    device: str = ""
    country: str = ""


class Opened(_Judged, tag="open", frozen=True, kw_only=True):
    """The pixel was fetched, by whom `verdict` says."""


class Clicked(_Judged, tag="click", frozen=True, kw_only=True):
    """A wrapped link was followed, by whom `verdict` says."""

    link_id: str


class Unsubscribed(Event, tag="unsubscribe", frozen=True, kw_only=True):
    """The lead wants no more email, from any campaign. `via` is page, one-click (RFC 8058),
    mail, provider, or reply: they asked for it in an answer. `reason` is a code, where they chose one on the page."""

    via: Literal["page", "one-click", "mail", "provider", "reply"]
    reason: str = ""


class Resubscribed(Event, tag="resubscribe", frozen=True, kw_only=True):
    """The lead took its unsubscribing back, on the page that confirmed it."""


class Snoozed(Event, tag="snooze", frozen=True, kw_only=True):
    """The lead wants no email until then, on the page of the unsubscribe link. `until` is `at`: the pause ends now."""

    until: Time


class LeftList(Event, tag="leave", frozen=True, kw_only=True):
    """The lead left one of the email's lists, on the page of the unsubscribe link; or is `back` on it."""

    list_name: str
    back: bool = False


class CampaignPaused(BaseEvent, tag="campaign_paused", frozen=True, kw_only=True):
    """A campaign sends nothing from now on. `reason` is bounces or operator; the counts are those it was decided by."""

    campaign: Name
    reason: Literal["bounces", "operator"]
    detail: str = ""
    sent: int = 0
    hard_bounced: int = 0


class CampaignResumed(BaseEvent, tag="campaign_resumed", frozen=True, kw_only=True):
    """A paused campaign sends again. Its bounce count restarts here."""

    campaign: Name


class WebhookDisabled(BaseEvent, tag="webhook_disabled", frozen=True, kw_only=True):
    """An endpoint took nothing for 24 hours, or said that it is gone, and is told nothing more. `reason` is what it
    answered last."""

    endpoint: Id
    reason: str = ""


EmailEvent = (
    Sent
    | Delivered
    | Deferred
    | Unanswered
    | Skipped
    | Bounced
    | Replied
    | AutoReplied
    | Complained
    | Opened
    | Clicked
    | Unsubscribed
    | Resubscribed
    | Snoozed
    | LeftList
)
AnyEvent = EmailEvent | CampaignPaused | CampaignResumed | WebhookDisabled
EVENTS: tuple[type[BaseEvent], ...] = get_args(AnyEvent)


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
    amp: str = ""
    images: list[Image] = []
    headers: dict[str, str] = {}
    lists: list[str] = []
    requested_at: Time


class Delivery(Struct, frozen=True, kw_only=True):
    """An email the mail server took, and when. Topic `deliveries`: the timing join and the duplicate check read it."""

    delivery_id: Id
    request_id: Id
    at: Time


class Campaign(Struct, frozen=True, kw_only=True):
    """A campaign as the platform declared it. Topic `campaigns`, newest record wins.

    `check_reply`: who has replied gets no later step. `unsubscribe_on_reply`: who asks in a reply for no more mail is
    unsubscribed, as by the link. `bounce_limit`: the share of hard bounces, of emails sent, beyond
    which it is paused, once `bounce_min_sends` were sent. The `utm_` fields are put into its links, where they say
    something; `{campaign}`, `{step}`, `{variant}` and `{link}` in them are filled in. `tracking_url` is where its
    pixels, links and unsubscribes lead; empty, that of the account.
    """

    id: Name
    name: str
    created_at: Time
    check_reply: bool = False
    track_opens: bool = True
    track_clicks: bool = True
    wrap_text_links: bool = False
    pixel: Literal["auto", "top", "bottom"] = "auto"
    bounce_limit: Annotated[float, Meta(ge=0, le=1)] = 0.05
    bounce_min_sends: Annotated[int, Meta(ge=1)] = 20
    unsubscribe_on_reply: bool = False
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_content: str = ""
    tracking_url: str = ""


class Pause(Struct, frozen=True, kw_only=True):
    """Whether a campaign is paused, since when and why. Topic `pauses`, newest record wins.

    Beside Campaign and not in it: the platform declares the one, the guard and operators write the other, and neither
    may undo what the other said at the same moment.
    """

    campaign: Name
    paused: bool
    at: Time
    reason: str = ""


class Lead(Struct, frozen=True, kw_only=True):
    """One fact for which a lead, an address or a domain is not mailed. Topic `leads`, newest record of a fact wins.

    `of` says whose fact it is: of the lead of that id; of the address or the domain with that keyed hash, in whatever
    list it stands; or of the lead whose id has that keyed hash, which is what is kept of one who was erased. A fact is
    a record of its own, so that two that become known at once both hold. `holds` False takes it back.
    `until` ends it by itself, of `snoozed`.
    `suppressed` is the operator's word, the others follow from what happened. `source` names what made it known.
    `campaign` only for `replied`, which stops that campaign's later steps alone, and for `left`, where it is the list.
    """

    lead: Name
    fact: Fact
    at: Time
    of: FactOwner = "lead"
    campaign: str = ""
    holds: bool = True
    source: str = ""
    until: Time | None = None

    def holds_at(self, now: datetime) -> bool:
        """Whether it is not taken back, nor over."""
        return self.holds and (self.until is None or now < self.until)

    @property
    def key(self) -> str:
        """The record's key on the topic."""
        return lead_key(self.lead, self.fact, of=self.of, campaign=self.campaign)


def lead_key(lead: str, fact: str, *, of: str = "lead", campaign: str = "") -> str:
    """Under which a fact is found. Ids hold no control characters, so the parts can't run into each other."""
    return "\x1f".join((of, fact, campaign, lead))


class Link(Struct, frozen=True, kw_only=True):
    """Where a wrapped link leads. Topic `links`; only what stands here is ever redirected to."""

    link_id: str
    campaign: Name
    url: str


def lines(records: Iterable[Struct]) -> bytes:
    """Encode a batch: one JSON object a line, a newline after each."""
    return _encode_lines(records)


_encode_lines = msgspec.json.Encoder().encode_lines
