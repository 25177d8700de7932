"""Reports of Amazon SES: event publishing and notifications, whose records differ in a name.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from msgspec import Struct, field

from decisions.providers.passing import joined
from decisions.providers.report import ProviderReport, moment_of
from schemas.errors import Reject

T = TypeVar("T")

# What SES publishes when event publishing, or the notifications of an identity, were set up: texts and no records.
_NOTICES = ("Successfully validated SNS topic", '{"notificationType":"AmazonSnsSubscriptionSucceeded"')


class _Recipient(Struct, rename="camel"):
    email_address: str = ""
    status: str = ""
    diagnostic_code: str = ""


class _Bounce(Struct, rename="camel"):
    timestamp: str
    bounce_type: str = ""
    bounce_sub_type: str = ""
    feedback_id: str = ""
    bounced_recipients: list[_Recipient] = []


class _Complaint(Struct, rename="camel"):
    timestamp: str
    feedback_id: str = ""
    complaint_feedback_type: str | None = None
    complained_recipients: list[_Recipient] = []


class _Delivery(Struct, rename="camel"):
    timestamp: str
    recipients: list[str] = []


class _Delay(Struct, rename="camel"):
    timestamp: str
    delay_type: str = ""
    delayed_recipients: list[_Recipient] = []


class _TopicStatus(Struct, rename="camel"):
    topic_name: str = ""
    subscription_status: str = ""


class _Preferences(Struct, rename="camel"):
    unsubscribe_all: bool = False
    topic_subscription_status: list[_TopicStatus] = []

    def out_of(self) -> set[str]:
        """The topics that the person does not want."""
        return {one.topic_name for one in self.topic_subscription_status if one.subscription_status == "OptOut"}


class _Subscription(Struct, rename="camel"):
    timestamp: str
    new_topic_preferences: _Preferences
    old_topic_preferences: _Preferences = field(default_factory=_Preferences)

    @property
    def is_out(self) -> bool:
        """Whether the person left: all topics, or one that they were in. Who comes back to one may be out of others."""
        new, old = self.new_topic_preferences, self.old_topic_preferences
        return new.unsubscribe_all or (not old.unsubscribe_all and bool(new.out_of() - old.out_of()))


class _Header(Struct):
    name: str
    value: str = ""


class _CommonHeaders(Struct, rename="camel"):
    message_id: str = ""
    from_: list[str] = field(default_factory=list, name="from")


class _Mail(Struct, rename="camel"):
    timestamp: str
    message_id: str
    source: str = ""
    destination: list[str] = []
    headers: list[_Header] = []
    common_headers: _CommonHeaders | None = None
    tags: dict[str, Any] = {}


class SesRecord(Struct, rename="camel"):
    """What stands in the `Message` of a notification."""

    mail: _Mail
    event_type: str = ""
    notification_type: str = ""
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None
    delivery: _Delivery | None = None
    delivery_delay: _Delay | None = None
    subscription: _Subscription | None = None


def is_notice(text: str) -> bool:
    """Whether the `Message` of a notification is no record, but says that publishing to the topic was set up."""
    return text.startswith(_NOTICES)


def reports(record: SesRecord) -> Iterator[ProviderReport]:
    """The reports of a record, one for each recipient. Raises Reject for a record without its part."""
    word = (record.event_type or record.notification_type).lower()
    match word:
        case "bounce":
            bounce = _there(record.bounce, word)
            special = "/".join(filter(None, (word, bounce.bounce_type, bounce.bounce_sub_type)))
            for one in bounce.bounced_recipients:
                yield _report(record, special, bounce.timestamp, bounce.feedback_id, one)
        case "complaint":
            complaint = _there(record.complaint, word)
            for one in complaint.complained_recipients:
                feedback = complaint.complaint_feedback_type or "abuse"
                yield _report(record, word, complaint.timestamp, complaint.feedback_id, one, feedback)
        case "delivery":
            delivery = _there(record.delivery, word)
            for address in delivery.recipients:
                yield _report(record, word, delivery.timestamp, "", _Recipient(address))
        case "deliverydelay":
            delay = _there(record.delivery_delay, word)
            for one in delay.delayed_recipients:
                yield _report(record, word, delay.timestamp, delay.timestamp, one)
        case "subscription":
            change = _there(record.subscription, word)
            for address in record.mail.destination:
                special = f"{word}/{'optout' if change.is_out else 'optin'}"
                yield _report(record, special, change.timestamp, change.timestamp, _Recipient(address))
        case _:
            for address in record.mail.destination:
                yield _report(record, word, record.mail.timestamp, "", _Recipient(address))


def _report(
    record: SesRecord, word: str, at: str, cause: str, of: _Recipient, feedback: str = "abuse"
) -> ProviderReport:
    mail = record.mail
    headers = {header.name.lower(): header.value for header in mail.headers}
    common = mail.common_headers or _CommonHeaders()
    return ProviderReport(
        word=word,
        at=moment_of(at),
        cause=f"{mail.message_id}/{cause}",
        recipient=of.email_address,
        sender=headers.get("from", "") or next(iter(common.from_), ""),
        passed=joined(mail.tags),
        # SES puts a Message-ID of its own in the place of ours; what it was given stands among the headers.
        message_id=headers.get("message-id", "") or common.message_id,
        return_path=mail.source,
        status=of.status,
        diagnostic=of.diagnostic_code.partition(";")[2].strip() or of.diagnostic_code,
        feedback=feedback,
    )


def _there(part: T | None, word: str) -> T:
    if part is None:
        raise Reject("malformed", f"a record of {word} has its part of that name")
    return part
