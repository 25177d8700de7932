"""Which delivery a mail belongs to: proven by a token, in the order that says most, and never by a forged one."""

from __future__ import annotations

from decisions.mail.read import read_mail
from decisions.mail.verdict import Match
from schemas.tokens import Keyring
from tests.agents.mails import KEYRING, a_send, instrumented, parsed

SENT = instrumented(a_send(html="<p>Hello</p>"))
DELIVERY = a_send().delivery_id
OTHER_KEYS = Keyring({1: b"another secret of somebody else"})


def bounce(*, to: str = "sender@example.org", returned: str = "") -> bytes:
    return (
        f"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.com\r\nTo: {to}\r\nSubject: failure notice\r\n\r\n"
        "I'm afraid I wasn't able to deliver your message.\r\n\r\n<ada@example.com>:\r\n550 5.1.1 no such user\r\n\r\n"
        f"--- Below this line is a copy of the message.\r\n\r\n{returned}To: ada@example.com\r\nSubject: x\r\n\r\nHello\r\n"
    ).encode()


def reply(headers: str) -> bytes:
    return f"From: ada@example.com\r\nTo: s@example.org\r\nSubject: Re: x\r\n{headers}\r\nYes\r\n".encode()


def matched(raw: bytes, keyring: Keyring | None = KEYRING) -> Match | None:
    return read_mail(raw, keyring).match


def by(raw: bytes, keyring: Keyring | None = KEYRING) -> str | None:
    match = matched(raw, keyring)
    assert match is None or match.delivery_id == DELIVERY
    return match.by if match else None


def test_the_return_path_it_came_to_proves_the_delivery() -> None:
    assert by(bounce(to=SENT.envelope_from)) == "verp"


def test_a_return_path_may_lose_its_case() -> None:
    assert by(bounce(to=SENT.envelope_from.upper())) == "verp"


def test_a_return_path_that_a_forwarder_wrapped_is_found() -> None:
    local, _, domain = SENT.envelope_from.partition("@")
    assert by(bounce(to=f"SRS0=abcd=XY={domain}={local}@forwarder.example.net")) == "verp"


def test_delivered_to_counts_where_the_address_in_to_was_replaced() -> None:
    raw = f"Delivered-To: {SENT.envelope_from}\r\n".encode() + bounce()
    assert by(raw) == "verp"


def test_a_reply_is_known_by_what_it_answers_and_says_campaign_and_lead() -> None:
    match = matched(reply(f"In-Reply-To: <{SENT.message_id}>\r\n"))
    assert match is not None
    assert (match.by, match.delivery_id) == ("in-reply-to", DELIVERY)
    assert match.claim.lead == a_send().lead  # type: ignore[union-attr]


def test_references_count_where_in_reply_to_is_of_somebody_elses_mail() -> None:
    headers = f"In-Reply-To: <a@b.example>\r\nReferences: <{SENT.message_id}>\r\n <a@b.example>\r\n"
    assert by(reply(headers)) == "references"


def test_what_a_bounce_returns_counts_last() -> None:
    assert by(bounce(returned=f"Return-Path: <{SENT.envelope_from}>\r\n")) == "returned-path"
    assert by(bounce(returned=f"Message-ID: <{SENT.message_id}>\r\n")) == "returned-message-id"
    unsubscribe = parsed(SENT.message)["List-Unsubscribe"]
    assert by(bounce(returned=f"List-Unsubscribe: {unsubscribe}\r\n")) == "returned-unsubscribe"


def test_the_return_path_goes_before_the_message_id() -> None:
    assert by(bounce(to=SENT.envelope_from, returned=f"Message-ID: <{SENT.message_id}>\r\n")) == "verp"


def test_a_forged_report_matches_nothing_and_is_read_all_the_same() -> None:
    forged = bounce(to=SENT.envelope_from, returned=f"Message-ID: <{SENT.message_id}>\r\n")
    verdict = read_mail(forged, OTHER_KEYS)
    assert verdict.match is None
    assert verdict.kind == "bounce"
    assert [one.bounce_class for one in verdict.recipients] == ["hard"]


def test_a_token_of_another_purpose_matches_nothing() -> None:
    token = SENT.message_id.partition("@")[0]
    assert by(bounce(to=f"bounce+{token[:55]}@bounces.example.com")) is None
    verp = SENT.envelope_from.partition("@")[0].removeprefix("bounce+")
    assert by(reply(f"In-Reply-To: <{verp}@bounces.example.com>\r\n")) is None


def test_a_bad_token_does_not_hide_a_good_one() -> None:
    to = f"bounce+{'a' * 55}@bounces.example.com, {SENT.envelope_from}"
    assert by(bounce(to=to)) == "verp"


def test_without_keys_nothing_is_matched() -> None:
    assert by(bounce(to=SENT.envelope_from), None) is None


def test_a_list_mail_that_answers_ours_is_a_reply() -> None:
    raw = reply(f"List-Id: <team.example.com>\r\nIn-Reply-To: <{SENT.message_id}>\r\n")
    assert read_mail(raw, KEYRING).kind == "reply"
    assert read_mail(raw).kind == "other"
