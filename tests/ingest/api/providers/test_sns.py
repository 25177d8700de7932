"""Messages of Amazon SNS: which signatures are believed, by which certificates, and what strangers may have fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ingest.api.providers.sns.messages import Sns, SnsMessage
from ingest.api.providers.sns.topic import SnsTopic
from schemas.errors import Misconfigured, Reject, Retry
from tests.ingest.api.providers.amazon import (
    CERTIFICATE,
    CONFIRMATION,
    HOST,
    NOW,
    PEM,
    TOPIC,
    Amazon,
    a_certificate,
    a_message,
    of_subscription,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def amazon() -> Amazon:
    return Amazon()


def sns_at(amazon: Amazon, topic: str = TOPIC, clock: Callable[[], float] | None = None) -> Sns:
    return Sns([topic], amazon.fetch, clock or Clock())


async def refusal(amazon: Amazon, message: SnsMessage) -> str:
    with pytest.raises(Reject) as refused:
        await sns_at(amazon).check(message, NOW)
    return refused.value.reason


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Amazon SES Email Event Notification"])
async def test_what_sns_signed_is_believed_and_its_certificate_fetched_once(
    amazon: Amazon, version: str, subject: str | None
) -> None:
    sns = sns_at(amazon)
    for _ in range(3):
        await sns.check(a_message(signature_version=version, subject=subject), NOW)
    assert amazon.asked == [CERTIFICATE]


async def test_the_signature_is_of_every_field_and_by_the_certificates_key(amazon: Amazon) -> None:
    good = a_message()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for bad in (
        msgspec.structs.replace(good, message='{"eventType":"Bounce"}'),
        msgspec.structs.replace(good, message_id="m-2"),
        msgspec.structs.replace(good, subject="x"),
        msgspec.structs.replace(good, signature="not base64!"),
        msgspec.structs.replace(good, signature_version="3"),
        msgspec.structs.replace(of_subscription("UnsubscribeConfirmation"), token="another"),
        a_message(stranger),
    ):
        assert await refusal(amazon, bad) == "signature"


PATH = "SimpleNotificationService-0123456789abcdef.pem"


@pytest.mark.parametrize(
    "url",
    [
        f"http://sns.eu-west-1.amazonaws.com/{PATH}",
        f"https://sns.eu-west-1.amazonaws.com.evil.example/{PATH}",
        f"https://evil.example/sns.eu-west-1.amazonaws.com/{PATH}",
        f"https://sns.eu-west-1.amazonaws.com@evil.example/{PATH}",
        f"https://user@sns.eu-west-1.amazonaws.com/{PATH}",
        f"https://sns.eu-west-1.amazonaws.com:8443/{PATH}",
        f"https://sns.eu-west-1.amazonaws.com\t/{PATH}",
        f"https://SNS.eu-west-1.amazonaws.com/{PATH}",
        # A bucket of anybody's, in a region that is called so.
        f"https://sns.s3-us-west-2.amazonaws.com/{PATH}",
        # SNS itself, but not of the topic's region.
        f"https://sns.us-east-1.amazonaws.com/{PATH}",
        f"https://sns.eu-west-1.amazonaws.com.cn/{PATH}",
        f"https://bucket.s3.amazonaws.com/{PATH}",
        # Answers of the API hold what strangers wrote.
        f"{HOST}/?Action=GetTopicAttributes&x=.pem",
        f"{HOST}/{PATH}?Action=ListTopics",
        f"{HOST}/{PATH}#x",
        f"{HOST}/{PATH}/",
        f"{HOST}//{PATH}",
        f"{HOST}/x/{PATH}",
        f"{HOST}/SimpleNotificationService-.pem",
        f"{HOST}/SimpleNotificationService-xyz.pem",
        f"{HOST}/SimpleNotificationService-{'a' * 65}.pem",
        f"{HOST}/cert.pem",
        "https://[/cert.pem",
        "",
    ],
)
async def test_a_certificate_from_elsewhere_is_not_even_fetched(amazon: Amazon, url: str) -> None:
    amazon.has[url] = PEM
    assert await refusal(amazon, a_message(signing_cert_url=url)) == "signature"
    assert amazon.asked == []


@pytest.mark.parametrize(
    "body",
    [
        a_certificate(days=-1),
        a_certificate("sns.eu-central-1.amazonaws.com"),
        a_certificate("sns-signing.af-south-1.amazonaws.com"),
        a_certificate("evil.example"),
        a_certificate(key=ec.generate_private_key(ec.SECP256R1())),
        b"<html>",
        b"<html>" + PEM + b"</html>",
        b"<Message>\n" + PEM,
        PEM + b"x",
        PEM.replace(b"M", b"&#x4d;", 1),
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        b"",
    ],
)
async def test_what_is_no_certificate_of_snss_today_is_refused(amazon: Amazon, body: bytes) -> None:
    amazon.has[CERTIFICATE] = body
    assert await refusal(amazon, a_message()) == "signature"


async def test_a_certificate_may_be_followed_by_that_of_its_issuer(amazon: Amazon) -> None:
    amazon.has[CERTIFICATE] = PEM + b"\n" + a_certificate("issuer.example")
    await sns_at(amazon).check(a_message(), NOW)


@pytest.mark.parametrize(
    ("arn", "host", "name"),
    [
        ("arn:aws:sns:eu-west-1:123456789012:ses", "sns.eu-west-1.amazonaws.com", "sns.amazonaws.com"),
        ("arn:aws:sns:af-south-1:123456789012:ses", "sns.af-south-1.amazonaws.com", "sns-signing.af-south-1.amazonaws.com"),
        ("arn:aws-cn:sns:cn-north-1:123456789012:ses", "sns.cn-north-1.amazonaws.com.cn", "sns-cn-north-1.amazonaws.com.cn"),
        ("arn:aws-us-gov:sns:us-gov-east-1:123456789012:ses", "sns.us-gov-east-1.amazonaws.com", "sns-us-gov-west-1.amazonaws.com"),
    ],
)  # fmt: skip
async def test_a_region_has_its_host_and_its_certificates_name(amazon: Amazon, arn: str, host: str, name: str) -> None:
    url = f"https://{host}/{PATH}"
    amazon.has[url] = a_certificate(name)
    await sns_at(amazon, arn).check(a_message(topic_arn=arn, signing_cert_url=url), NOW)
    assert amazon.asked == [url]


@pytest.mark.parametrize(
    "arn", ["ses", "arn:aws:sqs:eu-west-1:123456789012:ses", "arn:aws:sns:evil.example/:123456789012:ses"]
)
def test_what_is_no_arn_of_a_topic_is_said_at_the_start(arn: str) -> None:
    with pytest.raises(Misconfigured, match="SENDLENS_SES_TOPICS"):
        SnsTopic.of(arn)


async def test_another_topic_and_an_old_message_are_refused(amazon: Amazon) -> None:
    assert await refusal(amazon, a_message(topic_arn=f"{TOPIC}-of-another")) == "topic"
    assert await refusal(amazon, a_message(timestamp="2026-01-01T00:00:00.000Z")) == "stale"


async def test_messages_at_the_same_time_wait_for_one_fetch() -> None:
    amazon, answers = Amazon(), asyncio.Event()

    async def slow(url: str) -> bytes:
        amazon.asked.append(url)
        await answers.wait()
        return PEM

    sns = Sns([TOPIC], slow)
    checks = [asyncio.create_task(sns.check(a_message(), NOW)) for _ in range(20)]
    await asyncio.sleep(0)
    checks[0].cancel()  # whose caller hung up: another takes its place
    await asyncio.sleep(0)
    answers.set()
    ended = await asyncio.gather(*checks, return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError, *[type(None)] * 19]
    assert len(amazon.asked) <= 2


async def test_a_certificate_that_was_not_to_be_had_is_asked_for_again_a_minute_later(amazon: Amazon) -> None:
    clock = Clock()
    sns = sns_at(amazon, clock=clock)
    del amazon.has[CERTIFICATE]
    for _ in range(30):
        with pytest.raises(Retry, match="404"):
            await sns.check(a_message(), NOW)
    amazon.has[CERTIFICATE] = b"<html>"
    clock.now += 61
    for _ in range(30):
        with pytest.raises(Reject, match="PEM"):
            await sns.check(a_message(), NOW)
    amazon.has[CERTIFICATE] = PEM
    clock.now += 61
    await sns.check(a_message(), NOW)
    assert amazon.asked == [CERTIFICATE] * 3


async def test_strangers_cause_ten_fetches_a_minute_and_keep_no_known_certificate_out(amazon: Amazon) -> None:
    clock = Clock()
    sns = sns_at(amazon, clock=clock)
    await sns.check(a_message(), NOW)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for number in range(100):
        url = f"{HOST}/SimpleNotificationService-{number:x}.pem"
        with pytest.raises(Retry):
            await sns.check(a_message(stranger, signing_cert_url=url), NOW)
    assert len(amazon.asked) == 10
    await sns.check(a_message(), NOW)
    # A confirmation is a fetch too; SNS posts it again after the 503.
    with pytest.raises(Retry, match="within a minute"):
        await sns.confirm(of_subscription("SubscriptionConfirmation"))
    clock.now += 61
    await sns.confirm(of_subscription("SubscriptionConfirmation"))
    assert amazon.asked[10:] == [CONFIRMATION]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription",
        "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription",
        f"{HOST}:443/?Action=ConfirmSubscription",
        f"{HOST}/x?Action=ConfirmSubscription",
        f"{HOST}/?Action=ConfirmSubscription#x",
        f"{HOST}/?Action=Confirm Subscription",
        HOST,
        "",
    ],
)
async def test_a_subscription_is_confirmed_at_the_topics_host_alone(amazon: Amazon, url: str) -> None:
    sns = sns_at(amazon)
    message = of_subscription("SubscriptionConfirmation")
    await sns.check(message, NOW)
    await sns.confirm(message)
    assert amazon.asked == [CERTIFICATE, CONFIRMATION]
    with pytest.raises(Reject, match="SubscribeURL"):
        await sns.confirm(of_subscription("SubscriptionConfirmation", subscribe_url=url))
    assert len(amazon.asked) == 2
