"""Messages of Amazon SNS: their signature, and the confirmation of a subscription.

They are believed only for the topics of SENDLENS_SES_TOPICS, because everybody may have topics at SNS.
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from msgspec import Struct
from starlette.datastructures import Headers

from decisions.providers.report import moment_of
from ingest.api.providers.signatures import check_time
from ingest.api.providers.sns.certificates import SigningCertificates
from ingest.api.providers.sns.fetch import Fetch, FetchBudget, fetched
from ingest.api.providers.sns.topic import SnsTopic
from schemas.errors import Reject

_OF_SUBSCRIPTIONS = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _OF_SUBSCRIPTIONS,
    "UnsubscribeConfirmation": _OF_SUBSCRIPTIONS,
}


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
    """Verifies messages and confirms subscriptions."""

    def __init__(
        self, topics: Iterable[str], fetch: Fetch | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raise Misconfigured for what is no ARN of a topic."""
        self._topics = {arn: SnsTopic.of(arn) for arn in topics}
        self._fetch = fetch or fetched
        self._budget = FetchBudget(clock)
        self._certificates = SigningCertificates(self._fetch, self._budget, clock)

    async def check(self, message: SnsMessage, now: datetime) -> None:
        """Raise Reject unless SNS signed it, lately, for a topic of ours; Retry while its certificate can't be had."""
        topic = self._topic(message)
        if message.signature_version not in ("1", "2"):
            raise Reject("signature", f"{message.type} of signature version {message.signature_version[:10]!r}")
        check_time(moment_of(message.timestamp), now)
        key = await self._certificates.key_of(message.signing_cert_url, topic, now)
        try:
            signature = base64.b64decode(message.signature, validate=True)
            # Version 1 is SHA-1, as SNS signs unless the topic says otherwise.
            digest = SHA256() if message.signature_version == "2" else SHA1()  # noqa: S303
            key.verify(signature, signed_text(message).encode(), PKCS1v15(), digest)
        except (InvalidSignature, binascii.Error, ValueError):
            raise Reject("signature", "Amazon SNS did not sign this") from None

    async def confirm(self, message: SnsMessage) -> None:
        """Confirm the subscription, which is checked already. Raises Reject for another host, Retry for no answer."""
        url = message.subscribe_url or ""
        self._topic(message).check_subscribe_url(url)
        self._budget.spend()
        await self._fetch(url)

    def _topic(self, message: SnsMessage) -> SnsTopic:
        topic = self._topics.get(message.topic_arn)
        if topic is None:
            raise Reject("topic", "add the topic's ARN to SENDLENS_SES_TOPICS if it is yours, and restart")
        return topic


def check_enveloped(headers: Headers) -> None:
    """Raise Reject for raw message delivery, which SNS does not sign.

    https://docs.aws.amazon.com/sns/latest/dg/sns-large-payload-raw-message-delivery.html
    """
    if headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
        raise Reject(
            "raw-delivery",
            "SNS does not sign raw messages: switch raw message delivery off in the subscription",
        )


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
