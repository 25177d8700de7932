"""What a caller may ask for: the shapes of `/v1` bodies, and the check of one send. No I/O.

A send ends up as mail headers and as text that is signed into tokens, so what would break either is refused here,
with a reason, before anything is promised.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from decisions.sending.own_events import OwnEvent
from decisions.sending.utm import check_utm
from ingest.api.images import MAX_IMAGES, ImageRequest, check_images
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.events import Step
from schemas.headers import MAX_HEADER_BYTES, MAX_HEADER_NAME_BYTES, MAX_HEADERS, check_headers
from schemas.providers import Provider
from schemas.settings.tracking import MAX_URL, tracking_url
from schemas.text import first_control, first_steering
from schemas.tokens import MAX_LISTS, MAX_TEXT_BYTES

MAX_SENDS = 1000
MAX_INSTRUMENTED = 100
MAX_TOLD = 1000
MAX_BODY_BYTES = 25_000_000
MAX_HTML_BYTES = 2_000_000
MAX_TEXT_PART_BYTES = 500_000
MAX_AMP_BYTES = 200_000  # amp.dev, "AMP for Email Format": what is larger is no AMP email
# What may be told of an email: clocks differ, and what is older would change numbers that were read long ago.
AHEAD = timedelta(minutes=5)
BEFORE = timedelta(days=30)

Text = Annotated[str, Meta(max_length=MAX_TEXT_BYTES, description=f"At most {MAX_TEXT_BYTES} bytes of UTF-8.")]

_UTM = (
    "Put into the addresses of its links, as `utm_medium`, `utm_campaign` and `utm_content` are, unless the address "
    "has it already or is signed. `{campaign}`, `{step}`, `{variant}` and `{link}`, the link's number in the email, "
    "are filled in. Empty: not put."
)


_LISTS = (
    f"The lists that it is sent to, at most {MAX_LISTS} names of {MAX_TEXT_BYTES} bytes each, for recipients to read. "
    "The unsubscribe page offers to leave one of them alone; who has left all that an email names does not get it."
)


class CampaignRequest(Struct, forbid_unknown_fields=True):
    """A campaign to declare: its id in the platform, and a name for people."""

    id: Annotated[Text, Meta(min_length=1, examples=["spring-launch"])]
    name: Annotated[str, Meta(min_length=1, max_length=200, examples=["Spring launch"])]
    check_reply: Annotated[bool, Meta(description="Who has replied gets no later step.")] = False
    unsubscribe_on_reply: Annotated[
        bool, Meta(description="Who asks in a reply for no more mail is unsubscribed, as by the link.")
    ] = False
    track_opens: Annotated[bool, Meta(description="Put a pixel into its emails.")] = True
    track_clicks: Annotated[bool, Meta(description="Wrap the links of its emails.")] = True
    wrap_text_links: Annotated[
        bool,
        Meta(description="Wrap the links of text parts beside HTML too. Those of an email without HTML always are."),
    ] = False
    pixel: Annotated[
        Literal["auto", "top", "bottom"],
        Meta(
            description="Where the pixel stands in the HTML. `auto` is at the bottom, or at the top where Gmail would "
            "cut the bottom off, which it does at 102 kB."
        ),
    ] = "auto"
    bounce_limit: Annotated[
        float, Meta(ge=0, le=1, description="Paused when hard bounces pass this share of the emails sent.")
    ] = 0.05
    bounce_min_sends: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Never paused for bounces before so many emails were sent.")
    ] = 20
    utm_source: Annotated[str, Meta(description=_UTM, examples=["newsletter"])] = ""
    utm_medium: Annotated[str, Meta(examples=["email"])] = ""
    utm_campaign: Annotated[str, Meta(examples=["{campaign}"])] = ""
    utm_content: Annotated[str, Meta(examples=["step-{step}-{variant}-link-{link}"])] = ""
    tracking_url: Annotated[
        str,
        Meta(
            description="Where recipients reach ingest for its emails: pixel, links and unsubscribe begin with it. "
            "Empty: that of the sender's account, or SENDLENS_PUBLIC_URL. The host must lead to ingest.",
            examples=["https://t.example.com"],
            extra_json_schema={"maxLength": MAX_URL},
        ),
    ] = ""

    def __post_init__(self) -> None:
        if self.tracking_url:
            self.tracking_url = tracking_url(self.tracking_url)


class SendRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """One email to send. Campaign, step and lead make it the email it is: the same three are never mailed twice."""

    campaign: Annotated[Text, Meta(min_length=1, examples=["spring-launch"])]
    step: Annotated[Step, Meta(description="Which email of the sequence, from 0 to 255.", examples=[1])]
    variant: Annotated[Text, Meta(examples=["A"])] = ""
    lead: Annotated[Text, Meta(min_length=1, examples=["lead-4711"])]
    to: Annotated[str, Meta(description="The lead's address, a name before it or not.", examples=["ada@example.com"])]
    sender: Annotated[
        str,
        Meta(
            description="Whose mailbox it is from, a name before it or not.",
            examples=["Garden Shop <news@example.net>"],
        ),
    ]
    subject: Annotated[str, Meta(examples=["A question about spring"])]
    html: Annotated[
        str, Meta(description="At most 2 MB. Html, text or both.", examples=["<p>Hello <b>Ada</b></p>"])
    ] = ""
    text: Annotated[str, Meta(description="At most 500 kB.", examples=["Hello Ada"])] = ""
    amp: Annotated[
        str,
        Meta(
            description="The AMP part (`text/x-amp-html`), at most 200 kB, with `html` beside it. Sent as it is: "
            "nothing in it is tracked, and no unsubscribe link is added."
        ),
    ] = ""
    images: Annotated[
        list[ImageRequest],
        Meta(
            description="Images that the html shows, as `cid:` and their content id: 2 MB together, before base64. "
            "They are sent with the email, so that showing them asks no web server.",
            extra_json_schema={"maxItems": MAX_IMAGES},
        ),
    ] = []
    headers: Annotated[
        dict[str, str],
        Meta(
            description="Further headers. Refused are those that Sendlens or mail servers write, and those that "
            "ask for receipts or name other recipients."
        ),
    ] = {}
    lists: Annotated[list[str], Meta(description=_LISTS, extra_json_schema={"maxItems": MAX_LISTS})] = []


class InstrumentRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """One email that the platform's own system will send. Campaign, step and lead make it the email it is."""

    campaign: Annotated[Text, Meta(min_length=1, examples=["spring-launch"])]
    step: Annotated[Step, Meta(description="Which email of the sequence, from 0 to 255.", examples=[1])]
    variant: Annotated[Text, Meta(examples=["A"])] = ""
    lead: Annotated[Text, Meta(min_length=1, examples=["lead-4711"])]
    to: Annotated[str, Meta(description="The lead's address, a name before it or not.", examples=["ada@example.com"])]
    sender: Annotated[str, Meta(description="Whose mailbox it will be from.", examples=["news@example.net"])]
    subject: Annotated[str, Meta(description="Not looked at: the body of a send fits.")] = ""
    html: Annotated[str, Meta(description="At most 2 MB. Html, text or both.", examples=["<p>Hello</p>"])] = ""
    text: Annotated[str, Meta(description="At most 500 kB.", examples=["Hello Ada"])] = ""
    lists: Annotated[list[str], Meta(description=_LISTS, extra_json_schema={"maxItems": MAX_LISTS})] = []
    provider: Annotated[
        Provider | None,
        Meta(
            description="Through whom it will leave, if their webhooks come to `/v1/providers`. `headers` (by SMTP) "
            "and `api_fields` (by their HTTP API) then have what makes their reports name the email, which counts as "
            "sent when they say so."
        ),
    ] = None

    def as_send(self) -> SendRequest:
        """The same, as what is checked of every email."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name != "provider"}
        return SendRequest(**fields)


class OwnEventsRequest(Struct, forbid_unknown_fields=True):
    """A batch of what is known of emails, each decoded by itself."""

    events: list[msgspec.Raw]


class SendsRequest(Struct, forbid_unknown_fields=True):
    """A batch of sends, each decoded by itself, so that one that is wrong does not stop the others."""

    sends: list[msgspec.Raw]


_NOTHING = msgspec.Raw()  # in the place of an item that a batch does not have
# Of headers in JSON, each character written as six.
_MOST_HEADERS_BYTES = 6 * MAX_HEADERS * (MAX_HEADER_NAME_BYTES + MAX_HEADER_BYTES) + 10_000

_HINT = "; want standard base64 in one line, no data: before it"

T = TypeVar("T")


def decode(decoder: Callable[[bytes | msgspec.Raw], T], raw: bytes | msgspec.Raw) -> T:
    """Decode or raise Reject(malformed) with what is wrong and where."""
    try:
        return decoder(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Reject("malformed", f"{error}{_HINT if 'base64' in str(error) else ''}") from None


def batch_decoder(field: str, most: int) -> Callable[[bytes | msgspec.Raw], list[msgspec.Raw]]:
    """What reads the items of `{"field": [...]}`. Raises Reject: batch-size, at the first item too many, for a body may
    hold millions, and nobody is answered while they are read; or malformed.
    """
    # The only array of msgspec's that ends where it is full.
    items = msgspec.defstruct(
        "Items", [(f"item{n}", msgspec.Raw, _NOTHING) for n in range(most)], array_like=True, forbid_unknown_fields=True
    )
    body = msgspec.json.Decoder(msgspec.defstruct("Body", [(field, items)], forbid_unknown_fields=True))

    def read(raw: bytes | msgspec.Raw) -> list[msgspec.Raw]:
        try:
            found = msgspec.structs.astuple(getattr(decode(body.decode, raw), field))
        except Reject as error:
            if "at most length" in error.detail:
                raise Reject("batch-size", f"a batch has at most {most} {field}") from None
            raise
        return list(itertools.takewhile(lambda item: item is not _NOTHING, found))

    return read


class _Headers(Struct):
    headers: msgspec.Raw = msgspec.Raw()


_decode_headers = msgspec.json.Decoder(_Headers).decode
_decode_send = msgspec.json.Decoder(SendRequest).decode


def decode_send(raw: msgspec.Raw) -> SendRequest:
    """One send, or Reject(malformed). A million headers are refused before they are made."""
    size = len(memoryview(raw))
    if size > _MOST_HEADERS_BYTES and len(memoryview(decode(_decode_headers, raw).headers)) > _MOST_HEADERS_BYTES:
        raise Reject("header-invalid", f"at most {MAX_HEADERS} headers")
    return decode(_decode_send, raw)


def check_campaign(campaign: CampaignRequest) -> None:
    """Raise Reject unless the campaign's words can travel in tokens, headers and boards."""
    _check_id("id", campaign.id)
    if "/" in campaign.id or campaign.id in (".", ".."):
        raise Reject(
            "id-not-a-path",
            "id: it stands in addresses such as /v1/campaigns/ID/stats, where / . and .. lead elsewhere",
        )
    _check_line("name", campaign.name, 800)
    check_utm(campaign)


def check_send(send: SendRequest) -> None:
    """Raise Reject, with the reason and the field, unless this can become an email."""
    _check_id("campaign", send.campaign)
    _check_id("lead", send.lead)
    _check_id("variant", send.variant)
    _check_line("subject", send.subject, MAX_HEADER_BYTES)
    _check_address("to", send.to)
    _check_address("sender", send.sender)
    check_headers(send.headers)
    _check_lists(send.lists)
    if not send.html.strip() and not send.text.strip():
        raise Reject("empty", "html or text must say something")
    if len(send.html.encode()) > MAX_HTML_BYTES:
        raise Reject("too-large", f"html: at most {MAX_HTML_BYTES} bytes")
    if len(send.text.encode()) > MAX_TEXT_PART_BYTES:
        raise Reject("too-large", f"text: at most {MAX_TEXT_PART_BYTES} bytes")
    if send.amp or send.images:
        _check_parts_of_html(send)


def _check_lists(lists: list[str]) -> None:
    if len(lists) > MAX_LISTS or len(set(lists)) < len(lists):
        raise Reject("lists-invalid", f"lists: at most {MAX_LISTS} names, each once")
    for name in lists:
        if not name or name != name.strip():
            raise Reject("lists-invalid", "lists: a name says something, and has no blanks around it")
        _check_id("lists", name)


def _check_parts_of_html(send: SendRequest) -> None:
    if not send.html.strip():
        raise Reject("html-missing", "amp and images need html beside them: most mail clients show that")
    if len(send.amp.encode()) > MAX_AMP_BYTES:
        raise Reject("too-large", f"amp: at most {MAX_AMP_BYTES} bytes")
    check_images(send.images, send.html)


def check_told(told: OwnEvent, now: datetime) -> None:
    """Raise Reject, with the reason and the field, unless this can be said of an email now."""
    for name in ("campaign", "lead", "variant"):
        _check_id(name, getattr(told, name))
    _check_address("sender", told.sender)
    if told.to:
        _check_address("to", told.to)
    for name, limit in (("message_id", MAX_HEADER_BYTES), ("status", 32), ("category", 64)):
        _check_line(name, getattr(told, name), limit)
    if told.at > now + AHEAD:
        raise Reject("at-future", "at: it has not happened yet; compare the clocks")
    if told.at < now - BEFORE:
        raise Reject("at-too-old", f"at: more than {BEFORE.days} days ago")


def _check_id(field: str, value: str) -> None:
    if len(value.encode()) > MAX_TEXT_BYTES:
        raise Reject("id-too-long", f"{field}: at most {MAX_TEXT_BYTES} bytes of UTF-8")
    steering = first_steering(value)
    if steering:
        raise Reject("control-character", f"{field}: {steering}")


def _check_line(field: str, value: str, limit: int) -> None:
    control = first_control(value)
    if control:
        raise Reject("control-character", f"{field}: {control}")
    if len(value.encode()) > limit:
        raise Reject("too-large", f"{field}: at most {limit} bytes")


def _check_address(field: str, value: str) -> None:
    try:
        mailbox(value)
    except Reject as refused:
        raise Reject(refused.reason, f"{field}: {refused.detail}") from None
