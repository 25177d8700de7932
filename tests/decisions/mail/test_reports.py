"""Reports of machines that are hard to tell from people's mail: they name nobody, are wrapped, or bear a reply's prefix."""

from __future__ import annotations

import pytest

from decisions.mail.read import read_mail
from decisions.mail.verdict import MailVerdict
from tests.agents.mails import KEYRING, a_send, instrumented

OURS = "carla@farm.example"
RETURN_PATH = instrumented(a_send()).envelope_from


def read(
    body: str, subject: str, sender: str = "MAILER-DAEMON@mx.example", headers: str = "", to: str = OURS
) -> MailVerdict:
    raw = (
        f"{headers}From: {sender}\nTo: {to}\nSubject: {subject}\nContent-Type: text/plain; charset=utf-8\n"
        f"Content-Transfer-Encoding: 8bit\n\n{body}\n"
    )
    return read_mail(raw.encode(), KEYRING)


def told(verdict: MailVerdict) -> tuple[str, list[tuple[str, str]]]:
    return verdict.kind, [(each.address, each.bounce_class) for each in verdict.recipients]


@pytest.mark.parametrize(
    ("subject", "body", "sender"),
    [
        ("Failure notice", "Sorry, the member benhill has blocked your mail.", "Mail System <MAILER-DAEMON@isp.example>"),
        ("Undelivered Mail Returned to Sender", "The mailbox is unavailable.", "postmaster@shop.example"),
        ("Undeliverable: Our seeds", "Your message did not reach some or all of the intended recipients.\n\n"
         "      /o=Shop/ou=HQ/cn=Recipients/cn=bhill on 02/11/2026\n            The recipient could not be found.",
         "System Administrator <mailsystem@shop.example>"),
        ("Unzustellbar: Unsere Saat", "Ihre Nachricht konnte nicht zugestellt werden: Hill, Ben", "Postmaster <postmaster@shop.example>"),
        ("Mail could not be delivered", "Your message to Ben Hill could not be delivered: the mailbox is full.", "gateway@shop.example"),
        ("Delivery Status Notification (Failure)", f"{OURS} wrote to bhill, who is unknown here.", "Mail Delivery Subsystem <md@isp.example>"),
    ],
)  # fmt: skip
def test_a_bounce_that_names_no_address_is_a_bounce_with_nobody_named(subject: str, body: str, sender: str) -> None:
    assert told(read(body, subject, sender)) == ("bounce", [])


@pytest.mark.parametrize(
    ("subject", "body", "sender"),
    [
        ("Delivery problem", "The parcel for the farm could not be delivered. I was at home all day.", "Ben Hill <ben@shop.example>"),
        ("Undelivered parcel", "The user manual was missing, and the mailbox is full of leaflets.", "Ben Hill <ben@shop.example>"),
        ("Re: Our seeds", "Your message did not reach me before the fair, sorry. We take ten sacks.", "Ben Hill <ben@shop.example>"),
        ("Re: Our offer was rejected", "The board has rejected it, but Dan wants to try again.", "Ben Hill <ben@shop.example>"),
        ("Re: Your message - delivery failed", "Yes, I saw that too. What did you want to ask?", "Ben Hill <ben@shop.example>"),
    ],
)  # fmt: skip
def test_a_person_who_writes_about_failures_has_replied(subject: str, body: str, sender: str) -> None:
    assert read(body, subject, sender).kind == "reply"


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("RE: Our seeds - undeliverable", "Your e-mail could not be delivered to:\n\nben@shop.example\n\nUnknown user"),
        (
            "AW: Unsere Saat (Zustellung fehlgeschlagen)",
            "Ihre Nachricht konnte nicht zugestellt werden an\nben@shop.example",
        ),
        ("Re: Nos graines : non distribué", "Votre message n'a pas pu être remis à :\nben@shop.example"),
        ("Re: Our seeds [rejected]", "Your message to <ben@shop.example> was rejected by the gateway."),
    ],
)
def test_our_subject_with_the_failure_behind_it_is_a_machines(subject: str, body: str) -> None:
    verdict = read(body, subject, "gateway@shop.example")
    assert (verdict.kind, [each.address for each in verdict.recipients]) == ("bounce", ["ben@shop.example"])


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("Your message is still in the queue", "Your message to\n\n    ben@shop.example\n\nhas not been delivered yet. The server will try again for 3 more days."),
        ("Mail delivery problem", "Delivery to the following recipient failed so far:\n\nben@shop.example\n\nDelivery attempts will continue for 48 hours."),
        ("Delivery failure: Our seeds", "Temporary failure for\nben@shop.example\nThis is only a warning, your message is still being retried."),
        (
            "Delivery problem",
            "Your message could not be delivered to\n\nben@shop.example\n\nfor 4 hours. The mail server will\n"
            "continue its attempts. If delivery fails permanently, you are told so.",
        ),
        ("Delivery notification", "Ihre Nachricht an\n\nben@shop.example\n\nkonnte noch nicht zugestellt werden. Weitere Zustellversuche folgen."),
        ("Undelivered mail", "Votre message à\n\nben@shop.example\n\nn'a pas encore été remis. Les tentatives continuent pendant 3 jours."),
    ],
)  # fmt: skip
def test_a_mail_that_still_waits_has_not_bounced(subject: str, body: str) -> None:
    assert told(read(body, subject)) == ("delivery_report", [("ben@shop.example", "soft")])


@pytest.mark.parametrize(
    "body",
    [
        "Your message to\n\nben@shop.example\n\nwas delayed, has not been delivered yet and will not be retried: giving up.",
        "Delivery to\n\nben@shop.example\n\nfailed permanently. Earlier we had said: will try again.",
    ],
)
def test_what_was_given_up_has_bounced(body: str) -> None:
    assert read(body, "Undelivered mail").kind == "bounce"


@pytest.mark.parametrize(
    ("headers", "sender", "subject", "body", "want"),
    [
        ("Return-Path: <>\n", "<>", "Your mail", "Sorry, there is no such user: ben@shop.example", [("ben@shop.example", "hard")]),
        ("Return-Path: <>\nAuto-Submitted: auto-replied\n", "", "", "Your mail to ben@shop.example was rejected: unknown user.", [("ben@shop.example", "hard")]),
        ("Return-Path: <>\n", "<>", "Mail", "You wrote to ben@shop.example. This is not a valid mailbox.", [("ben@shop.example", "hard")]),
    ],
)  # fmt: skip
def test_who_has_no_address_and_says_that_the_recipient_has_none_is_a_mail_server(
    headers: str, sender: str, subject: str, body: str, want: list[tuple[str, str]]
) -> None:
    assert told(read(body, subject, sender, headers)) == ("bounce", want)


@pytest.mark.parametrize(
    ("subject", "body", "sender", "kind"),
    [
        ("Re: Our seeds", "Yes, two sacks please.", "Ben Hill <ben@shop.example>", "auto_reply"),
        ("Odp: Nasiona", "Wracam w poniedziałek.", "Ben Hill <ben@shop.example>", "auto_reply"),
        ("Our seeds", "Is anybody there?", "Ben Hill <ben@shop.example>", "auto_reply"),
        ("Re: Our seeds", "I am away until May, and my mailbox is full.", "Ben Hill <ben@shop.example>", "auto_reply"),
        ("Undelivered", "Your mail could not be delivered, the mailbox is full.", "gateway@shop.example", "bounce"),
        ("Re: Our seeds", "There is no such user here.", "gateway@shop.example", "bounce"),
    ],
)
def test_what_comes_to_our_return_path_is_never_a_persons(subject: str, body: str, sender: str, kind: str) -> None:
    headers = "In-Reply-To: <m@farm.example>\n"
    verdict = read(body, subject, sender, headers, to=f"<{RETURN_PATH}>")
    assert (verdict.kind, verdict.match and verdict.match.by) == (kind, "verp")


def mdn(disposition: str, words: str, subject: str, submitted: str = "auto-replied") -> bytes:
    return (
        f"Return-Path: <>\nFrom: postmaster@shop.example\nTo: {OURS}\nSubject: {subject}\nAuto-Submitted: {submitted}\n"
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\n"
        f"Content-Type: text/plain; charset=utf-8\n\n{words}\n--b\nContent-Type: message/disposition-notification\n\n"
        "Reporting-UA: shop.example; MDA\nOriginal-Recipient: rfc822; ben@shop.example\n"
        f"Final-Recipient: rfc822; b.hill@store.shop.example\nDisposition: {disposition}\n\n--b--\n"
    ).encode()


DELETED = "automatic-action/MDN-sent-automatically; deleted"


@pytest.mark.parametrize(
    ("raw", "bounce_class"),
    [
        (mdn(DELETED, "Your message was automatically rejected by Sieve. Reason: I take no mail from shops.", "Automatically rejected mail"), "block"),
        (mdn(DELETED, "Die Nachricht an ben wurde abgelehnt.", "Rejected: Our seeds", "auto-replied (rejected)"), "block"),
        (mdn(DELETED, "Your message was rejected:\nQuota exceeded (mailbox for user is full)", "Rejected: Our seeds"), "soft"),
        (mdn("automatic-action/MDN-sent-automatically; denied", "The mail was refused because the mailbox is over its quota.", "Delivery failed"), "soft"),
    ],
)  # fmt: skip
def test_a_notification_that_a_mailbox_refuses_our_mail_is_a_bounce(raw: bytes, bounce_class: str) -> None:
    assert told(read_mail(raw)) == ("bounce", [("ben@shop.example", bounce_class)])


@pytest.mark.parametrize(
    "raw",
    [
        mdn(DELETED, "Your message was deleted without being read.", "Not read: Our seeds"),
        mdn("manual-action/MDN-sent-manually; displayed", "The message was displayed. It was not rejected by anybody.", "Read: Our seeds"),
        mdn(DELETED, "Ihre Nachricht wurde ungelesen gelöscht.", "Ungelesen: Unsere Saat"),
        mdn(DELETED, "El mensaje se eliminó sin haber sido leído.", "No leído: Semillas"),
    ],
)  # fmt: skip
def test_a_receipt_is_none(raw: bytes) -> None:
    assert told(read_mail(raw)) == ("other", [])


STATUS = (
    "Content-Type: multipart/report; report-type=delivery-status; boundary=i\n\n--i\n\nYour mail could not be delivered.\n"
    "--i\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; ben@shop.example\n"
    "Action: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n\n--i--\n"
)
IN_WORDS = "\n<ben@shop.example>: host mx.shop.example said: 550 5.1.1 no such user\n"


def wrapped(inner: str, sender: str, subject: str, words: str = "", *, to: str = OURS, headers: str = "") -> bytes:
    said = f"--o\nContent-Type: text/plain\n\n{words}\n" if words else ""
    return (
        f"From: {sender}\nTo: {OURS}\nSubject: {subject}\n{headers}Content-Type: multipart/mixed; boundary=o\n\n{said}"
        f"--o\nContent-Type: message/rfc822\n\nReturn-Path: <>\nFrom: MAILER-DAEMON@mx.example\nTo: {to}\n"
        f"Subject: Undelivered Mail Returned to Sender\n{inner}\n--o--\n"
    ).encode()


@pytest.mark.parametrize(
    "raw",
    [
        wrapped(STATUS, "postmaster@farm.example", "Delivery Status Notification"),
        wrapped(
            STATUS, "Mail Gateway <scan@farm.example>", "Virus scan", f"This mail to {OURS} was scanned and is clean."
        ),
        wrapped(STATUS, "scan@farm.example", "[scanned] a mail for you", f"The mail for {OURS} is attached."),
        wrapped(IN_WORDS, "scan@farm.example", "Undelivered Mail Returned to Sender"),
        wrapped(IN_WORDS, "postmaster@farm.example", "Quarantine", f"{OURS}: one mail was released."),
    ],
)
def test_a_report_that_a_gateway_wraps_names_who_failed_and_never_us(raw: bytes) -> None:
    assert told(read_mail(raw)) == ("bounce", [("ben@shop.example", "hard")])


@pytest.mark.parametrize(
    "raw",
    [
        wrapped(STATUS, "Ben Hill <ben@shop.example>", "What is this", "I got the attached. Do you know why?", to="ben@shop.example"),
        wrapped(STATUS, "Ben Hill <ben@shop.example>", "Re: Our seeds", "See what came back.", headers="In-Reply-To: <m@farm.example>\n"),
    ],
)  # fmt: skip
def test_a_person_who_passes_on_a_report_has_not_bounced(raw: bytes) -> None:
    assert read_mail(raw).kind in ("reply", "other")
    assert read_mail(raw).recipients == ()
