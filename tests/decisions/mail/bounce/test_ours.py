"""What we wrote ourselves stands in bounces too, and says nothing of the address that it was for."""

from __future__ import annotations

import pytest

from tests.decisions.mail.bounce.reports import OURS, in_words, read, with_status

LEE = "lee@target.example"
# A campaign about bounces: every word of it would be a verdict in a server's mouth.
SUBJECTS = [
    "Unknown users in your list? Your mailbox is full of bounces",
    "Has your mailbox been suspended? No such user, no such sale",
    "Blocked as spam: blacklists explained",
    "Address not found - how five companies keep their lists clean and their bounces rare all year",
]


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(
    "words",
    [
        "Your message\n\n  Subject: {0}\n\nwas not delivered to:\n\n  {1}\n\nbecause:\n\n  {2}",
        "Your message\n\n  To:      {1}\n  Subject: {0}\n  Sent:    Mon, 2 Nov 2026\n\n"
        "did not reach the following recipient(s):\n\n{1} on Mon, 2 Nov 2026\n    {2}",
        "Ihre Nachricht\n\n  An: {1}\n  Betreff: {0}\n\nkonnte nicht zugestellt werden:\n\n  {1}\n  {2}",
        "Votre message\n\n  Objet : {0}\n\nn'a pas pu être remis à :\n\n  {1}\n  {2}",
        'Your message "{0}" to {1} could not be delivered.\n\n{2}',
        "Your message '{0}' to {1} could not be delivered.\n\n{2}",
        "Your mail to {1} (subject: {0}) could not be delivered.\n\n{2}",
        "Your mail with the subject\n\n    {0}\n\ncould not be delivered to\n\n{1}\n{2}",
        "Delivery to the following recipient failed:\n\n     {1}\n     {2}\n\nMessage subject: {0}\nMessage size: 3 KB",
    ],
)
@pytest.mark.parametrize(
    ("reason", "bounce_class"),
    [
        ("550 5.1.1 User unknown", "hard"),
        ("The message was rejected by the spam filter.", "block"),
        ("452 The mailbox is full", "soft"),
        ("", "unknown"),
    ],
)
def test_our_subject_does_not_sway_the_class(words: str, subject: str, reason: str, bounce_class: str) -> None:
    text = words.format(subject, LEE, reason)
    assert read(in_words(text, "Delivery failure")) == [(LEE, bounce_class)]


@pytest.mark.parametrize(
    "before", ["Undeliverable: ", "Unzustellbar: ", "Undelivered: ", "Non remis : ", "Delivery failed: "]
)
@pytest.mark.parametrize("subject", SUBJECTS)
def test_nor_does_it_behind_what_the_report_calls_itself(before: str, subject: str) -> None:
    text = f"Delivery to the following recipients failed.\n\n     {LEE}"
    assert read(in_words(text, before + subject)) == [(LEE, "unknown")]


def test_a_reason_that_a_server_writes_into_its_subject_counts() -> None:
    text = f"Your message was not delivered to:\n\n  {LEE}"
    assert read(in_words(text, "Returned mail: User unknown")) == [(LEE, "hard")]
    assert read(in_words(text, "DELIVERY FAILURE: User lee (lee@target.example) not listed in Domino Directory")) == [
        (LEE, "hard")
    ]


BODY = "Hello,\n\nevery user unknown to your server costs you.\nIs your mailbox full? No such user will hurt you again."


@pytest.mark.parametrize("prefix", ["", "> ", "| ", "    "])
def test_our_text_that_is_quoted_without_a_mark_does_not_sway_it(prefix: str) -> None:
    quoted = "\n".join(prefix + line for line in BODY.split("\n"))
    returned = f"From: {OURS}\nTo: {LEE}\nSubject: A word on bounces\n\n{BODY}"
    fields = f"Final-Recipient: rfc822; {LEE}\nAction: failed\nStatus: 5.0.0"
    words = f"Your message to <{LEE}> could not be delivered.\n\n{quoted}"
    assert read(with_status(words, fields, returned)) == [(LEE, "unknown")]


@pytest.mark.parametrize(
    "mark",
    [
        "--- Below this line is a copy of the message.",
        "----- Original message -----",
        "Your message reads (in part):",
        "The text of your message was:",
        "------ Message text follows ------",
    ],
)
def test_our_text_behind_a_mark_does_not_sway_it(mark: str) -> None:
    words = f"I was not able to deliver your message to {LEE}.\n\n{mark}\n\nFrom: {OURS}\nSubject: Hello\n\n{BODY}"
    assert read(in_words(words, "failure notice")) == [(LEE, "unknown")]


@pytest.mark.parametrize("above", ["", "On Monday Sales wrote:"])
def test_what_is_quoted_is_ours_even_if_nothing_comes_back(above: str) -> None:
    quoted = "\n".join("> " + line for line in BODY.split("\n"))
    assert read(in_words(f"Your message to {LEE} could not be delivered.\n\n{above}\n{quoted}")) == [(LEE, "unknown")]


@pytest.mark.parametrize("line", ["> No such user", "> 550 no such user"])
def test_but_for_what_a_server_said(line: str) -> None:
    words = f"Your message to {LEE} could not be delivered.\nThe remote server said:\n{line}\n"
    assert read(in_words(words)) == [(LEE, "hard")]
