"""Send requests and keys as the tests of the sender need them, and the reading of what was made of them."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

from decisions.sending.instrument import Instrumented, instrument
from schemas.events import Send
from schemas.state.images import Image
from schemas.tokens import Keyring, delivery_id

KEYRING = Keyring.parse("7:an-old-kettle-and-a-new-one")
PUBLIC = "https://t.example.com"
ENVELOPE = "bounces.example.com"
NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)

WRAPPED = re.compile(re.escape(PUBLIC) + r"/c/([A-Za-z0-9_-]+)/([0-9a-f]{64})")
PIXEL = re.compile(re.escape(PUBLIC) + r"/o/([A-Za-z0-9_-]+)\.gif")
UNSUBSCRIBE = re.compile(re.escape(PUBLIC) + r"/u/([A-Za-z0-9_-]+)")

AMP = (
    '<!doctype html>\r\n<html ⚡4email data-css-strict><head><meta charset="utf-8">\n<style amp4email-boilerplate>'
    'body{visibility:hidden}</style><script async src="https://cdn.ampproject.org/v0.js"></script></head>\n'
    '<body><a href="https://example.com/a">Grüße</a> \t\r{{unsubscribe_url}}</body></html>\n\n'
)
PNG = Image(content_id="logo", media_type="image/png", content=b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3)
GIF = Image(content_id="dot.1@example.com", media_type="image/gif", content=b"GIF89a\r\n.\r\n--=_\n")
ILLUSTRATED = '<p><img src="cid:logo"><a href="https://example.com/b"><img src=\'cid:dot.1@example.com\'></a></p>'


def a_send(**changes: Any) -> Send:
    """A send request like any other, but for the changes."""
    fields: dict[str, Any] = {
        "request_id": str(uuid4()),
        "campaign": "spring",
        "step": 1,
        "variant": "A",
        "lead": "lead-1",
        "to": "ada@example.net",
        "sender": "grace@example.com",
        "subject": "A question",
        "html": "<p>Hello</p>",
        "requested_at": NOW,
    } | changes
    fields.setdefault("delivery_id", str(delivery_id(fields["campaign"], fields["step"], fields["lead"])))
    return Send(**fields)


def instrumented(send: Send) -> Instrumented:
    return instrument(send, KEYRING, public_url=PUBLIC, envelope_domain=ENVELOPE, now=NOW)


def parsed(message: bytes) -> EmailMessage:
    """The message as Python's own parser reads it."""
    return email.message_from_bytes(message, policy=email.policy.default)


def part(message: bytes, kind: str) -> str:
    """The text of the `plain` or `html` part, its line ends as LF."""
    found = parsed(message).get_body((kind,))
    assert found is not None, f"no {kind} part"
    return str(found.get_content()).replace("\r\n", "\n")


def html_of(html: str, **changes: Any) -> str:
    """What becomes of this HTML. The part's closing line end, which MIME adds, is taken off."""
    made = part(instrumented(a_send(html=html, **changes)).message, "html")
    return made.removesuffix("\n")
