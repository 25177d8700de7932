"""What a mail that came back makes known: the event, its id, and whom of a report it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from decisions.effects.returns import MAX_TEXT, SentEmail, concerned, event_of, may_be_inferred
from decisions.mail.verdict import MailKind, MailVerdict, Recipient, StopRequest
from schemas.events import AutoReplied, Bounced, Complained, EmailEvent, Replied
from schemas.tokens import delivery_id
from tests.agents.mails import KEYRING

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
HASH = KEYRING.address_ids("ada@example.net")[0]
EMAIL = SentEmail(str(delivery_id("spring", 1, "ada")), "spring", 1, "A", "ada", "grace@example.com", HASH)


def made(verdict: MailVerdict, email: SentEmail = EMAIL, digest: str = "d1") -> EmailEvent | None:
    return event_of(verdict, email, "verp", at=AT, digest=digest, address_ids=KEYRING.address_ids)


def a_verdict(kind: MailKind, **fields: Any) -> MailVerdict:
    return MailVerdict(kind=kind, reason="x", **{"message_id": "1@example.net", **fields})


def id_of(event: EmailEvent | None) -> str:
    assert event is not None
    return event.id


def test_the_id_goes_by_email_kind_and_message_id() -> None:
    reply = a_verdict("reply", message_id="1@example.net")
    assert id_of(made(reply)) == id_of(made(reply, digest="in another mailbox"))
    others = [
        made(a_verdict("reply", message_id="2@example.net")),
        made(a_verdict("auto_reply")),
        made(reply, replace(EMAIL, delivery_id=str(delivery_id("spring", 2, "ada")))),
    ]
    assert len({id_of(reply_) for reply_ in [made(reply), *others]}) == 4


@pytest.mark.parametrize("kind", ["reply", "auto_reply"])
def test_an_answer_says_who_wrote_it(kind: MailKind) -> None:
    answer = made(a_verdict(kind, sender="ada@home.example", text="Yes"))
    assert isinstance(answer, Replied | AutoReplied)
    assert answer.from_address == "ada@home.example"


def test_a_reply_that_asks_to_stop_says_by_which_words() -> None:
    event = made(a_verdict("reply", text="No.\nRemove me", stop=StopRequest(phrase="Remove me", line=2)))
    assert isinstance(event, Replied)
    assert (event.asks_to_stop, event.stop_phrase, event.stop_line) == (True, "Remove me", 2)
    event = made(a_verdict("reply", text="Tell me more"))
    assert isinstance(event, Replied)
    assert (event.asks_to_stop, event.stop_phrase, event.stop_line) == (False, "", 0)


def test_a_mail_without_a_message_id_goes_by_its_content() -> None:
    nameless = a_verdict("reply", message_id="")
    assert id_of(made(nameless, digest="d1")) == id_of(made(nameless, digest="d1"))
    assert id_of(made(nameless, digest="d1")) != id_of(made(nameless, digest="d2"))


@pytest.mark.parametrize("kind", ["delivery_report", "other"])
def test_what_waits_or_is_something_else_makes_nothing_known(kind: MailKind) -> None:
    assert made(a_verdict(kind)) is None


def test_a_report_on_many_is_about_the_one_with_the_emails_address() -> None:
    others = (Recipient(address="bob@example.net", bounce_class="hard"), Recipient(address="ADA@example.net"))
    assert concerned(others, HASH, KEYRING.address_ids).address == "ADA@example.net"
    assert concerned(others, "", KEYRING.address_ids).address == "bob@example.net"  # forwarded to


def test_a_report_that_names_nobody_is_a_bounce_of_unknown_class() -> None:
    event = made(a_verdict("bounce"))
    assert isinstance(event, Bounced)
    assert (event.bounce_class, event.via) == ("unknown", "report")


def test_a_complaint_says_of_what_kind() -> None:
    spam, plain = a_verdict("complaint", recipients=(Recipient(address="", category="fraud"),)), a_verdict("complaint")
    told = [event.category for event in (made(spam), made(plain)) if isinstance(event, Complained)]
    assert told == ["fraud", "abuse"]


def test_text_is_cut_and_fit_for_json() -> None:
    event = made(a_verdict("reply", text="\ud800" * (MAX_TEXT + 5), subject="\udcff"))
    assert isinstance(event, Replied)
    assert (len(event.text), event.text[0], event.subject) == (MAX_TEXT, "?", "?")


def test_reports_are_never_matched_by_an_address() -> None:
    assert may_be_inferred(a_verdict("reply", sender="ada@example.net"))
    assert not may_be_inferred(a_verdict("reply"))
    assert not may_be_inferred(a_verdict("bounce", sender="ada@example.net"))
    assert not may_be_inferred(a_verdict("complaint", sender="ada@example.net"))
