"""Whether a provider's request is the provider's. Each has a way of its own; none is believed without.

What is signed says when; what is older than the provider would try again is a replay.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Struct
from starlette.datastructures import Headers

from decisions.providers.report import moment
from schemas.errors import Misconfigured, Reject

# Longer than any of them tries again: SendGrid for 24 hours, Mailgun for 8, SNS for an hour unless told otherwise.
LONGEST = timedelta(hours=25)
AHEAD = timedelta(minutes=5)  # as far as clocks differ
_MOST_TEXT = 200  # characters of what is signed with a body


class MailgunSignature(Struct):
    """What stands in `signature` of a Mailgun request."""

    timestamp: str
    token: str
    signature: str


def check_time(at: datetime, now: datetime) -> None:
    """Raise Reject unless it was signed lately."""
    if not now - LONGEST <= at <= now + AHEAD:
        raise Reject("stale", "it was signed too long ago, or is still to come: it is a replay, or clocks differ")


def check_secret(headers: Headers, secret: str) -> None:
    """Raise Reject unless the request shows the secret: as the password of `Authorization: Basic`, which is how it
    stands in the address of a webhook, or as a bearer token."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    shown = b""
    if scheme.lower() == "bearer":
        shown = given.strip().encode("utf-8", "replace")
    elif scheme.lower() == "basic":
        try:
            shown = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            shown = b""
    if not hmac.compare_digest(shown, secret.encode()):
        raise Reject("signature", "put the secret into the webhook: https://sendlens:SECRET@..., or as a bearer token")


def check_mailgun(signature: MailgunSignature, key: str, now: datetime) -> bytes:
    """What is signed, and tells the request from others. Raises Reject unless the key signed it.

    https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
    """
    timestamp, token = signature.timestamp, signature.token
    if len(timestamp) > _MOST_TEXT or len(token) > _MOST_TEXT:
        raise Reject("signature", "timestamp and token are short")
    # Timestamp and token are signed as one text: another cut of it must not be another request, or another time.
    if not (timestamp.isascii() and timestamp.isdigit() and token.isascii()):
        raise Reject("signature", "timestamp has digits alone, and token is ASCII")
    signed = f"{timestamp}{token}".encode()
    proof = hmac.new(key.encode(), signed, "sha256").hexdigest()
    if not hmac.compare_digest(proof.encode(), signature.signature.encode("utf-8", "replace")):
        raise Reject("signature", "it was not signed with SENDLENS_MAILGUN_SIGNING_KEY")
    check_time(moment(timestamp), now)
    return signed


class SendGridKey:
    """The public key of a signed Event Webhook, as SendGrid shows it: base64 of DER."""

    def __init__(self, text: str) -> None:
        """Raise Misconfigured for what is no such key."""
        try:
            key = load_der_public_key(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise Misconfigured(
                "SENDLENS_SENDGRID_PUBLIC_KEY is no public key: copy the verification key of the signed Event Webhook"
            )
        self._key = key

    def check(self, headers: Headers, body: bytes, now: datetime) -> None:
        """Raise Reject unless its private key signed timestamp and body."""
        timestamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
        try:
            signature = base64.b64decode(headers.get("x-twilio-email-event-webhook-signature", ""), validate=True)
            self._key.verify(signature, timestamp.encode() + body, ec.ECDSA(SHA256()))
        except (InvalidSignature, binascii.Error, ValueError):
            raise Reject("signature", "it was not signed with the key of SENDLENS_SENDGRID_PUBLIC_KEY") from None
        check_time(moment(timestamp), now)
