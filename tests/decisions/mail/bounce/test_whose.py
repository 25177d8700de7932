"""Whose address a bounce speaks of: the one that we wrote to and that failed, or nobody's."""

from __future__ import annotations

import pytest

from decisions.mail.bounce.words import read_words
from decisions.mail.parts import parse
from decisions.mail.returned import report
from tests.decisions.mail.bounce.reports import OURS, in_words, read, with_status

LEE = "lee@target.example"
INNER = "m.lee@store-3.inner.example"


def returned(to: str, more: str = "") -> str:
    """The header of the mail that comes back."""
    return f"From: Sales <{OURS}>\nTo: {to}\n{more}Subject: Offer\nMessage-ID: <17.ab@sender.example>\n\nHello"


def addresses(mail: str) -> list[str]:
    """Whom a bounce in words speaks of."""
    parsed = parse(mail.encode())
    return [found.recipient.address for found in read_words(report(parsed), parsed, parsed.get("subject"))]


# -- The address as we gave it, before the one that somebody forwards to (RFC 3464, 2.3.1).


@pytest.mark.parametrize("with_returned", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        f"Final-Recipient: rfc822; {INNER}\nOriginal-Recipient: rfc822;{LEE}",
        f"Original-Recipient: rfc822;{LEE}\nFinal-Recipient: rfc822;{INNER}",
        f"Final-Recipient: rfc822; {INNER}\nX-Original-Recipient: {LEE}",
    ],
)
def test_the_original_recipient_is_whom_we_wrote_to(fields: str, with_returned: bool) -> None:
    fields += "\nAction: failed\nStatus: 5.1.1"
    mail = with_status(f"<{INNER}>: unknown user", fields, returned(LEE) if with_returned else "")
    assert read(mail) == [(LEE, "hard")]


def test_an_original_recipient_of_an_earlier_way_is_not_if_the_mail_went_to_the_final_one() -> None:
    fields = (
        f"Final-Recipient: rfc822; {LEE}\nOriginal-Recipient: rfc822;list@other.example\nAction: failed\nStatus: 5.1.1"
    )
    assert read(with_status("It failed.", fields, returned(LEE))) == [(LEE, "hard")]


def test_an_original_recipient_that_is_no_address_leaves_the_final_one() -> None:
    fields = f"Final-Recipient: rfc822; {LEE}\nOriginal-Recipient: rfc822;lee\nAction: failed\nStatus: 5.1.1"
    assert read(with_status("It failed.", fields)) == [(LEE, "hard")]


def test_an_alias_is_dead_only_if_all_it_leads_to_is() -> None:
    one = f"Final-Recipient: rfc822; {INNER}\nOriginal-Recipient: rfc822;{LEE}\nAction: failed\nStatus: 5.1.1"
    full = one.replace(INNER, "lee@home.example").replace("5.1.1", "5.2.2")
    assert read(with_status("It failed.", f"{one}\n\n{full}")) == [(LEE, "soft")]
    assert read(with_status("It failed.", f"{full}\n\n{one}")) == [(LEE, "soft")]
    assert read(with_status("It failed.", f"{one}\n\n{one.replace(INNER, 'lee@home.example')}")) == [(LEE, "hard")]


@pytest.mark.parametrize(
    "words",
    [
        f"<{INNER}> (expanded from <{LEE}>): unknown user",
        f"<{INNER}> (expanded from\n    <{LEE}>): unknown user",
        f"<{INNER}>\n    (reason: 550 5.1.1 no such user)\n    (expanded from: <{LEE}>)",
        f"  {INNER}\n    (generated from {LEE})\n    550 5.1.1 no such user",
        f"  {INNER}\n    (ultimately generated from {LEE})\n    SMTP error: 550 5.1.1 unknown user",
        f"  Recipient address: {INNER}\n  Original address: {LEE}\n  Reason: unknown user",
        f"  Recipient address: {INNER}\n  Original recipient: {LEE}\n  Reason: no such user",
        f"  an undisclosed address\n    (generated from {LEE})\n    550 5.1.1 no such user",
        f"{INNER} (forwarded from {LEE}): no such user",
        f"<{INNER}>\n    (originally sent to {LEE})\n    550 5.1.1 no such user",
    ],
)
def test_in_words_too(words: str) -> None:
    mail = in_words(f"The following addresses had permanent fatal errors:\n\n{words}\n")
    assert read(mail) == [(LEE, "hard")]
    assert read(mail + f"\n----- Original message -----\n\n{returned(LEE)}") == [(LEE, "hard")]


# -- The one that failed, and not all that the mail was for.


@pytest.mark.parametrize(
    "words",
    [
        "Your message\n\n  To:      {all}\n  Subject: Offer\n\ndid not reach the following recipient(s):\n\n"
        "{lee} on Mon, 2 Nov 2026 08:54:59 -0700\n    The name of the recipient is unknown",
        "Your message\n\n  An: {all}\n  Betreff: Angebot\n\nkonnte folgende Empfänger nicht erreichen:\n\n"
        "'{lee}' am 02.11.2026\n    Unknown user",
        "The mail that you sent, addressed to '{lee}',\nfailed: no such user",
        "A message that you sent to {all}\ncould not be delivered to all of them. These failed:\n\n  {lee}\n    no such user",
        "To: {all}\nSubject: Offer\n\nDelivery to {lee} failed: unknown user.",
        "I could not deliver it to <{lee}>, which is an unknown user.\n\nTo: {all}\nSubject: Offer\n",
    ],
)
def test_the_to_line_of_our_mail_names_nobody_who_failed(words: str) -> None:
    text = words.format(lee=LEE, all="office@target.example")
    assert read(in_words(text)) == [(LEE, "hard")]
    # What comes back went to a list or an alias of theirs.
    assert read(in_words(f"{text}\n\n----- Original message -----\n\n{returned('office@target.example')}")) == [
        (LEE, "hard")
    ]


def test_where_only_the_to_line_names_somebody_it_is_whom_the_bounce_is_about() -> None:
    words = f"I was not able to deliver the following message. No such user.\n\nTo: {LEE}\nSubject: Offer"
    assert addresses(in_words(words)) == [LEE]


@pytest.mark.parametrize("final", ["rfc822; lee@#target.example", "local; lee", "X400; /S=lee/O=target/", "rfc822; <>"])
def test_whoever_is_named_in_no_address_is_nobody_and_not_another(final: str) -> None:
    fields = f"Final-Recipient: {final}\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 Host unknown"
    assert (
        read(with_status("<lee>: host unknown", fields, returned("office@target.example, info@target.example"))) == []
    )


def test_a_local_name_is_the_recipients_whose_address_begins_so() -> None:
    fields = "Final-Recipient: local; lee\nAction: failed\nStatus: 5.1.1"
    assert read(with_status("<lee>: no such user", fields, returned(f"office@target.example, {LEE}"))) == [
        (LEE, "hard")
    ]


# -- Never a Message-ID, never ours.


@pytest.mark.parametrize(
    "words",
    [
        "The message with\nMessage-ID: <17.ab@sender.example>\ncould not be delivered: no such user",
        "Your message <17.ab@sender.example> could not be delivered.",
        "Message id 17.ab@sender.example was rejected: user unknown",
        "In-Reply-To: <17.ab@sender.example>\nReferences: <18@sender.example> <19@sender.example>\n\nIt was rejected.",
        "References: <17.ab@sender.example>\n    <18@sender.example>\n\nIt was rejected.",
        "Message-ID:\n    <17.ab@sender.example>\nIt was rejected.",
        "Nachrichten-ID: 17.ab@sender.example\nNicht zugestellt.",
        "    msgid=<17.ab@sender.example>: no such user",
    ],
)
def test_a_message_id_is_no_address(words: str) -> None:
    assert addresses(in_words(words)) == []
    assert addresses(in_words(f"{words}\n\n  {LEE}\n    no such user")) == [LEE]


def test_an_id_that_the_returned_mail_has_is_none_wherever_it_stands() -> None:
    words = (
        f"Failed:\n\n<17.ab@sender.example>\n\n{LEE}: no such user\n\n----- Original message -----\n\n{returned(LEE)}"
    )
    assert addresses(in_words(words)) == [LEE]


@pytest.mark.parametrize(
    "words",
    [
        f"Delivery failed.\n\n  {OURS}\n\nwas told so.",
        f"Delivery of your message failed.\nFrom: {OURS}\n",
        f"The mail of <{OURS}> was not delivered: unknown user",
        "It was not delivered.",
    ],
)
def test_nobody_is_named_rather_than_ourselves(words: str) -> None:
    assert addresses(in_words(words)) == []
    assert addresses(in_words(f"{words}\n\n----- Original message -----\n\n{returned(OURS)}")) == []
