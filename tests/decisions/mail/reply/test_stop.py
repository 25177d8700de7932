"""Replies that ask for no more mail: by which words, in which line, and only in the person's own text."""

from __future__ import annotations

from collections import Counter

import pytest

from decisions.mail.read import read_mail
from decisions.mail.reply.stop import stop_request
from decisions.mail.reply.visible import certain_text, without_quotes
from decisions.mail.verdict import MailVerdict, StopRequest
from tests.corpus.mails import NO_CORPORA, SHARED, reply_texts
from tests.corpus.stops import LABELLED, Figures, figures

HEAD = "From: Ada <ada@example.com>\nTo: news@example.net\nMessage-ID: <1@example.com>\nIn-Reply-To: <2@example.net>\n"
FOOTER = (
    "You get this because you signed up.\nUnsubscribe: https://t.example.net/u/abc\nTo stop these emails, reply STOP."
)


def read(body: str, subject: str = "Re: Spring seeds", kind: str = "text/plain") -> MailVerdict:
    head = f"{HEAD}Subject: {subject}\nContent-Type: {kind}; charset=utf-8\n\n"
    return read_mail(f"{head}{body}".encode())


@pytest.mark.parametrize(("wanted", "language", "text"), LABELLED, ids=lambda value: str(value)[:40])
def test_a_reply_asks_to_stop_or_does_not(wanted: str, language: str, text: str) -> None:
    assert (stop_request(text, text) is not None) == (wanted == "yes")


def test_the_examples_are_many_in_many_languages_and_half_of_them_hard() -> None:
    labels = Counter(wanted for wanted, _, _ in LABELLED)
    assert labels["yes"] >= 80
    assert labels["no"] >= 60
    assert len({language for _, language, _ in LABELLED}) >= 20


def test_precision_comes_before_recall(capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(LABELLED)
    with capsys.disabled():
        print(f"\nreplies that ask to stop: {found}")
    assert found.precision == 1
    assert found.recall >= 0.95


def test_a_wrong_answer_costs_what_it_says() -> None:
    assert str(Figures(asked=8, found=6, said=8)) == "precision 75.0 %, recall 75.0 % (6 of 8 found, 8 said)"


@pytest.mark.skipif(not SHARED.exists(), reason=NO_CORPORA)
def test_no_reply_of_the_corpora_is_said_to_ask() -> None:
    """Nobody asks in them, and many quote a footer that offers it."""
    some = reply_texts()
    assert len(some) > 30
    assert [name for name, text, _ in some if stop_request(certain_text(text), without_quotes(text))] == []


def test_the_line_is_that_of_the_text_that_is_kept() -> None:
    verdict = read(
        "Hi Tom,\n\nwe have a supplier, and it would be kind if you could please\nremove me from your list.\n"
    )
    assert verdict.stop == StopRequest(phrase="remove me from your list", line=4)
    assert verdict.text.split("\n")[3] == "remove me from your list."


@pytest.mark.parametrize(
    "quote",
    [
        f"On Mon, Feb 1, 2016 at 6:32 PM, News <news@example.net> wrote:\n> {'> '.join(FOOTER.splitlines(True))}",
        f"On Mon, Feb 1, 2016 at 6:32 PM, News <news@example.net> wrote:\n\n{FOOTER}",
        f"-----Original Message-----\nFrom: News <news@example.net>\nSent: Monday\nTo: Ada\nSubject: Seeds\n\n{FOOTER}",
        f"From: News <news@example.net>\nSent: Monday, February 1, 2016 6:32 PM\nTo: A\nSubject: x\n\nUnsubscribe\n{FOOTER}",
        "> Unsubscribe\n> Remove me from your list",
    ],
)
@pytest.mark.parametrize("above", ["", "Sounds good, send me the prices.\n\n"])
def test_a_quoted_footer_never_counts(above: str, quote: str) -> None:
    assert read(above + quote).stop is None


def test_a_footer_quoted_in_html_never_counts() -> None:
    quote = "<div class=gmail_quote>On Monday News wrote:<blockquote><p>Unsubscribe</p><p>Stop</p></blockquote></div>"
    assert read(f"<p>Sounds good!</p>{quote}", kind="text/html").stop is None
    asked = read(f"<p>Stop emailing me</p>{quote}", kind="text/html")
    assert asked.stop == StopRequest(phrase="Stop emailing me", line=1)


def test_an_answer_below_the_quote_counts() -> None:
    verdict = read(
        "On Mon, Feb 1, 2016 at 6:32 PM, News <news@example.net> wrote:\n> Seeds!\n\nUnsubscribe me please\n"
    )
    assert verdict.stop is not None
    assert verdict.text.split("\n")[verdict.stop.line - 1] == "Unsubscribe me please"


def test_a_signature_never_counts() -> None:
    assert read("Thanks, see you.\n\n-- \nAda\nUnsubscribe\n").stop is None


def test_a_subject_counts_where_nothing_else_is_written() -> None:
    assert read("", subject="Unsubscribe").stop == StopRequest(phrase="Unsubscribe", line=0)
    assert read("Sent from my iPhone", subject="STOP please").stop == StopRequest(phrase="STOP please", line=0)
    assert read("", subject="Re: Unsubscribe from chaos").stop is None
    assert read("", subject="AW: Stop").stop is None
    assert read("I like it.", subject="Stop").stop is None


def test_an_automatic_answer_asks_for_nothing() -> None:
    raw = f"{HEAD}Subject: Re: x\nAuto-Submitted: auto-replied\n\nI left. Please remove me from your list.\n"
    verdict = read_mail(raw.encode())
    assert (verdict.kind, verdict.stop) == ("auto_reply", None)
