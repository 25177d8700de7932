"""A mailbox's backlog read onto the topic, beside a loop that only fetches."""

from __future__ import annotations

import sys
import time

import msgspec
from imapclient import IMAPClient
from kafka import KafkaConsumer, TopicPartition

from schemas.raw_mail import Mail
from schemas.settings import Settings
from schemas.topics import MAIL
from tests.bench.broker import Deployment, deployment
from tests.bench.figures import Ratio, Samples, Section, Table, Wrong
from tests.bench.workshop import Workshop, python
from tests.support.imap import PASSWORD, ImapServer, missing

_MAILBOX = "anna@example.com"
_AT_ONCE = 200
_LONGEST = 120.0


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Read the same backlog with both, in turns."""
    count, rounds = (2_000, 1) if quick else (10_000, 3)
    kind = "pymap" if missing("dovecot") else "dovecot"
    section = Section(
        title="Mails read per second from one mailbox",
        how=(
            f"A backlog of {count:,} mails of 3 kB in one mailbox of {kind}. The bare loop is imapclient and nothing "
            f"else: FETCH BODY.PEEK[] of {_AT_ONCE} mails at a time, thrown away. Ours also asks for dates and which are "
            "large, hashes them, writes the records, and waits for Kafka's `acks=all` before each position. The reader is pinned "
            "to one core; mail server and broker share the other. The clock of ours begins when it begins to connect, "
            "that of the bare loop with its first command. After every run the topic is read: a mail missing or there "
            "twice fails the benchmark."
        ),
        command="python -m tests.bench --only mailboxes",
    )
    server = ImapServer(kind, [_MAILBOX])
    ours, bare = [], []
    try:
        server.stock(_MAILBOX, [_mail(number) for number in range(count)])
        server.start()
        _bare(server.port)  # what the server does at a mailbox's first opening is neither's
        for _ in range(rounds):
            bare.append(count / _bare_process(workshop, server.port, count))
            ours.append(count / _ours(workshop, server.port, count))
            print(f"  bare {bare[-1]:,.0f} mails/s, ours {ours[-1]:,.0f} mails/s", flush=True)
    finally:
        server.close()
    mine, theirs = Samples(tuple(ours)), Samples(tuple(bare))
    section.tables.append(
        Table(
            ("reader", "mails/s", "spread"),
            [
                (name, f"{samples.middle:,.0f}", f"{samples.spread:.0%}")
                for name, samples in (("sendlens inbox", mine), ("bare imapclient loop", theirs))
            ],
        )
    )
    section.ratios.append(Ratio("ours / bare imapclient loop", mine.over(theirs), 0.5))
    return section


def _mail(number: int) -> bytes:
    head = f"From: lead{number}@example.org\r\nTo: {_MAILBOX}\r\nSubject: Re: {number}\r\nMessage-ID: <{number}@x.org>\r\n\r\n"
    return (head + "A line of an answer, as long as lines of answers are.\r\n" * 52).encode()


def _bare_process(workshop: Workshop, port: int, count: int) -> float:
    """Seconds of the bare loop, in a process of its own."""
    with workshop.running("bare", python("-m", __name__, str(port)), core=workshop.server_core) as job:
        workshop.await_(job, lambda: bool(job.log.read_text().strip().endswith("s")), _LONGEST)
        mails, seconds, _ = job.log.read_text().split()
    if int(mails) != count:
        raise Wrong(f"the bare loop got {mails} of {count} mails")
    return float(seconds)


def _bare(port: int) -> tuple[int, float]:
    """Fetch all mails; how many, and in how many seconds."""
    client = IMAPClient("127.0.0.1", port, ssl=False)
    client.login(_MAILBOX, PASSWORD)
    began = time.monotonic()
    client.select_folder("INBOX", readonly=True)
    uids = client.search("ALL")
    got = 0
    for first in range(0, len(uids), _AT_ONCE):
        got += len(client.fetch(uids[first : first + _AT_ONCE], ["BODY.PEEK[]"]))
    took = time.monotonic() - began
    client.logout()
    return got, took


def _ours(workshop: Workshop, port: int, count: int) -> float:
    """Seconds of `sendlens inbox`, from when it begins to connect to the last mail's record."""
    with deployment(workshop) as made:
        folder = workshop.folder / f"inbox-{time.monotonic_ns()}"
        folder.mkdir()
        (folder / "senders.toml").write_text(
            f'[[account]]\naddress = "{_MAILBOX}"\n[account.imap]\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\n'
            'password_env = "BENCH_IMAP_PASSWORD"\nfolders = ["INBOX"]\n'
        )
        made.with_(data_dir=folder / "data", senders=folder / "senders.toml")
        env = made.env | {"BENCH_IMAP_PASSWORD": PASSWORD}
        with workshop.running("inbox", python("-m", "sendlens", "inbox"), core=workshop.server_core, env=env) as job:
            workshop.await_(job, lambda: "inbox is ready" in job.log.read_text(), _LONGEST)
            began = time.time()
            workshop.await_(job, lambda: "following a mailbox" in job.log.read_text(), _LONGEST)
        ids, ended = _read(made)
        if len(ids) != count or len(set(ids)) != count:
            raise Wrong(f"{len(ids)} records of {len(set(ids))} mails, not {count}")
        return ended - began


def _read(made: Deployment) -> tuple[list[str], float]:
    """The ids of all mails on the topic, and when the last was written."""
    settings: Settings = made.settings
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_servers, enable_auto_commit=False)
    name = settings.topic(MAIL)
    places = [TopicPartition(name, partition) for partition in range(settings.partitions_of(MAIL))]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    decoder = msgspec.json.Decoder(Mail)
    ids: list[str] = []
    last = 0
    try:
        while polled := consumer.poll(timeout_ms=2000):
            for record in (record for records in polled.values() for record in records):
                ids += [mail.id for mail in decoder.decode_lines(record.value)]
                last = max(last, record.timestamp)
    finally:
        consumer.close(autocommit=False)
    return ids, last / 1000


if __name__ == "__main__":
    print(*_bare(int(sys.argv[1])), "s", flush=True)
