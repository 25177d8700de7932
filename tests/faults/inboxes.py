"""Mails that come back, read by two inbox processes of the same two mailboxes, whose server is restarted and renumbers
one of them."""

from __future__ import annotations

import email
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

import msgspec

from clickhouse.store import insert_lines
from decisions.sending.instrument import instrument
from schemas.events import Send, Sent, lines
from schemas.raw_mail import Mail
from schemas.tokens import delivery_id, event_id
from schemas.topics import MAIL
from tests.faults.count import Count, example
from tests.faults.works import Works, running_works
from tests.support.broker import Broker
from tests.support.imap import PASSWORD, ImapServer
from tests.support.processes import Process, start
from tests.support.waiting import wait_until
from tests.world import answers

CAMPAIGN = "answered"
MAILBOXES = ("anna@example.com", "bert@example.com")
_LONGEST = 600.0
_decode_mails = msgspec.json.Decoder(Mail).decode_lines


def inbox_restarts(folder: Path, broker: Broker, kind: str, *, mails: int) -> Count:
    """Half of the mails are replies, half are bounces; while they are read the server is restarted, and then has
    forgotten the numbers of one mailbox. Each mail has its event, once."""
    with ExitStack() as stack:
        works = stack.enter_context(running_works(folder, broker, settle=1.0, session_seconds=6.0))
        server = ImapServer(kind, MAILBOXES)
        stack.callback(server.close)
        answered = _emails(works, mails)
        for number, mailbox in enumerate(MAILBOXES):
            server.stock(mailbox, [raw for lead, (raw, _) in answered.items() if int(lead) % 2 == number])
        server.start()
        works.stream.start_worker()
        for name in ("one", "two"):
            stack.enter_context(_inbox(works, server, name))
        _wait_until_read(works, mails // 4)
        server.restart()
        _wait_until_read(works, mails // 2)
        server.renumber(MAILBOXES[0])
        _wait_until_read(works, mails)
        wait_until(lambda: sum(_events(works).values()) >= mails, _LONGEST, "an event of every mail", every=1.0)
        works.stream.wait_until_drained(deadline=_LONGEST)
        count = _count(works, answered)
        print(count.row(inbox_restarts.__name__), flush=True)
        count.hold()
        return count


def _count(works: Works, answered: dict[str, tuple[bytes, str]]) -> Count:
    told = _events(works)
    want = {(lead, kind) for lead, (_, kind) in answered.items()}
    lost = {lead for lead, kind in want - set(told)}
    changed = {lead for lead, kind in set(told) - want}
    twice = {lead for (lead, _), times in told.items() if times > 1}
    read = _read(works)
    dead = works.stream.dead()
    return Count(
        sent=len(answered),
        answered=len(answered),
        stored=len(want & set(told)),
        lost=len(lost),
        double=len(twice),
        changed=len(changed - lost),
        longest=0.0,
        note=f"mails were read {sum(read.values()):,} times",
        faults=(
            *example("mails have no event of their kind", lost),
            *example("mails have an event of another kind", changed),
            *example("mails have more than one event", twice),
            *((f"{len(dead)} dead letters, the first {dead[0]}",) if dead else ()),
        ),
    )


def _emails(works: Works, count: int) -> dict[str, tuple[bytes, str]]:
    """What comes back of so many emails that ClickHouse knows of: by lead, the mail and the kind of its event."""
    settings, now = works.stream.settings, datetime.now(UTC).replace(microsecond=0)
    sent, answered = [], {}
    for number in range(count):
        lead = str(number)
        delivery = delivery_id(CAMPAIGN, 1, lead)
        sender = MAILBOXES[number % 2]
        send = Send(
            request_id=str(delivery), campaign=CAMPAIGN, step=1, variant="A", lead=lead, to=f"{lead}@example.net",
            sender=sender, subject="A question", html="<p>Hello</p>", requested_at=now, delivery_id=str(delivery),
        )  # fmt: skip
        made = instrument(
            send, settings.keyring, public_url=settings.public_url, envelope_domain=settings.envelope_domain, now=now
        )
        original: Message = email.message_from_bytes(made.message)
        sent.append(
            Sent(
                id=str(event_id(delivery, "sent")), at=now, delivery_id=str(delivery), campaign=CAMPAIGN, step=1,
                variant="A", lead=lead, sender=sender, recipient_domain="example.net",
                message_id=str(original["Message-ID"]), address=made.address,
            )
        )  # fmt: skip
        if number % 4 < 2:
            answered[lead] = answers.reply(original, send.to, "Yes please, send me two bags."), "reply"
        else:
            raw = answers.bounce(original, made.envelope_from, send.to, "5.1.1", "550 5.1.1 no such user here")
            answered[lead] = raw, "bounce"
    with works.stream.client() as client:
        insert_lines(client, "events", lines(sent))
    return answered


def _events(works: Works) -> Counter[tuple[str, str]]:
    """How many events of each lead and kind there are, but that it was sent."""
    rows = works.stream.ask(
        "SELECT lead, kind, count() FROM events FINAL WHERE campaign = {c:String} AND kind != 'sent' GROUP BY 1, 2",
        c=CAMPAIGN,
    )
    return Counter({(lead, kind): times for lead, kind, times in rows})


def _read(works: Works) -> Counter[str]:
    """How often each mail stands on the topic, by its digest."""
    return Counter(mail.digest for value in works.stream.read(MAIL) for mail in _decode_mails(value))


def _wait_until_read(works: Works, mails: int) -> None:
    wait_until(lambda: len(_read(works)) >= mails, _LONGEST, f"{mails} mails to be read", every=0.5)


@contextmanager
def _inbox(works: Works, server: ImapServer, name: str) -> Iterator[Process]:
    """`sendlens inbox` on a machine of its own."""
    folder = works.stream.folder / f"inbox-{name}"
    folder.mkdir()
    senders = folder / "senders.toml"
    senders.write_text(
        "".join(
            f'[[account]]\naddress = "{mailbox}"\n[account.imap]\nhost = "127.0.0.1"\nport = {server.port}\n'
            'tls = "none"\npassword_env = "TEST_IMAP_PASSWORD"\n\n'
            for mailbox in MAILBOXES
        )
    )
    more = {
        "SENDLENS_DATA_DIR": str(folder / "data"),
        "SENDLENS_SENDERS": str(senders),
        "SENDLENS_INBOX_POLL_SECONDS": "0.5",
        "TEST_IMAP_PASSWORD": PASSWORD,
    }
    process = start(["-m", "sendlens", "inbox"], folder / "inbox.log", works.stream.environment | more)
    try:
        yield process
    finally:
        process.kill()
