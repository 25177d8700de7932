"""Five providers' words for one thing are one thing, and each report is of the email that a token proves."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from decisions.providers import brevo, mailgun, postmark, sendgrid, ses
from decisions.providers.events import email_of, events_of_report, proved
from decisions.providers.passing import ApiFields, api_fields_for, headers_for, joined, passed_text, read_passed
from decisions.providers.report import ProviderReport, meaning_of
from schemas.errors import Reject
from schemas.events import Bounced, Complained, Deferred, Delivered, Sent, Unsubscribed
from schemas.providers import PROVIDERS, Provider
from schemas.tokens import Claim, Keyring, Purpose, delivery_id
from tests.decisions.providers import payloads

KEYS = Keyring.parse("1:the-first-key-of-these-tests")
AT = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
NOW = AT + timedelta(minutes=1)
DELIVERY = delivery_id("spring", 1, "lead-1")
CLAIM = Claim(DELIVERY, "spring", 1, "A", "lead-1", int(AT.timestamp()))
TOKEN = KEYS.sign(Purpose.MESSAGE, CLAIM)
MESSAGE_ID = f"<{TOKEN}@bounces.example.com>"
OWN = "news+spring@example.net"


def of_ses(word: str, **fields: Any) -> ProviderReport:
    record = msgspec.json.decode(payloads.ses(word, AT, **fields), type=ses.SesRecord)
    (report,) = ses.reports(record)
    return report


def of_sendgrid(word: str, **fields: Any) -> ProviderReport:
    return sendgrid.report(msgspec.convert(payloads.sendgrid(word, AT, **fields), sendgrid.SendGridEvent))


def of_postmark(word: str, **fields: Any) -> ProviderReport:
    return postmark.report(msgspec.convert(payloads.postmark(word, AT, **fields), postmark.PostmarkRecord))


def of_mailgun(word: str, **fields: Any) -> ProviderReport:
    return mailgun.report(msgspec.convert(payloads.mailgun(word, AT, **fields), mailgun.MailgunEvent))


def of_brevo(word: str, **fields: Any) -> ProviderReport:
    return brevo.report(msgspec.convert(payloads.brevo(word, AT, **fields), brevo.BrevoEvent))


READ: dict[Provider, Callable[..., ProviderReport]] = {
    "ses": of_ses, "sendgrid": of_sendgrid, "postmark": of_postmark, "mailgun": of_mailgun, "brevo": of_brevo,
}  # fmt: skip
BOUNCES = {"ses": "Bounce", "sendgrid": "bounce", "postmark": "Bounce", "mailgun": "failed", "brevo": "hard_bounce"}
DELIVERED = {
    "ses": "Delivery", "sendgrid": "delivered", "postmark": "Delivery", "mailgun": "delivered", "brevo": "delivered",
}  # fmt: skip
COMPLAINTS = {
    "ses": "Complaint", "sendgrid": "spamreport", "postmark": "SpamComplaint", "mailgun": "complained", "brevo": "spam",
}  # fmt: skip
UNSUBSCRIBES = {
    "ses": "Subscription", "sendgrid": "unsubscribe", "postmark": "SubscriptionChange", "mailgun": "unsubscribed",
    "brevo": "unsubscribed",
}  # fmt: skip
OPENS = {"ses": "Open", "sendgrid": "open", "postmark": "Open", "mailgun": "opened", "brevo": "unique_opened"}
DEFERRALS: dict[Provider, tuple[str, dict[str, Any]]] = {
    "ses": ("DeliveryDelay", {}),
    "sendgrid": ("deferred", {}),
    "postmark": ("Bounce", {"Type": "Transient", "Details": "451 4.3.0 later please"}),
    "mailgun": ("failed", {"severity": "temporary", "reason": "generic"}),
    "brevo": ("deferred", {}),
}


def report_of_api(provider: Provider, word: str, fields: ApiFields) -> ProviderReport:
    """The report of an email whose request to the provider's API had these fields."""
    given = json.loads(msgspec.json.encode(fields))
    ((name, value),) = given.items()
    match provider, name:
        case "ses", "EmailTags":
            return of_ses(word, tags={tag["Name"]: tag["Value"] for tag in value})
        case "sendgrid", "custom_args":
            return of_sendgrid(word, **value)
        case "postmark", "Metadata":
            return of_postmark(word, metadata=value)
        case "mailgun", "v:sendlens":
            return of_mailgun(word, **{"user-variables": {"sendlens": value}})
        case "brevo", "headers":
            return of_brevo(word, **value)
    raise AssertionError(f"{provider} has no {name}")


def happened(
    provider: Provider, word: str, passed: str = TOKEN, *, after: timedelta = timedelta(), **fields: Any
) -> list[Any]:
    """The events of a report of an email by which this was passed along."""
    report = with_passed(READ[provider](word, **fields), passed)
    report = dataclasses.replace(report, at=report.at + after)
    meaning = meaning_of(provider, report.word)
    assert meaning is not None, report.word
    if meaning.kind == "ignored":
        return []
    found = proved(report, KEYS)
    assert found is not None
    email = email_of(found, report)
    assert email is not None
    events, delivery = events_of_report(report, meaning, email, found, provider=provider, keyring=KEYS, now=NOW)
    assert (delivery is None) == (not (meaning.kind == "delivered" and "." in passed))
    return list(events)


def with_passed(report: ProviderReport, passed: str) -> ProviderReport:
    return dataclasses.replace(report, passed=passed)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_dead_address_is_a_hard_bounce_by_the_one_categoriser(provider: Provider) -> None:
    (bounce,) = happened(provider, BOUNCES[provider])
    assert isinstance(bounce, Bounced)
    assert (bounce.bounce_class, bounce.category, bounce.status) == ("hard", "user-unknown", "5.1.1")
    assert (bounce.campaign, bounce.step, bounce.variant, bounce.lead) == ("spring", 1, "A", "lead-1")
    assert (bounce.at, bounce.via, bounce.matched_by) == (
        AT.replace(microsecond=bounce.at.microsecond),
        "report",
        "passed",
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_complaint_and_an_unsubscribe_are_events_of_the_email(provider: Provider) -> None:
    (complaint,) = happened(provider, COMPLAINTS[provider])
    (unsubscribe,) = happened(provider, UNSUBSCRIBES[provider])
    assert isinstance(complaint, Complained)
    assert isinstance(unsubscribe, Unsubscribed)
    assert (complaint.category, unsubscribe.via) == ("abuse", "provider")
    assert {complaint.delivery_id, unsubscribe.delivery_id} == {str(DELIVERY)}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_tried_again_is_deferred_and_no_bounce(provider: Provider) -> None:
    word, fields = DEFERRALS[provider]
    (deferred,) = happened(provider, word, **fields)
    assert isinstance(deferred, Deferred)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_opens_are_ours_to_count(provider: Provider) -> None:
    assert happened(provider, OPENS[provider]) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_report_that_comes_again_is_the_same_event(provider: Provider) -> None:
    word, fields = DEFERRALS[provider]
    for known, more in ((BOUNCES[provider], {}), (COMPLAINTS[provider], {}), (word, fields)):
        assert happened(provider, known, **more) == happened(provider, known, **more)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_delivery_of_the_senders_own_is_told_already_and_one_of_the_platforms_is_sent(provider: Provider) -> None:
    assert happened(provider, DELIVERED[provider]) == []
    sent, delivered = happened(provider, DELIVERED[provider], passed_text(TOKEN, OWN))
    assert isinstance(sent, Sent)
    assert isinstance(delivered, Delivered)
    assert (sent.sender, sent.recipient_domain) == (OWN, "example.com")
    assert sent.address == KEYS.address_ids(payloads.TO)[0]
    sent_too, bounce = happened(provider, BOUNCES[provider], passed_text(TOKEN, OWN))
    assert sent_too.id == sent.id
    assert bounce.bounce_class == "hard"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_whichever_report_comes_last_the_email_was_sent_when_it_was_instrumented(provider: Provider) -> None:
    """Of two rows with one id the newer wins, and in two months both would stand."""
    text = passed_text(TOKEN, OWN)
    sent, delivered = happened(provider, DELIVERED[provider], text)
    sent_too, bounce = happened(provider, BOUNCES[provider], text, after=timedelta(seconds=40))
    assert sent == sent_too
    assert sent.at == AT + timedelta(minutes=10)  # the tokens of such an email are that much older than it is
    assert abs(bounce.at - delivered.at - timedelta(seconds=40)) < timedelta(seconds=1)
    assert bounce.via == "report"


@pytest.mark.parametrize(
    ("provider", "word", "fields", "bounce_class", "category"),
    [
        ("ses", "Bounce", {"bounceType": "Transient", "bounceSubType": "MailboxFull", "bouncedRecipients": [{"emailAddress": "a@b.example"}]}, "soft", "mailbox-full"),
        ("ses", "Bounce", {"bounceSubType": "OnAccountSuppressionList", "bouncedRecipients": [{"emailAddress": "a@b.example"}]}, "block", "provider-list"),
        ("ses", "Bounce", {"bounceSubType": "SomethingNew", "bouncedRecipients": [{"emailAddress": "a@b.example"}]}, "hard", "user-unknown"),
        ("sendgrid", "bounce", {"type": "blocked", "reason": "", "status": ""}, "block", "policy"),
        ("sendgrid", "dropped", {}, "hard", "user-unknown"),
        ("sendgrid", "dropped", {"reason": "Unsubscribed Address"}, "block", "provider-list"),
        ("postmark", "Bounce", {"Type": "SpamNotification", "Details": ""}, "block", "spam"),
        ("mailgun", "failed", {"reason": "suppress-bounce", "delivery-status": {"code": 605, "message": ""}}, "hard", "user-unknown"),
        ("mailgun", "failed", {"reason": "old", "delivery-status": {"code": 602, "message": ""}}, "soft", "deferred"),
        ("brevo", "soft_bounce", {}, "soft", "mailbox-full"),
        ("brevo", "blocked", {}, "block", "provider-list"),
    ],
)  # fmt: skip
def test_the_servers_words_decide_and_else_the_providers(
    provider: Provider, word: str, fields: dict[str, Any], bounce_class: str, category: str
) -> None:
    (bounce,) = happened(provider, word, **fields)
    assert (bounce.bounce_class, bounce.category) == (bounce_class, category)


@pytest.mark.parametrize(
    ("new", "old", "leaves"),
    [
        (payloads.preferences(unsubscribed=True), payloads.preferences(), True),
        (payloads.preferences(news="OptOut"), payloads.preferences(news="OptIn"), True),
        (payloads.preferences(news="OptOut"), payloads.preferences(), True),
        (payloads.preferences(news="OptIn"), payloads.preferences(unsubscribed=True, news="OptOut"), False),
        (payloads.preferences(news="OptIn"), payloads.preferences(news="OptOut"), False),
        # Back in one topic, and still out of another.
        (payloads.preferences(news="OptOut", tips="OptIn"), payloads.preferences(news="OptOut", tips="OptOut"), False),
        (payloads.preferences(news="OptOut", tips="OptIn"), payloads.preferences(unsubscribed=True), False),
        (payloads.preferences(), payloads.preferences(), False),
    ],
)
def test_who_opts_out_at_ses_leaves_and_who_opts_in_does_not(
    new: dict[str, Any], old: dict[str, Any], leaves: bool
) -> None:
    later = (AT + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    part = {"newTopicPreferences": new, "timestamp": later, "oldTopicPreferences": old}
    report = of_ses("Subscription", **part)
    assert report.at == AT + timedelta(hours=1), "not when the email was sent"
    assert [type(event) for event in happened("ses", "Subscription", **part)] == [Unsubscribed] * leaves


def test_a_change_at_ses_that_does_not_say_to_what_is_malformed() -> None:
    without = msgspec.json.decode(payloads.ses("Subscription", AT))
    del without["subscription"]
    with pytest.raises(Reject, match="malformed"):
        list(ses.reports(msgspec.convert(without, ses.SesRecord)))
    empty = without | {"subscription": {"timestamp": "2026-11-23T12:00:00Z"}}
    with pytest.raises(msgspec.ValidationError, match="newTopicPreferences"):
        msgspec.convert(empty, ses.SesRecord)


@pytest.mark.parametrize(
    ("fields", "leaves"),
    [
        ({"Origin": "Recipient"}, True),
        ({"Origin": "Customer", "MessageID": None}, False),
        ({"Origin": "Admin", "MessageID": None}, False),
        ({"Origin": None}, False),
        ({"Origin": "Recipient", "SuppressionReason": "HardBounce"}, False),
        ({"Origin": "Recipient", "SuppressionReason": "SpamComplaint"}, False),
        # Back on the list: as Postmark posts it.
        ({"SuppressSending": False, "SuppressionReason": None, "MessageID": None, "Tag": None}, False),
    ],
)
def test_who_unsubscribes_at_postmark_leaves_and_whom_others_take_off_does_not(
    fields: dict[str, Any], leaves: bool
) -> None:
    assert [type(event) for event in happened("postmark", "SubscriptionChange", **fields)] == [Unsubscribed] * leaves


def test_a_machines_complaint_is_none() -> None:
    assert happened("ses", "Complaint", complaintFeedbackType="not-spam") == []
    assert happened("ses", "Complaint", complaintFeedbackType="auth-failure") == []


def test_an_email_is_known_by_its_message_id_or_its_return_path() -> None:
    by_id = [
        of_ses("Bounce", message_id=MESSAGE_ID),
        of_sendgrid("bounce", **{"smtp-id": MESSAGE_ID}),
        of_mailgun("failed", message={"headers": {"message-id": MESSAGE_ID[1:-1]}}),
        of_brevo("hard_bounce", **{"message-id": MESSAGE_ID}),
    ]
    for report in by_id:
        found = proved(report, KEYS)
        assert found is not None
        assert (found.matched_by, found.claim) == ("message-id", CLAIM)
    verp = f"bounce+{KEYS.sign_bounce(CLAIM)}@bounces.example.com"
    for report in (of_ses("Bounce", source=verp), of_mailgun("failed", envelope={"sender": verp})):
        found = proved(report, KEYS)
        assert found is not None
        assert (found.matched_by, found.claim.delivery_id) == ("verp", DELIVERY)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_report_of_another_senders_email_is_of_none_of_ours(provider: Provider) -> None:
    assert proved(READ[provider](BOUNCES[provider]), KEYS) is None
    other = Keyring.parse("1:another-installations-key").sign(Purpose.MESSAGE, CLAIM)
    assert proved(with_passed(READ[provider](BOUNCES[provider]), other), KEYS) is None
    open_token = KEYS.sign(Purpose.OPEN, CLAIM)
    assert proved(with_passed(READ[provider](BOUNCES[provider]), open_token), KEYS) is None


@given(
    lead=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=16), sender=st.sampled_from(["", OWN])
)
def test_what_is_passed_along_comes_back_whole_within_each_providers_limits(lead: str, sender: str) -> None:
    text = passed_text(
        KEYS.sign(Purpose.MESSAGE, replace(CLAIM, lead=lead, campaign="c" * 64, variant="v" * 64)), sender
    )
    assert read_passed(text)[1] == sender
    tags = headers_for("ses", text)["X-SES-MESSAGE-TAGS"]
    found = dict(one.split("=", 1) for one in tags.split(", "))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,256}", word) for tag in found.items() for word in tag)
    assert of_ses("Bounce", tags=found).passed == text
    metadata = {name.removeprefix("X-PM-Metadata-"): value for name, value in headers_for("postmark", text).items()}
    assert len(metadata) <= 10
    assert all(len(name) <= 20 and len(value) <= 80 for name, value in metadata.items())
    assert of_postmark("Bounce", metadata=metadata).passed == text
    assert (
        of_sendgrid("bounce", **msgspec.json.decode(headers_for("sendgrid", text)["X-SMTPAPI"])["unique_args"]).passed
        == text
    )
    variables = msgspec.json.decode(headers_for("mailgun", text)["X-Mailgun-Variables"])
    assert of_mailgun("failed", **{"user-variables": variables}).passed == text
    assert of_brevo("spam", **{"X-Mailin-custom": headers_for("brevo", text)["X-Mailin-custom"]}).passed == text
    assert joined({}) == ""


@given(
    lead=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=16),
    sender=st.sampled_from(["", OWN, f"{'n' * 64}@{'example.' * 20}com"]),
)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_an_api_is_given_comes_back_whole_within_its_limits(provider: Provider, lead: str, sender: str) -> None:
    token = KEYS.sign(Purpose.MESSAGE, replace(CLAIM, lead=lead, campaign="c" * 64, variant="v" * 64))
    fields = api_fields_for(provider, passed_text(token, sender))
    found = proved(report_of_api(provider, BOUNCES[provider], fields), KEYS)
    assert found is not None
    assert (found.matched_by, found.own_sender) == ("passed", sender)
    assert isinstance(found.claim, Claim)
    assert found.claim.lead == lead
    for tag in fields.email_tags:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag.name)
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag.value)
    assert len(fields.metadata) <= 9
    assert all(len(name) <= 20 and len(value) <= 80 for name, value in fields.metadata.items())
    assert len(json.dumps(fields.custom_args)) <= 10_000


def test_tags_of_ses_that_were_given_with_a_point_in_them_are_still_read() -> None:
    text = passed_text(TOKEN, OWN)
    assert of_ses("Bounce", tags={"sendlens-1": text}).passed == text


def test_a_time_ahead_of_ours_is_now() -> None:
    report = of_brevo("spam", ts_event=int((NOW + timedelta(hours=3)).timestamp()), **{"message-id": MESSAGE_ID})
    found, meaning = proved(report, KEYS), meaning_of("brevo", "spam")
    assert found is not None
    assert meaning is not None
    email = email_of(found, report)
    assert email is not None
    (event,), _ = events_of_report(report, meaning, email, found, provider="brevo", keyring=KEYS, now=NOW)
    assert event.at == NOW


def test_a_word_that_nobody_knows_is_said_to_be_one() -> None:
    assert meaning_of("brevo", "teleported") is None
