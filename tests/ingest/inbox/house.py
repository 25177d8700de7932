"""A `sendlens inbox` process between a real IMAP server and a real broker, and what it has put on the topic."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from kafka import KafkaConsumer, TopicPartition

from schemas.raw_mail import Mail
from schemas.settings import Settings
from schemas.state.positions import Position
from schemas.topics import MAIL, POSITIONS, Topic
from tests.support.imap import PASSWORD, ImapServer
from tests.support.processes import Process, start
from tests.support.waiting import wait_until

ANNA = "anna@example.com"
_decode_lines = msgspec.json.Decoder(Mail).decode_lines
_LONGEST = 20.0


def a_mail(subject: str, size: int = 0) -> bytes:
    """A mail as it lies in a mailbox, `size` bytes at least."""
    head = f"From: lead@example.org\r\nTo: {ANNA}\r\nSubject: {subject}\r\nMessage-ID: <{subject}@example.org>\r\n\r\n"
    body = "A line of the mail.\r\n"
    return (head + body * max(1, (size - len(head)) // len(body) + 1)).encode()


def as_kept(server: ImapServer, mail: bytes) -> bytes:
    """The mail as the server gives it back: pymap's Maildir keeps bare line feeds, and gives those."""
    return mail.replace(b"\r\n", b"\n") if server.kind == "pymap" else mail


def subjects(mails: Sequence[Mail]) -> list[str]:
    """The subjects, in order."""
    return sorted(mail.raw.split(b"Subject: ", 1)[1].splitlines()[0].decode() for mail in mails)


def accounts(server: ImapServer, mailboxes: Sequence[str] = (ANNA,), more: str = "") -> str:
    """The text of a senders.toml for mailboxes of a server."""
    return "".join(
        f'[[account]]\naddress = "{name}"\n[account.imap]\nhost = "127.0.0.1"\nport = {server.port}\ntls = "none"\n'
        f'password_env = "TEST_IMAP_PASSWORD"\n{more}\n'
        for name in mailboxes
    )


@dataclass
class House:
    """The process and its surroundings. Everything it needs stands in `folder`."""

    server: ImapServer
    settings: Settings
    folder: Path
    poll_seconds: float = 0.3
    days: int = 2
    process: Process | None = None
    env: dict[str, str] = field(default_factory=dict)

    def write(self, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "senders.toml").write_text(text)

    def start(self) -> Process:
        """Start it; returns at once."""
        env = {
            "SENDLENS_KAFKA": self.settings.kafka,
            "SENDLENS_TOPIC_PREFIX": self.settings.topic_prefix,
            "SENDLENS_PARTITIONS": str(self.settings.partitions),
            "SENDLENS_DATA_DIR": str(self.folder / "data"),
            "SENDLENS_SENDERS": str(self.folder / "senders.toml"),
            "SENDLENS_INBOX_POLL_SECONDS": str(self.poll_seconds),
            "SENDLENS_INBOX_DAYS": str(self.days),
            "TEST_IMAP_PASSWORD": PASSWORD,
            "PYTHONUNBUFFERED": "1",
        }
        self.process = start(["-m", "sendlens", "inbox"], self.folder / "inbox.log", os.environ | env | self.env)
        return self.process

    def run(self, text: str = "") -> Process:
        """Start it for these accounts, or Anna alone, and wait until it follows all of them."""
        self.write(text or accounts(self.server))
        before = self.output().count("following a mailbox")
        process = self.start()
        boxes = text.count("[account.imap]") or 1
        self.until(lambda: self.output().count("following a mailbox") >= before + boxes, "mailboxes to be followed")
        return process

    def output(self) -> str:
        log = self.folder / "inbox.log"
        return log.read_text() if log.exists() else ""

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for it; what the process and the server said is told when it does not come."""
        try:
            wait_until(holds, _LONGEST, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}\n{self.server.log()[-1500:]}") from None

    def mails(self, count: int = 0) -> list[Mail]:
        """What stands on the topic `mail`, in the end at least so many."""
        found: list[Mail] = []

        def enough() -> bool:
            nonlocal found
            found = [mail for value in self.records(MAIL) for mail in _decode_lines(value)]
            return len(found) >= count

        self.until(enough, f"{count} mails on the topic")
        return found

    def positions(self) -> list[Position]:
        return [msgspec.json.decode(value, type=Position) for value in self.records(POSITIONS)]

    def records(self, topic: Topic) -> list[bytes]:
        """Every record of a topic, from its beginning."""
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka_servers, enable_auto_commit=False)
        try:
            name = self.settings.topic(topic)
            places = [TopicPartition(name, p) for p in range(self.settings.partitions_of(topic))]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            found: list[bytes] = []
            while True:
                polled = consumer.poll(timeout_ms=300)
                if not polled:
                    return found
                found += [record.value for records in polled.values() for record in records]
        finally:
            consumer.close(autocommit=False)

    def close(self) -> None:
        if self.process is not None:
            with suppress(AssertionError):
                self.process.stop(10)
        self.server.close()
