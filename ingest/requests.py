"""What a caller may ask for: the shapes of `/v1` bodies, and the check of one send. No I/O.

A send ends up as mail headers and as text that is signed into tokens, so what would break either is refused here,
with a reason, before anything is promised.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from ingest.images import MAX_IMAGES, ImageRequest, check_images
from schemas.errors import Reject
from schemas.events import Step
from schemas.ownsystem import OwnEvent
from schemas.tokens import MAX_TEXT_BYTES

MAX_SENDS = 1000
MAX_INSTRUMENTED = 100
MAX_TOLD = 1000
MAX_BODY_BYTES = 25_000_000
MAX_HTML_BYTES = 2_000_000
MAX_TEXT_PART_BYTES = 500_000
MAX_AMP_BYTES = 200_000  # amp.dev, "AMP for Email Format": what is larger is no AMP email
MAX_HEADERS = 30
MAX_HEADER_BYTES = 900  # under the 998 of a line (RFC 5322, 2.1.1) with the longest name before it
MAX_HEADER_NAME_BYTES = 76
# What may be told of an email: clocks differ, and what is older would change numbers that were read long ago.
AHEAD = timedelta(minutes=5)
BEFORE = timedelta(days=30)

Text = Annotated[str, Meta(max_length=MAX_TEXT_BYTES, description=f"At most {MAX_TEXT_BYTES} bytes of UTF-8.")]


class CampaignRequest(Struct, forbid_unknown_fields=True):
    """A campaign to declare: its id in the platform, and a name for people."""

    id: Annotated[Text, Meta(min_length=1, examples=["spring-launch"])]
    name: Annotated[str, Meta(min_length=1, max_length=200, examples=["Spring launch"])]
    check_reply: Annotated[bool, Meta(description="Who has replied gets no later step.")] = False
    track_opens: Annotated[bool, Meta(description="Put a pixel into its emails.")] = True
    track_clicks: Annotated[bool, Meta(description="Wrap the links of its emails.")] = True
    wrap_text_links: Annotated[bool, Meta(description="Wrap the links of plain-text parts too.")] = False
    bounce_limit: Annotated[
        float, Meta(ge=0, le=1, description="Paused when hard bounces pass this share of the emails sent.")
    ] = 0.05
    bounce_min_sends: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Never paused for bounces before so many emails were sent.")
    ] = 20


class SendRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """One email to send. Campaign, step and lead make it the email it is: the same three are never mailed twice."""

    campaign: Annotated[Text, Meta(min_length=1, examples=["spring-launch"])]
    step: Annotated[Step, Meta(description="Which email of the sequence, from 0 to 255.", examples=[1])]
    variant: Annotated[Text, Meta(examples=["A"])] = ""
    lead: Annotated[Text, Meta(min_length=1, examples=["lead-4711"])]
    to: Annotated[str, Meta(description="The lead's address.", examples=["ada@example.com"])]
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
        dict[str, str], Meta(description="Further headers; those that Sendlens writes itself are refused.")
    ] = {}


class InstrumentRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """One email that the platform's own system will send. Campaign, step and lead make it the email it is."""

    campaign: Annotated[Text, Meta(min_length=1, examples=["spring-launch"])]
    step: Annotated[Step, Meta(description="Which email of the sequence, from 0 to 255.", examples=[1])]
    variant: Annotated[Text, Meta(examples=["A"])] = ""
    lead: Annotated[Text, Meta(min_length=1, examples=["lead-4711"])]
    to: Annotated[str, Meta(description="The lead's address.", examples=["ada@example.com"])]
    sender: Annotated[str, Meta(description="Whose mailbox it will be from.", examples=["news@example.net"])]
    subject: Annotated[str, Meta(description="Not looked at: the body of a send fits.")] = ""
    html: Annotated[str, Meta(description="At most 2 MB. Html, text or both.", examples=["<p>Hello</p>"])] = ""
    text: Annotated[str, Meta(description="At most 500 kB.", examples=["Hello Ada"])] = ""

    def as_send(self) -> SendRequest:
        """The same, as what is checked of every email."""
        return SendRequest(**{name: getattr(self, name) for name in self.__struct_fields__})


class OwnEventsRequest(Struct, forbid_unknown_fields=True):
    """A batch of what is known of emails, each decoded by itself."""

    events: list[msgspec.Raw]


class SendsRequest(Struct, forbid_unknown_fields=True):
    """A batch of sends, each decoded by itself, so that one that is wrong does not stop the others."""

    sends: list[msgspec.Raw]


# What the sender writes itself, or what would say that the mail is something else than it is.
FORBIDDEN_HEADERS = frozenset(
    (
        "arc-authentication-results",
        "arc-message-signature",
        "arc-seal",
        "authentication-results",
        "bcc",
        "cc",
        "date",
        "dkim-signature",
        "from",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "message-id",
        "mime-version",
        "received",
        "return-path",
        "sender",
        "subject",
        "to",
    )
)
_FORBIDDEN_BEGINNINGS = ("content-", "resent-", "x-sendlens-")
_HEADER_NAME = re.compile(rf"[!-9;-~]{{1,{MAX_HEADER_NAME_BYTES}}}")  # RFC 5322, 3.6.8: printable US-ASCII but colon
# RFC 5321, 4.1.2: a dot-string and a domain of at least two labels. Quoted local parts and address literals are legal
# and never a lead's; an internationalised domain comes in its ASCII form.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# A display name, then the address in angle brackets (RFC 5322, 3.4).
_NAMED_ADDRESS = re.compile(r"[^<>@]{1,200} <([^<>]+)>")
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@((?:{_LABEL}\.)+{_LABEL})")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_HINT = "; want standard base64 in one line, no data: before it"

T = TypeVar("T")


def decode(decoder: Callable[[bytes | msgspec.Raw], T], raw: bytes | msgspec.Raw) -> T:
    """Decode or raise Reject(malformed) with what is wrong and where."""
    try:
        return decoder(raw)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Reject("malformed", f"{error}{_HINT if 'base64' in str(error) else ''}") from None


def check_campaign(campaign: CampaignRequest) -> None:
    """Raise Reject unless the campaign's words can travel in tokens, headers and boards."""
    _check_id("id", campaign.id)
    _check_line("name", campaign.name, 800)


def check_send(send: SendRequest) -> None:
    """Raise Reject, with the reason and the field, unless this can become an email."""
    _check_id("campaign", send.campaign)
    _check_id("lead", send.lead)
    _check_id("variant", send.variant)
    _check_line("subject", send.subject, MAX_HEADER_BYTES)
    _check_address("to", send.to)
    _check_line("sender", send.sender, MAX_HEADER_BYTES)
    _check_address("sender", bare_address(send.sender))
    if len(send.headers) > MAX_HEADERS:
        raise Reject("header-invalid", f"at most {MAX_HEADERS} headers")
    for name, value in send.headers.items():
        _check_header(name, value)
    if not send.html.strip() and not send.text.strip():
        raise Reject("empty", "html or text must say something")
    if len(send.html.encode()) > MAX_HTML_BYTES:
        raise Reject("too-large", f"html: at most {MAX_HTML_BYTES} bytes")
    if len(send.text.encode()) > MAX_TEXT_PART_BYTES:
        raise Reject("too-large", f"text: at most {MAX_TEXT_PART_BYTES} bytes")
    if send.amp or send.images:
        _check_parts_of_html(send)


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
    _check_address("sender", bare_address(told.sender))
    if told.to:
        _check_address("to", told.to)
    for name, limit in (("message_id", MAX_HEADER_BYTES), ("status", 32), ("category", 64)):
        _check_line(name, getattr(told, name), limit)
    if told.at > now + AHEAD:
        raise Reject("at-future", "at: it has not happened yet; compare the clocks")
    if told.at < now - BEFORE:
        raise Reject("at-too-old", f"at: more than {BEFORE.days} days ago")


def bare_address(sender: str) -> str:
    """The address of `Name <address>`, or all of what is not of that form."""
    named = _NAMED_ADDRESS.fullmatch(sender)
    return named[1] if named else sender


def _check_id(field: str, value: str) -> None:
    if len(value.encode()) > MAX_TEXT_BYTES:
        raise Reject("id-too-long", f"{field}: at most {MAX_TEXT_BYTES} bytes of UTF-8")
    if _CONTROL.search(value):
        raise Reject("control-character", field)


def _check_line(field: str, value: str, limit: int) -> None:
    if _CONTROL.search(value):
        raise Reject("control-character", field)
    if len(value.encode()) > limit:
        raise Reject("too-large", f"{field}: at most {limit} bytes")


def _check_address(field: str, value: str) -> None:
    if _CONTROL.search(value):
        raise Reject("control-character", field)
    match = _ADDRESS.fullmatch(value)
    # RFC 5321, 4.5.3.1: 64 octets of local part, 254 in all (the path's 256 less its brackets).
    if not match or len(match[1]) > 64 or len(value) > 254:
        raise Reject("address-invalid", f"{field}: want local@domain.example; only sender may have a name before <it>")


def _check_header(name: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise Reject("control-character" if _CONTROL.search(name) else "header-invalid", "a header's name")
    if name.lower() in FORBIDDEN_HEADERS or name.lower().startswith(_FORBIDDEN_BEGINNINGS):
        raise Reject("header-forbidden", name)
    _check_line(name, value, MAX_HEADER_BYTES)
