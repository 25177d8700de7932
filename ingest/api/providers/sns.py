"""Notifications of Amazon SNS, by which SES reports: their signature, and the confirmation of a subscription.

The signature is by a certificate that SNS names. It is believed from Amazon's own host over TLS alone, and only for the
topics of SENDLENS_SES_TOPICS, because everybody may have topics at SNS.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from msgspec import Struct

from decisions.providers.report import moment_of
from ingest.api.providers.signatures import check_time
from schemas.errors import Reject, Retry

_HOST = re.compile(r"sns\.[a-z0-9-]{3,40}\.amazonaws\.com(?:\.cn)?")
_SECONDS = 5.0
_MOST_BYTES = 32 * 1024
_KEPT = 20  # certificates; SNS has one for a region and changes it once a year
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}

# Fetches an address of SNS's; raises Retry when it is not to be had.
Fetch = Callable[[str], Awaitable[bytes]]


class SnsMessage(Struct, rename="pascal"):
    """What SNS posts."""

    type: Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    signature: str
    signature_version: str
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    token: str | None = None
    subscribe_url: str | None = msgspec.field(default=None, name="SubscribeURL")


class Sns:
    """Verifies notifications and confirms subscriptions."""

    def __init__(self, topics: frozenset[str], fetch: Fetch | None = None) -> None:
        self._topics = topics
        self._fetch = fetch or fetched
        self._certificates: dict[str, x509.Certificate] = {}

    async def check(self, message: SnsMessage, now: datetime) -> None:
        """Raise Reject unless SNS signed it, lately, for a topic of ours; Retry while its certificate can't be had."""
        if message.topic_arn not in self._topics:
            raise Reject("topic", "add the topic's ARN to SENDLENS_SES_TOPICS if it is yours, and restart")
        if message.type not in _SIGNED or message.signature_version not in ("1", "2"):
            raise Reject("signature", f"{message.type} of signature version {message.signature_version[:10]!r}")
        check_time(moment_of(message.timestamp), now)
        certificate = await self._certificate(message.signing_cert_url)
        key = certificate.public_key()
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            self._certificates.pop(message.signing_cert_url, None)
            raise Reject("signature", "the certificate of its signature is not valid today")
        try:
            signature = base64.b64decode(message.signature, validate=True)
            if not isinstance(key, rsa.RSAPublicKey):
                raise Reject("signature", "the certificate of its signature has no RSA key")
            # Version 1 is SHA-1, as SNS signs unless the topic says otherwise.
            digest = SHA256() if message.signature_version == "2" else SHA1()  # noqa: S303
            key.verify(signature, signed_text(message).encode(), PKCS1v15(), digest)
        except (InvalidSignature, binascii.Error, ValueError):
            raise Reject("signature", "Amazon SNS did not sign this") from None

    async def confirm(self, message: SnsMessage) -> None:
        """Confirm the subscription, which is checked already. Raises Reject for another host, Retry for no answer."""
        await self._fetch(_at_sns(message.subscribe_url or ""))

    async def _certificate(self, url: str) -> x509.Certificate:
        found = self._certificates.get(url)
        if found is None:
            if not urlsplit(_at_sns(url)).path.endswith(".pem"):
                raise Reject("signature", "SigningCertURL is no certificate's")
            try:
                found = x509.load_pem_x509_certificate(await self._fetch(url))
            except ValueError:
                raise Reject("signature", "SigningCertURL leads to no certificate") from None
            if len(self._certificates) >= _KEPT:
                self._certificates.clear()
            self._certificates[url] = found
        return found


def signed_text(message: SnsMessage) -> str:
    """What is signed: names and values, a line each."""
    fields = {
        "Message": message.message,
        "MessageId": message.message_id,
        "Subject": message.subject,
        "SubscribeURL": message.subscribe_url,
        "Timestamp": message.timestamp,
        "Token": message.token,
        "TopicArn": message.topic_arn,
        "Type": message.type,
    }
    return "".join(f"{name}\n{fields[name]}\n" for name in _SIGNED[message.type] if fields[name] is not None)


async def fetched(url: str, trust: ssl.SSLContext | None = None) -> bytes:
    """Fetch over TLS, 32 kB at the most, no redirect followed. `trust` is whose certificates are believed in the place
    of the system's."""
    import aiohttp  # 0.1 s of every start of ingest, for what few installations ever fetch

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.get(url, allow_redirects=False, ssl=trust or True) as response,
        ):
            body = await response.content.read(_MOST_BYTES)
            if response.status != 200:
                raise Retry(f"Amazon SNS answered {response.status}")
            return body
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Retry(f"Amazon SNS can't be reached: {type(error).__name__}") from None


def _at_sns(url: str) -> str:
    """The address, which is Amazon's. Raises Reject."""
    try:
        parts = urlsplit(url)
        is_theirs = parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None
    except ValueError:
        is_theirs = False
    if not is_theirs:
        raise Reject("signature", "an address in it is not one of Amazon SNS")
    return url
