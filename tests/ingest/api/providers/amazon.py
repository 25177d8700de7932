"""Amazon SNS as tests know it: its certificates, what it signs, and a host that has files at addresses."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ingest.api.providers.sns.messages import SnsMessage, signed_text
from schemas.errors import Retry

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses"
HOST = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE = f"{HOST}/SimpleNotificationService-0123456789abcdef.pem"
CONFIRMATION = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t"
NOW = datetime.now(UTC)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def a_certificate(name: str = "sns.amazonaws.com", days: int = 10, key: Any = KEY) -> bytes:
    """A certificate in PEM, which signs itself, for so many days from now."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=20))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


PEM = a_certificate()


@dataclass
class Amazon:
    """What Amazon's host has: each address with its bytes. `asked` are the addresses that were fetched."""

    has: dict[str, bytes] = field(default_factory=lambda: {CERTIFICATE: PEM, CONFIRMATION: b"<ok/>"})
    asked: list[str] = field(default_factory=list)

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.has:
            raise Retry("Amazon SNS answered 404")
        return self.has[url]


def a_message(key: rsa.RSAPrivateKey = KEY, **fields: Any) -> SnsMessage:
    """A notification as SNS signs it."""
    values: dict[str, Any] = {
        "type": "Notification",
        "message_id": "m-1",
        "topic_arn": TOPIC,
        "message": '{"eventType":"Send"}',
        "timestamp": NOW.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "signature": "",
        "signature_version": "1",
        "signing_cert_url": CERTIFICATE,
    } | fields
    message = SnsMessage(**values)
    digest = SHA256() if message.signature_version == "2" else SHA1()  # noqa: S303
    signature = key.sign(signed_text(message).encode(), PKCS1v15(), digest)
    return msgspec.structs.replace(message, signature=base64.b64encode(signature).decode())


def of_subscription(kind: str, **fields: Any) -> SnsMessage:
    """A message of a subscription: SubscriptionConfirmation or UnsubscribeConfirmation."""
    return a_message(type=kind, token="t", subscribe_url=fields.pop("subscribe_url", CONFIRMATION), **fields)
