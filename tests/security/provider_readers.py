"""The same for what mail providers report, for suppressions, and for tags of links."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from decisions.effects import suppression_list
from decisions.providers import brevo, events, mailgun, passing, postmark, report, sendgrid, ses
from decisions.robots import client_ip
from decisions.sending import utm
from schemas.events import Campaign
from tests.agents.mails import KEYRING, NOW
from tests.security.shapes import ADDRESSES, PLAIN, URLS, WORDS, Text

_AT = "2026-03-02T09:00:00Z"
_MEANING = report.Meaning("bounce")
_TAGS = (("utm_source", "news"), ("utm_content", "{link}"))
_KEPT = client_ip.keeper("truncated", KEYRING)
assert _KEPT is not None


def _report(text: str) -> report.ProviderReport:
    return report.ProviderReport(
        word="bounce", at=NOW, cause=text, recipient=text, sender=text, passed=text, message_id=text, return_path=text,
        status=text, diagnostic=text,
    )  # fmt: skip


def _ses(text: str) -> list[report.ProviderReport]:
    headers = [{"name": passing.NAME, "value": text}, {"name": text, "value": text}]
    record = {
        "mail": {
            "timestamp": _AT, "messageId": text, "source": text, "headers": headers, "tags": {passing.NAME: [text]},
            "commonHeaders": {"messageId": text, "from": [text]},
        },
        "eventType": "Bounce",
        "bounce": {
            "timestamp": _AT, "bounceType": text, "bounceSubType": text, "feedbackId": text,
            "bouncedRecipients": [{"emailAddress": text, "status": text, "diagnosticCode": text}],
        },
    }  # fmt: skip
    topics = {"topicSubscriptionStatus": [{"topicName": text, "subscriptionStatus": "OptOut"}] * 10}
    change = {"timestamp": _AT, "newTopicPreferences": topics, "oldTopicPreferences": topics}
    changed = record | {"eventType": "Subscription", "subscription": change}
    return [one for each in (record, changed) for one in ses.reports(msgspec.convert(each, ses.SesRecord))]


def _mailgun(text: str) -> report.ProviderReport:
    event = {
        "event": "failed", "timestamp": 1.0, "id": text, "recipient": text, "severity": text, "reason": text,
        "delivery-status": {"message": text, "description": text, "code": text, "enhanced-code": text},
        "message": {"headers": {"message-id": text, "from": text}}, "envelope": {"sender": text},
        "user-variables": {passing.NAME: text},
    }  # fmt: skip
    return mailgun.report(msgspec.convert(event, mailgun.MailgunEvent))


def _postmark(text: str) -> report.ProviderReport:
    record = {
        "RecordType": "Bounce", "Type": text, "MessageID": text, "Email": text, "Recipient": text, "From": text,
        "Details": text, "Description": text, "BouncedAt": _AT, "ID": text, "Metadata": {passing.NAME: text},
    }  # fmt: skip
    return postmark.report(msgspec.convert(record, postmark.PostmarkRecord))


def _sendgrid(text: str) -> report.ProviderReport:
    event = {
        "event": "bounce", "timestamp": 1.0, "email": text, "sg_event_id": text, "sg_message_id": text, "smtp-id": text,
        "status": text, "reason": text, "response": text, "type": text, "sendlens": text,
    }  # fmt: skip
    return sendgrid.report(msgspec.convert(event, sendgrid.SendGridEvent))


def _brevo(text: str) -> report.ProviderReport:
    event = {
        "event": text, "ts_event": 1.0, "email": text, "message-id": text, "X-Mailin-custom": f"{passing.NAME}:{text}",
        "reason": text,
    }  # fmt: skip
    return brevo.report(msgspec.convert(event, brevo.BrevoEvent))


def _tags(text: str) -> object:
    campaign = Campaign(id="c", name="c", created_at=NOW, utm_source=text, utm_content="{campaign}" + text)
    utm.check_utm(campaign)
    return utm.tags_of(campaign, 1, text)


# The function, how it is given a text, and the shapes of its own grammar.
PROVIDER_READERS: dict[str, tuple[Callable[[str], object], Sequence[Text]]] = {
    "decisions.effects.suppression_list.fact_of": (
        lambda text: suppression_list.fact_of(suppression_list.Entry(address=text, source=text), KEYRING, NOW),
        ADDRESSES,
    ),
    "decisions.effects.suppression_list.known_as": (
        lambda text: suppression_list.known_as(KEYRING, address=text),
        ADDRESSES,
    ),
    "decisions.effects.suppression_list.reason_called": (suppression_list.reason_called, WORDS),
    "decisions.providers.brevo.report": (_brevo, ADDRESSES),
    "decisions.providers.mailgun.report": (_mailgun, ADDRESSES),
    "decisions.providers.postmark.report": (_postmark, ADDRESSES),
    "decisions.providers.sendgrid.report": (_sendgrid, ADDRESSES),
    "decisions.providers.ses.reports": (_ses, ADDRESSES),
    "decisions.providers.ses.is_notice": (ses.is_notice, WORDS),
    "decisions.providers.events.proved": (lambda text: events.proved(_report(text), KEYRING), ADDRESSES),
    "decisions.providers.report.assessed": (lambda text: report.assessed(_report(text), _MEANING), WORDS),
    "decisions.providers.report.meaning_of": (lambda text: report.meaning_of("ses", text), WORDS),
    "decisions.providers.report.moment_of": (report.moment_of, PLAIN),
    "decisions.providers.passing.read_passed": (passing.read_passed, WORDS),
    "decisions.providers.passing.joined": (lambda text: passing.joined({passing.NAME: text, text: [text]}), WORDS),
    "decisions.robots.client_ip.keeper": (_KEPT, PLAIN),
    "decisions.robots.client_ip.is_whole": (client_ip.is_whole, PLAIN),
    "decisions.robots.client_ip.is_network": (client_ip.is_network, PLAIN),
    "decisions.sending.utm.check_utm": (_tags, WORDS),
    "decisions.sending.utm.tags_of": (_tags, WORDS),
    "decisions.sending.utm.tagged": (lambda text: utm.tagged(text, _TAGS, 3), URLS),
}
