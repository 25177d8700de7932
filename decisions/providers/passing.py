"""What is passed along with an email through a provider, so that its reports say which email they are of.

The Message-ID's token names the email. For a platform that sends by itself the sender's address follows it, because
some reports don't have it, and because it says that nobody has counted the email as sent yet. Each provider has a way
of its own to pass text along, and a length that it allows.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping

from schemas.providers import Provider
from schemas.text import first_control

NAME = "sendlens"
# SES: "Tag values: at most 256 characters" (API reference, MessageTag). Postmark: values of metadata have at most 80
# characters (https://postmarkapp.com/support/article/1125-custom-metadata-faq).
_TAG, _METADATA = 256, 80
_MOST_PARTS = 10


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
    """The headers that pass it along."""
    return _HEADERS[provider](text)


def joined(found: Mapping[str, object]) -> str:
    """What was passed along, of a mapping that the provider gives back: whole, or in numbered parts."""
    if isinstance(whole := found.get(NAME), str):
        return whole
    parts = [found.get(f"{NAME}-{number}") for number in range(1, _MOST_PARTS + 1)]
    return "".join(part for part in map(_first, parts) if isinstance(part, str))


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _parts(text: str, most: int) -> dict[str, str]:
    return {f"{NAME}-{n}": text[at : at + most] for n, at in enumerate(range(0, len(text), most), 1)}


def _ses(text: str) -> dict[str, str]:
    tags = ", ".join(f"{name}={value}" for name, value in _parts(text, _TAG).items())
    return {"X-SES-MESSAGE-TAGS": tags}


def _postmark(text: str) -> dict[str, str]:
    return {f"X-PM-Metadata-{name}": value for name, value in _parts(text, _METADATA).items()}


_HEADERS: dict[Provider, Callable[[str], dict[str, str]]] = {
    "ses": _ses,
    "sendgrid": lambda text: {"X-SMTPAPI": json.dumps({"unique_args": {NAME: text}})},
    "postmark": _postmark,
    "mailgun": lambda text: {"X-Mailgun-Variables": json.dumps({NAME: text})},
    "brevo": lambda text: {"X-Mailin-custom": f"{NAME}:{text}"},
}
