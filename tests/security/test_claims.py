"""What a mail may claim: nothing that it can't prove. On a real broker and a real ClickHouse, as the reader runs."""

from __future__ import annotations

import email
from collections.abc import Iterator
from email.message import Message
from uuid import UUID

import pytest

from decisions.mail.read import read_mail
from schemas.tokens import Claim, Keyring, Purpose
from tests.agents.guard.guarded import PATIENCE, Watched, now, watching
from tests.agents.reader.test_reader import MAILBOX, Email, an_email, come_in, events, the_event
from tests.support.broker import Broker
from tests.support.stream import running_stream
from tests.support.waiting import wait_until
from tests.world import answers

NAMED = "named@example.com"  # its account says what its server calls itself
SENDERS = f"""
[[account]]
address = "{NAMED}"
[account.imap]
host = "imap.example.com"
password_env = "NOWHERE"
authserv_id = "mx.own.example"
"""
FAILED = "dkim=none; spf=softfail smtp.mailfrom=evil.example; dmarc=fail (p=NONE) header.from=example.net"


@pytest.fixture(scope="module")
def watched(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One stream with one worker, shared: each test has a campaign and leads of its own."""
    folder = tmp_path_factory.mktemp("claims")
    (folder / "senders.toml").write_text(SENDERS)
    with running_stream(folder, broker, senders=folder / "senders.toml") as stream, watching(stream) as watched:
        stream.start_worker("--stage", "reader", "--stage", "guard", "--stage", "store")
        yield watched


def written(sender: str, *above: str) -> bytes:
    """A mail of a person without a token, with these headers above its own."""
    heads = "".join(f"{line}\r\n" for line in above)
    return f"{heads}From: {sender}\r\nTo: {MAILBOX}\r\nSubject: Re: A question\r\n\r\nGladly.\r\n".encode()


def nothing_came_of(watched: Watched, one: Email, campaign: str) -> None:
    """No event of the email, no fact of its lead or address."""
    watched.stream.wait_until_drained()
    assert events(watched.stream, one) == []
    facts = ("unsubscribed", "invalid", "complained", "replied")
    assert not any(watched.holds(one.lead, fact) for fact in facts)
    assert not any(watched.holds(one.hash, fact, of="address") for fact in facts)
    assert not watched.holds(one.lead, "replied", campaign=campaign)


def test_an_address_beside_the_angle_address_is_nobodys(watched: Watched) -> None:
    one = an_email(watched.stream, "beside", "victim")
    evil = "<attacker@evil.example>"
    mails: list[bytes] = []
    for sender in (
        f'"{one.to}" {evil}', f"{one.to} {evil}", f'"<{one.to}>" {evil}', f"{evil} ({one.to})", f"{evil} (<{one.to}>)",
        f'"{one.to} via List" <list@lists.example>', f"<{one.to}> {evil}", f"{evil}, <{one.to}>",
        f"=?utf-8?q?=3C{one.to.replace('@', '=40')}=3E?= {evil}", f'"\\" <{one.to}>" {evil}', f'"{one.to} {evil}',
        f"{evil}\r\nFrom: {one.to}", f"{one.to}\r\nFrom: {evil}", f"{one.to}\r\n\t{evil}",
    ):  # fmt: skip
        mails.append(written(sender))
    come_in(watched.stream, *mails)
    nothing_came_of(watched, one, "beside")


def test_the_angle_address_counts_whatever_stands_before_it(watched: Watched) -> None:
    mails: dict[bytes, Email] = {}
    for number, name in enumerate(
        ('"Ada (ada@work.example)"', '"attacker@evil.example"', "Ada (at home)", "Dr. Ada, PhD")
    ):
        one = an_email(watched.stream, "angle", f"angle-{number}")
        mails[written(f"{name} <{one.to.upper()}>")] = one
    come_in(watched.stream, *mails)
    for one in mails.values():
        event = the_event(watched, one)
        assert (event["kind"], event["matched_by"]) == ("reply", "address")


def test_an_address_that_failed_dmarc_at_the_mailboxs_server_proves_nothing(watched: Watched) -> None:
    one = an_email(watched.stream, "dmarc", "spoofed")
    mails: list[bytes] = []
    own = f"Authentication-Results: mx.example.com; {FAILED}"
    passed = "Authentication-Results: mx.example.com; dmarc=pass header.from=example.net"
    for above in (
        (own,),
        ("Received: by inner.example.com; Mon, 4 May 2026 09:30:00 +0000", own),
        (own, "Received: from evil.example by mx.example.com; Mon, 4 May 2026 09:30:00 +0000", passed),
        (own, passed),
        ("Authentication-Results: mx.example.com; dkim=none", own),
        (f"Authentication-Results: {FAILED}",),  # Exchange Online leaves its name out
        ("authentication-results: mx.example.com 1;\r\n\tspf=pass;\r\n\tDMARC = Fail header.from=example.net",),
    ):
        mails += [written(one.to, *above), written(one.to, *above, "Auto-Submitted: auto-replied")]
    come_in(watched.stream, *mails)
    nothing_came_of(watched, one, "dmarc")


def test_what_an_earlier_server_or_the_sender_wrote_neither_helps_nor_harms(watched: Watched) -> None:
    mails: dict[bytes, Email] = {}
    hop = "Received: from a.example by b.example; Mon, 4 May 2026 09:30:00 +0000"
    passed = "Authentication-Results: mx.example.com; dkim=pass; dmarc=pass header.from=example.net"
    inner = f"Authentication-Results: relay.example; {FAILED}"
    for number, above in enumerate(
        (
            (passed, hop, inner),
            (passed, inner),
            (passed, hop, f"Authentication-Results: mx.example.com; {FAILED}"),
            ("Authentication-Results: mx.example.com; arc=pass (i=1 dmarc=fail fromdomain=x.example); dmarc=pass", hop),
            (f"X-Authentication-Results: mx.example.com; {FAILED}",),
        )
    ):
        one = an_email(watched.stream, "inner", f"inner-{number}")
        mails[written(one.to, *above)] = one
    come_in(watched.stream, *mails)
    for one in mails.values():
        assert the_event(watched, one)["matched_by"] == "address"


def test_an_account_may_say_what_its_server_calls_itself(watched: Watched) -> None:
    own = f"Authentication-Results: mx.own.example; {FAILED}"
    other = f"Authentication-Results: mx.other.example; {FAILED}"
    spoofed, honest = (an_email(watched.stream, "authserv", lead, sender=NAMED) for lead in ("spoofed-2", "honest"))
    come_in(
        watched.stream, written(spoofed.to, "Authentication-Results: filter.example; dmarc=pass", own), mailbox=NAMED
    )
    come_in(watched.stream, written(honest.to, other), mailbox=NAMED)
    assert the_event(watched, honest)["matched_by"] == "address"
    nothing_came_of(watched, spoofed, "authserv")


def test_a_reply_with_a_token_needs_no_dmarc(watched: Watched) -> None:
    one = an_email(watched.stream, "token", "forwarded")
    mail = answers.reply(one.original, one.to, "From my other address.")
    come_in(watched.stream, f"Authentication-Results: mx.example.com; {FAILED}\r\n".encode() + mail)
    assert the_event(watched, one)["matched_by"] == "in-reply-to"


def test_a_report_that_an_email_is_no_spam_is_nothing(watched: Watched) -> None:
    one = an_email(watched.stream, "not-spam", "glad")
    report = answers.complaint(one.original, MAILBOX)
    kinds = (b"not-spam", b"Not-Spam", b"not-spam (moved back)", b"notspam")
    reports = [report.replace(b"Feedback-Type: abuse", b"Feedback-Type: " + kind) for kind in kinds]
    reports += [each.replace(b"message/feedback-report", b"text/plain") for each in reports]  # its type got lost
    reports += [each.replace(b"multipart/report", b"multipart/mixed") for each in reports]
    assert all(read_mail(each).kind == "other" for each in reports)
    come_in(watched.stream, *reports)
    nothing_came_of(watched, one, "not-spam")


def forgeries(one: Email, keys: Keyring) -> Iterator[tuple[Message, str]]:
    """The email with other proofs: of another key, of another purpose, with a letter changed, or none."""
    others = Keyring.parse("7:some-other-key-of-somebody-else")
    yield answers.forged(one.original, one.return_path, keys, others)
    claim = claim_of(one, keys)
    for purpose in (Purpose.OPEN, Purpose.CLICK):
        made = copy_of(one)
        token = keys.sign(purpose, claim)
        made["Message-ID"] = f"<{token}@bounces.example.com>"
        made["List-Unsubscribe"] = f"<https://t.example.com/u/{token}>"
        yield made, f"bounce+{token}@bounces.example.com"
    swapped = copy_of(one)
    swapped["Message-ID"] = f"<{keys.sign(Purpose.UNSUBSCRIBE, claim)}@bounces.example.com>"
    swapped["List-Unsubscribe"] = f"<https://t.example.com/u/{keys.sign(Purpose.MESSAGE, claim)}>"
    yield swapped, MAILBOX
    for name in ("Message-ID", "List-Unsubscribe"):
        changed = copy_of(one)
        genuine = str(one.original[name])
        changed[name] = genuine[:40] + ("A" if genuine[40] != "A" else "B") + genuine[41:]
        yield changed, one.return_path.replace(one.return_path[12:16], "aaaa")
    yield copy_of(one), f"bounce+{UUID(one.delivery_id).hex}@bounces.example.com"


def copy_of(one: Email) -> Message:
    """The email without what proves anything."""
    made = email.message_from_bytes(one.original.as_bytes())
    for name in ("Message-ID", "List-Unsubscribe"):
        del made[name]
    return made


def claim_of(one: Email, keys: Keyring) -> Claim:
    return keys.verify(Purpose.MESSAGE, str(one.original["Message-ID"]).strip("<>").partition("@")[0])


def test_a_forged_report_or_complaint_changes_nothing(watched: Watched) -> None:
    one = an_email(watched.stream, "forged", "reported")
    mails: list[bytes] = []
    for original, path in forgeries(one, watched.stream.settings.keyring):
        mails.append(answers.bounce(original, path, one.to, "5.1.1", "550 5.1.1 no such user"))
        mails.append(answers.complaint(original, MAILBOX))
    come_in(watched.stream, *mails)
    nothing_came_of(watched, one, "forged")


def test_a_mail_to_the_unsubscribe_address_needs_the_token_made_for_it(watched: Watched) -> None:
    one = an_email(watched.stream, "forged", "subscribed")
    mails: list[bytes] = []
    keys = watched.stream.settings.keyring
    claim = claim_of(one, keys)
    genuine = keys.sign(Purpose.UNSUBSCRIBE, claim)
    wrong = [keys.sign(purpose, claim) for purpose in (Purpose.OPEN, Purpose.CLICK, Purpose.MESSAGE)]
    wrong += [
        keys.sign_bounce(claim),
        Keyring.parse("7:some-other-key-of-somebody-else").sign(Purpose.UNSUBSCRIBE, claim),
    ]
    wrong += [
        genuine[:-1],
        genuine[:50] + ("A" if genuine[50] != "A" else "B") + genuine[51:],
        one.delivery_id,
        "unsubscribe",
    ]
    for token in wrong:
        for to in ("unsubscribe@bounces.example.com", f"unsubscribe+{token}@bounces.example.com"):
            raw = f"From: evil@evil.example\r\nTo: {to}\r\nSubject: {token}\r\n\r\nunsubscribe\r\n"
            mails.append(raw.encode())
    come_in(watched.stream, *mails)
    nothing_came_of(watched, one, "forged")
    raw = f"From: evil@evil.example\r\nTo: unsubscribe@bounces.example.com\r\nSubject: {genuine}\r\n\r\n"
    come_in(watched.stream, raw.encode(), at=now())
    assert the_event(watched, one)["kind"] == "unsubscribe"
    wait_until(
        lambda: watched.holds("subscribed", "unsubscribed"),
        PATIENCE,
        "the fact, so that the tests above mean something",
    )
