"""What is passed along with an email through a provider, so that its reports say which email they are of.

The Message-ID's token names the email. For a platform that sends by itself the sender's address follows it, because
some reports don't have it, and because it says that nobody has counted the email as sent yet. Each provider has a way
of its own to pass text along, by SMTP in a header and by its HTTP API in a field, and a length that it allows.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Annotated

from msgspec import Meta, Struct, field

from schemas.providers import Provider
from schemas.text import first_control

NAME = "sendlens"
# SES refuses a tag whose value has over 256 characters, or any but ASCII letters, digits, _ and - (API reference,
# MessageTag), so the sender has tags of its own. Postmark: names of metadata have at most 20 characters and values at
# most 80 (https://postmarkapp.com/support/article/1125-custom-metadata-faq). The longest text has 652.
_TAG, _METADATA = 256, 80
_SENDER = f"{NAME}-from"
_MOST_PARTS = 10


class SesTag(Struct, frozen=True, rename="pascal"):
    """A tag of an email, as SES's API has it."""

    name: str
    value: str


class ApiFields(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What makes a provider's reports name an email that is given to its HTTP API: goes into the request as it is,
    beside your own. Has the one field that the provider knows."""

    email_tags: Annotated[
        list[SesTag],
        Meta(description="Amazon SES, v2 `SendEmail`: instead of tags in a header, of which SES then reads none."),
    ] = field(name="EmailTags", default_factory=list)
    custom_args: Annotated[
        dict[str, str], Meta(description="SendGrid, `POST /v3/mail/send`: at the top, or in a personalization.")
    ] = {}
    metadata: Annotated[dict[str, str], Meta(description="Postmark, `POST /email`.")] = field(
        name="Metadata", default_factory=dict
    )
    variable: Annotated[str, Meta(description="Mailgun, `POST /v3/DOMAIN/messages`: one more field of the form.")] = (
        field(name=f"v:{NAME}", default="")
    )
    headers: Annotated[
        dict[str, str], Meta(description="Brevo, `POST /v3/smtp/email`: among the headers of your own.")
    ] = {}


def passed_text(token: str, own_sender: str = "") -> str:
    """What is passed along of an email; `own_sender` is the sender of one that the platform sends by itself."""
    if not own_sender:
        return token
    return f"{token}.{base64.urlsafe_b64encode(own_sender.encode()).decode().rstrip('=')}"


def read_passed(text: str) -> tuple[str, str]:
    """The token, and the sender of an email that the platform sends by itself."""
    token, _, coded = text.partition(".")
    try:
        sender = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except (binascii.Error, ValueError):
        return token, ""
    return token, "" if first_control(sender) else sender


def headers_for(provider: Provider, text: str) -> dict[str, str]:
    """The headers that pass it along by SMTP."""
    return _HEADERS[provider](text)


def api_fields_for(provider: Provider, text: str) -> ApiFields:
    """The field that passes it along by the provider's HTTP API."""
    return _FIELDS[provider](text)


def joined(found: Mapping[str, object]) -> str:
    """What was passed along, of a mapping that the provider gives back: whole, or in numbered parts."""
    if isinstance(whole := found.get(NAME), str):
        return whole
    text, sender = _numbered(found, NAME), _numbered(found, _SENDER)
    return f"{text}.{sender}" if sender else text


def _numbered(found: Mapping[str, object], name: str) -> str:
    parts = [found.get(f"{name}-{number}") for number in range(1, _MOST_PARTS + 1)]
    return "".join(part for part in map(_first, parts) if isinstance(part, str))


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _parts(text: str, most: int, name: str = NAME) -> dict[str, str]:
    return {f"{name}-{n}": text[at : at + most] for n, at in enumerate(range(0, len(text), most), 1)}


def _tags(text: str) -> dict[str, str]:
    """SES's tags: without the point between token and sender, which is no character of theirs."""
    token, _, sender = text.partition(".")
    return _parts(token, _TAG) | _parts(sender, _TAG, _SENDER)


def _metadata(text: str) -> dict[str, str]:
    return _parts(text, _METADATA)


def _mailin(text: str) -> dict[str, str]:
    return {"X-Mailin-custom": f"{NAME}:{text}"}


_HEADERS: dict[Provider, Callable[[str], dict[str, str]]] = {
    "ses": lambda text: {"X-SES-MESSAGE-TAGS": ", ".join(f"{name}={value}" for name, value in _tags(text).items())},
    "sendgrid": lambda text: {"X-SMTPAPI": json.dumps({"unique_args": {NAME: text}})},
    "postmark": lambda text: {f"X-PM-Metadata-{name}": value for name, value in _metadata(text).items()},
    "mailgun": lambda text: {"X-Mailgun-Variables": json.dumps({NAME: text})},
    "brevo": _mailin,
}
_FIELDS: dict[Provider, Callable[[str], ApiFields]] = {
    "ses": lambda text: ApiFields(email_tags=[SesTag(name, value) for name, value in _tags(text).items()]),
    "sendgrid": lambda text: ApiFields(custom_args={NAME: text}),
    "postmark": lambda text: ApiFields(metadata=_metadata(text)),
    "mailgun": lambda text: ApiFields(variable=text),
    "brevo": lambda text: ApiFields(headers=_mailin(text)),
}
