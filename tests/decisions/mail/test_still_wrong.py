"""What docs/accuracy.md names as still wrong. A rule that mends one makes its test fail: take it off that page too."""

from __future__ import annotations

import pytest

from decisions.mail.bounce.refusal import assess
from decisions.mail.read import read_mail
from tests.decisions.mail.test_responders import answer, read


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("I am on vacation until 9 November.", {}),
        ("I have left Seed Shop. Please write to Dan, dan@shop.example.\nBen", {}),
        ("My address has changed. Regards, Ben", {}),
        ("The two sacks have come.\n\nBen\n\nThis e-mail was sent automatically via our CRM.", {}),
        ("We would like a quote for out of office furniture.", {"subject": "Out of office furniture"}),
    ],
)
def test_a_person_who_counts_as_a_machine(body: str, fields: dict[str, str]) -> None:
    assert read(body, **fields).kind == "auto_reply"


@pytest.mark.parametrize(
    "body",
    [
        "Thank you, we have received your message and will get back to you.\n\nSeed Shop Support",
        "Ben Hill is currently on parental leave. For seeds, please contact Dan at dan@shop.example.",
    ],
)
def test_a_machine_that_counts_as_a_person(body: str) -> None:
    assert read(body, sender="Seed Shop <support@shop.example>").kind == "reply"


def test_a_quote_without_marks_and_date_is_kept() -> None:
    assert "Beans?" in read("Yes.\n\nCarla Voss wrote:\nBeans?").text


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        ("我們有興趣，請寄報價單給我。", "big5"),
        ("Ευχαριστώ, στείλτε μας προσφορά.", "iso-8859-7"),
        ("תודה, שלחו לנו הצעה.", "windows-1255"),
        ("شكرا، أرسلوا لنا عرضا.", "windows-1256"),
        ("ขอบคุณ เราสนใจ กรุณาส่งราคามา", "tis-620"),
        ("Proszę przesłać ofertę, dziękuję.", "iso-8859-2"),
    ],
)
def test_a_charset_that_nothing_declares_is_read_as_another(text: str, charset: str) -> None:
    head, _, _ = answer("").partition(b"Content-Type")
    verdict = read_mail(head + b"Content-Type: text/plain\n\n" + text.encode(charset) + b"\n")
    assert verdict.kind == "reply"
    assert verdict.text != text


def test_a_code_that_the_server_says_beats_its_words_of_an_inactive_mailbox() -> None:
    assert assess("550 5.1.1 The mailbox is inactive").category.bounce_class == "hard"
