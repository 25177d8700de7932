"""The reader on a real broker and a real ClickHouse: mails that come back become events of the emails they are about."""

from __future__ import annotations

import base64
import email
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import Message
from typing import Any
from uuid import uuid4

import pytest

from clickhouse.store import insert_lines
from commands.doctor.probe import probes
from decisions.sending.instrument import instrument
from schemas.events import Sent, lines
from schemas.raw_mail import Mail
from schemas.tokens import PROBE
from schemas.topics import MAIL
from tests.agents.guard.guarded import PATIENCE, Watched, now, of, watching
from tests.agents.mails import a_send
from tests.support.broker import Broker
from tests.support.stream import Stream, running_stream
from tests.support.waiting import wait_until
from tests.world import answers

MAILBOX = "grace@example.com"
WAITED = "waiting to try again"


@pytest.fixture(scope="module")
def watched(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One stream with one worker, shared: each test has a campaign and leads of its own."""
    with running_stream(tmp_path_factory.mktemp("reader"), broker) as stream, watching(stream) as watched:
        stream.start_worker("--stage", "reader", "--stage", "guard", "--stage", "store")
        yield watched


@dataclass
class Email:
    """An email as its recipient has it."""

    delivery_id: str
    lead: str
    to: str
    original: Message
    return_path: str
    hash: str


def an_email(
    stream: Stream,
    campaign: str,
    lead: str,
    *,
    at: datetime | None = None,
    stored: bool = True,
    sender: str = MAILBOX,
) -> Email:
    """Make an email as the sender does, and have ClickHouse know that it was sent."""
    to = f"{lead}@example.net"
    send = a_send(campaign=campaign, lead=lead, to=to, sender=sender)
    settings = stream.settings
    made = instrument(
        send,
        settings.keyring,
        public_url=settings.public_url,
        envelope_domain=settings.envelope_domain,
        now=at or now(),
    )
    found = Email(send.delivery_id, lead, to, email.message_from_bytes(made.message), made.envelope_from, made.address)
    if stored:
        store(stream, campaign, found, at)
    return found


def store(stream: Stream, campaign: str, one: Email, at: datetime | None = None) -> None:
    event = Sent(
        **of(campaign, one.lead, "sent", at),
        sender=str(one.original["From"]),
        recipient_domain="example.net",
        message_id=str(one.original["Message-ID"]),
        address=one.hash,
    )
    with stream.client() as client:
        insert_lines(client, "events", lines([event]))


def come_in(stream: Stream, *mails: bytes, mailbox: str = MAILBOX, at: datetime | None = None) -> None:
    """Put mails on the topic as the inbox does, in one record."""
    stream.write(MAIL, lines([a_mail(raw, mailbox, at) for raw in mails]))


def a_mail(raw: bytes, mailbox: str = MAILBOX, at: datetime | None = None) -> Mail:
    return Mail(
        id=str(uuid4()),
        mailbox=mailbox,
        folder="INBOX",
        uidvalidity=1,
        uid=1,
        received_at=at or now(),
        size=len(raw),
        digest=hashlib.sha256(raw).hexdigest(),
        raw=raw,
    )


def events(stream: Stream, one: Email) -> list[dict[str, Any]]:
    """What ClickHouse knows of an email besides that it was sent."""
    with stream.client() as client:
        asked = client.query(
            "SELECT * FROM events FINAL WHERE delivery_id = {id:UUID} AND kind != 'sent' ORDER BY at, kind",
            parameters={"id": one.delivery_id},
        )
        return [dict(row) for row in asked.named_results()]


def the_event(watched: Watched, one: Email) -> dict[str, Any]:
    """The one event of an email, waited for."""
    wait_until(lambda: bool(events(watched.stream, one)), PATIENCE, "the event")
    watched.stream.wait_until_drained()
    (event,) = events(watched.stream, one)
    return event


def test_a_reply_is_read_and_its_writers_words_are_kept(watched: Watched) -> None:
    one = an_email(watched.stream, "replies", "ada")
    come_in(watched.stream, answers.reply(one.original, one.to, "Yes please, send me two bags."))
    event = the_event(watched, one)
    assert (event["kind"], event["campaign"], event["lead"], event["sender"]) == ("reply", "replies", "ada", MAILBOX)
    assert event["matched_by"] == "in-reply-to"
    assert "two bags" in event["text"]
    assert "When do you sow" not in event["text"]
    wait_until(lambda: watched.holds("ada", "replied", campaign="replies"), PATIENCE, "the fact")


def test_an_automatic_answer_is_no_reply(watched: Watched) -> None:
    one = an_email(watched.stream, "replies", "away")
    come_in(watched.stream, answers.out_of_office(one.original, one.to))
    event = the_event(watched, one)
    assert event["kind"] == "auto_reply"
    assert event["text"]
    assert not watched.holds("away", "replied", campaign="replies")


def test_a_report_of_a_dead_mailbox_is_a_hard_bounce_and_suppresses_the_address(watched: Watched) -> None:
    one = an_email(watched.stream, "reports", "gone", at=now() - timedelta(days=3))
    report = answers.bounce(one.original, one.return_path, one.to, "5.1.1", "550 5.1.1 no such user here")
    come_in(watched.stream, report, mailbox="bounces@bounces.example.com")
    event = the_event(watched, one)
    assert (event["kind"], event["bounce_class"], event["via"], event["status"]) == (
        "bounce",
        "hard",
        "report",
        "5.1.1",
    )
    assert event["matched_by"] == "verp"
    wait_until(lambda: watched.holds("gone", "invalid"), PATIENCE, "the lead's fact")
    wait_until(lambda: watched.holds(one.hash, "invalid", of="address"), PATIENCE, "the address's fact")


def test_a_report_of_a_full_mailbox_is_soft_and_suppresses_nobody(watched: Watched) -> None:
    one = an_email(watched.stream, "reports", "full")
    come_in(watched.stream, answers.bounce(one.original, one.return_path, one.to, "5.2.2", "552 5.2.2 mailbox full"))
    assert the_event(watched, one)["bounce_class"] == "soft"
    assert not watched.holds("full", "invalid")


def test_a_complaint_suppresses_the_address(watched: Watched) -> None:
    one = an_email(watched.stream, "complaints", "angry")
    come_in(watched.stream, answers.complaint(one.original, MAILBOX))
    event = the_event(watched, one)
    assert (event["kind"], event["category"]) == ("complaint", "abuse")
    wait_until(lambda: watched.holds(one.hash, "complained", of="address"), PATIENCE, "the fact")


def test_a_report_of_a_failed_signature_is_no_complaint(watched: Watched) -> None:
    one = an_email(watched.stream, "signatures", "hedy")
    report = answers.complaint(one.original, MAILBOX).replace(b"Feedback-Type: abuse", b"Feedback-Type: auth-failure")
    come_in(watched.stream, report)
    watched.stream.wait_until_drained()
    assert events(watched.stream, one) == []
    assert not watched.holds("hedy", "complained")


def test_a_mail_to_the_unsubscribe_address_unsubscribes_the_lead_and_its_address(watched: Watched) -> None:
    one = an_email(watched.stream, "by-mail", "mary")
    address = str(one.original["List-Unsubscribe"]).split("subject=")[1].strip("<> ")
    subject = f"{address[:70]}\r\n {address[70:140]}\r\n {address[140:]}"
    come_in(watched.stream, f"From: {one.to}\r\nTo: unsubscribe@example.org\r\nSubject: {subject}\r\n\r\n".encode())
    event = the_event(watched, one)
    assert (event["kind"], event["via"], event["lead"]) == ("unsubscribe", "mail", "mary")
    wait_until(lambda: watched.holds("mary", "unsubscribed"), PATIENCE, "the lead's fact")
    wait_until(lambda: watched.holds(one.hash, "unsubscribed", of="address"), PATIENCE, "the address's fact")


def test_the_same_mail_in_two_mailboxes_and_read_twice_is_one_event(watched: Watched) -> None:
    one = an_email(watched.stream, "twice", "ada-twice")
    mail = answers.reply(one.original, one.to, "Once is enough.")
    come_in(watched.stream, mail, mail)
    come_in(watched.stream, mail, mailbox="all@example.com", at=now() + timedelta(seconds=5))
    assert the_event(watched, one)["kind"] == "reply"


def test_a_reply_without_a_token_is_matched_by_who_wrote_it_and_says_so(watched: Watched) -> None:
    one = an_email(watched.stream, "inferred", "plain", at=now() - timedelta(days=2))
    mail = b"From: Plain <plain@EXAMPLE.net>\r\nTo: grace@example.com\r\nSubject: Re: A question\r\n\r\nGladly.\r\n"
    come_in(watched.stream, mail)
    event = the_event(watched, one)
    assert (event["kind"], event["matched_by"], event["text"].strip()) == ("reply", "address", "Gladly.")


def test_who_was_mailed_long_ago_by_another_or_after_that_is_not_matched(watched: Watched) -> None:
    old = an_email(watched.stream, "unmatched", "old", at=now() - timedelta(days=31))
    later = an_email(watched.stream, "unmatched", "later", at=now())
    other = an_email(watched.stream, "unmatched", "other")
    for one, mailbox, at in (
        (old, MAILBOX, now()),
        (later, MAILBOX, now() - timedelta(minutes=5)),
        (other, "somebody-else@example.com", now()),
    ):
        mail = f"From: {one.to}\r\nTo: x@example.com\r\nSubject: Re: A question\r\n\r\nHello.\r\n".encode()
        come_in(watched.stream, mail, mailbox=mailbox, at=at)
    watched.stream.wait_until_drained()
    assert [events(watched.stream, one) for one in (old, later, other)] == [[], [], []]


def test_a_forged_report_changes_nothing(watched: Watched) -> None:
    one = an_email(watched.stream, "forged", "victim")
    forged = email.message_from_bytes(one.original.as_bytes())
    for name in ("Message-ID", "List-Unsubscribe"):
        genuine = str(forged[name])
        del forged[name]
        forged[name] = genuine[:30] + ("A" if genuine[30] != "A" else "B") + genuine[31:]
    path = one.return_path.replace(one.return_path[10:14], "aaaa")
    come_in(watched.stream, answers.bounce(forged, path, one.to, "5.1.1", "550 5.1.1 no such user"))
    come_in(watched.stream, answers.complaint(forged, MAILBOX))
    watched.stream.wait_until_drained()
    assert events(watched.stream, one) == []
    assert not watched.holds("victim", "invalid")


def test_a_report_that_is_quicker_than_the_store_waits_for_it(watched: Watched) -> None:
    one = an_email(watched.stream, "quick", "quick", stored=False)
    said = watched.stream.workers[0].output().count(WAITED)
    come_in(watched.stream, answers.bounce(one.original, one.return_path, one.to, "5.1.1", "550 5.1.1 no such user"))
    wait_until(lambda: watched.stream.workers[0].output().count(WAITED) > said, PATIENCE, "the reader's waiting")
    store(watched.stream, "quick", one)
    assert the_event(watched, one)["campaign"] == "quick"


def test_poison_is_set_aside_and_mails_of_no_meaning_pass(watched: Watched) -> None:
    before = len(watched.stream.dead())
    one = an_email(watched.stream, "beside-poison", "beside")
    good = a_mail(answers.reply(one.original, one.to, "I stand between two lines of nonsense."))
    watched.stream.write(MAIL, b"\xff\xfe no mail\n" + lines([good]) + b"{}\n")
    assert the_event(watched, one)["kind"] == "reply"
    come_in(watched.stream, b"", b"\x00" * 1000, b"Subject: =?utf-8?b?////?=\r\n\r\n\xff", b"From: <" * 10_000)
    one = an_email(watched.stream, "after-poison", "after")
    come_in(watched.stream, answers.reply(one.original, one.to, "Still here?"))
    assert the_event(watched, one)["kind"] == "reply"
    letters = watched.stream.dead()[before:]
    assert {(letter.stage, letter.reason) for letter in letters} == {("reader", "unreadable")}
    assert {base64.b64decode(letter.value) for letter in letters} == {b"\xff\xfe no mail", b"{}"}


def test_a_mail_as_large_as_the_topic_takes_is_read(watched: Watched) -> None:
    one = an_email(watched.stream, "large", "large")
    mail = answers.reply(one.original, one.to, "Short words.") + b"\n" + b"> quoted to death\n" * 110_000
    started = time.monotonic()
    come_in(watched.stream, mail)
    assert the_event(watched, one)["kind"] == "reply"
    print(f"{len(mail)} bytes were read in {time.monotonic() - started:.1f} s")


def test_of_a_mail_to_ourselves_and_of_what_answers_it_no_event_comes(watched: Watched) -> None:
    """What `sendlens senders check` sends, bounced and answered too; a reply behind them says that all were read."""
    stream, domain = watched.stream, watched.stream.settings.envelope_domain
    dead = len(stream.dead())
    mails = []
    for probe in probes(MAILBOX, domain, stream.settings.keyring, now()):
        original = email.message_from_bytes(probe.message)
        returned = answers.bounce(original, MAILBOX, probe.to, "5.1.1", "550 5.1.1 no such user here")
        mails += [probe.message, returned, answers.out_of_office(original, MAILBOX)]
    one = an_email(stream, "probes", "behind")
    come_in(stream, *mails, answers.reply(one.original, one.to, "Yes."))
    assert the_event(watched, one)["kind"] == "reply"
    with stream.client() as client:
        asked = client.query("SELECT kind FROM events WHERE delivery_id = {id:UUID}", parameters={"id": str(PROBE)})
        assert asked.result_rows == []
    assert len(stream.dead()) == dead
