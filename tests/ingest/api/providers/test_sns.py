"""Notifications of Amazon SNS: signed by a certificate from Amazon's host, fetched over TLS from a real server here."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ingest.api.providers.sns import Sns, SnsMessage, fetched, signed_text
from schemas.errors import Reject, Retry

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ses"
HOST = "https://sns.eu-west-1.amazonaws.com"
NOW = datetime.now(UTC)


def a_certificate(key: rsa.RSAPrivateKey, name: str, days: int = 10) -> bytes:
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


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = a_certificate(KEY, "sns.amazonaws.com")


@dataclass
class Amazon:
    """What Amazon's host has: each address with its bytes. `asked` are the addresses that were fetched."""

    has: dict[str, bytes]
    asked: list[str] = field(default_factory=list)

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.has:
            raise Retry("Amazon SNS answered 404")
        return self.has[url]


@pytest.fixture
def amazon() -> Amazon:
    return Amazon({f"{HOST}/cert.pem": PEM, f"{HOST}/?Action=ConfirmSubscription&Token=t": b"<ok/>"})


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
        "signing_cert_url": f"{HOST}/cert.pem",
    } | fields
    message = SnsMessage(**values)
    digest = SHA256() if message.signature_version == "2" else SHA1()  # noqa: S303
    signature = key.sign(signed_text(message).encode(), PKCS1v15(), digest)
    return msgspec.structs.replace(message, signature=base64.b64encode(signature).decode())


async def refusal(amazon: Amazon, message: SnsMessage, now: datetime = NOW) -> str:
    with pytest.raises(Reject) as refused:
        await Sns(frozenset({TOPIC}), amazon.fetch).check(message, now)
    return refused.value.reason


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Amazon SES Email Event Notification"])
async def test_what_sns_signed_is_believed_and_its_certificate_fetched_once(
    amazon: Amazon, version: str, subject: str | None
) -> None:
    sns = Sns(frozenset({TOPIC}), amazon.fetch)
    for _ in range(3):
        await sns.check(a_message(signature_version=version, subject=subject), NOW)
    assert amazon.asked == [f"{HOST}/cert.pem"]


async def test_the_signature_is_of_every_field_and_by_the_certificates_key(amazon: Amazon) -> None:
    good = a_message()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for bad in (
        msgspec.structs.replace(good, message='{"eventType":"Bounce"}'),
        msgspec.structs.replace(good, message_id="m-2"),
        msgspec.structs.replace(good, subject="x"),
        msgspec.structs.replace(good, signature="not base64!"),
        msgspec.structs.replace(good, signature_version="3"),
        a_message(stranger),
    ):
        assert await refusal(amazon, bad) == "signature"


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/cert.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/cert.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/cert.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/cert.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/cert.pem",
        "https://bucket.s3.amazonaws.com/cert.pem",
        "https://sns.eu-west-1.amazonaws.com/cert.txt",
        "https://[/cert.pem",
    ],
)
async def test_a_certificate_from_elsewhere_is_not_even_fetched(amazon: Amazon, url: str) -> None:
    amazon.has[url] = PEM
    assert await refusal(amazon, a_message(signing_cert_url=url)) == "signature"
    assert amazon.asked == []


async def test_a_certificate_that_has_run_out_or_is_none_is_refused(amazon: Amazon) -> None:
    amazon.has[f"{HOST}/old.pem"] = a_certificate(KEY, "sns.amazonaws.com", days=-1)
    amazon.has[f"{HOST}/none.pem"] = b"<html>"
    for name in ("old", "none"):
        assert await refusal(amazon, a_message(signing_cert_url=f"{HOST}/{name}.pem")) == "signature"


async def test_another_topic_and_an_old_message_are_refused(amazon: Amazon) -> None:
    assert await refusal(amazon, a_message(topic_arn=f"{TOPIC}-of-another")) == "topic"
    assert await refusal(amazon, a_message(timestamp="2026-01-01T00:00:00.000Z")) == "stale"


async def test_a_subscription_is_confirmed_at_amazon_alone(amazon: Amazon) -> None:
    sns = Sns(frozenset({TOPIC}), amazon.fetch)
    url = f"{HOST}/?Action=ConfirmSubscription&Token=t"
    message = a_message(type="SubscriptionConfirmation", token="t", subscribe_url=url)
    await sns.check(message, NOW)
    await sns.confirm(message)
    assert amazon.asked[-1] == url
    with pytest.raises(Reject):
        await sns.confirm(a_message(subscribe_url="https://evil.example/?Action=ConfirmSubscription"))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """A server with TLS, and what trusts it: a file of 1 MB, and an answer of 302 to everything else."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    cert.write_bytes(a_certificate(KEY, "localhost"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        body = b"x" * 1_000_000 if b"/large" in line else b"moved"
        status = b"200 OK" if b"/large" in line else b"302 Found\r\nLocation: https://localhost/large"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    trusting = ssl.create_default_context(cafile=cert)
    yield f"https://localhost:{listening.sockets[0].getsockname()[1]}", trusting
    listening.close()


async def test_a_host_without_a_certificate_that_is_trusted_is_not_believed(server: tuple[str, ssl.SSLContext]) -> None:
    with pytest.raises(Retry, match="can't be reached"):
        await fetched(f"{server[0]}/large")


async def test_what_is_fetched_is_bounded_and_no_redirect_is_followed(server: tuple[str, ssl.SSLContext]) -> None:
    url, trusting = server
    assert len(await fetched(f"{url}/large", trusting)) <= 32 * 1024
    with pytest.raises(Retry, match="302"):
        await fetched(f"{url}/moved", trusting)
