"""Another mailbox than IMAP's: the inbox asks it for what it asks of IMAP, and nothing else."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ingest.inbox.follower import MailboxFollower
from ingest.inbox.inbox_metrics import InboxMetrics
from ingest.inbox.mail_publisher import MailPublisher, StopSignal
from ingest.inbox.mailbox import FolderRefused, Mailbox
from ingest.inbox.position import FetchedMail, FolderSearch, FolderState, FoundMail
from ingest.inbox.positions import PositionFile
from schemas.state.positions import Position
from schemas.topics import MAIL, POSITIONS
from stream.publisher import Publisher
from stream.state import StateTopic
from tests.ingest.inbox.conftest import settings_on
from tests.ingest.inbox.house import ANNA, House, a_mail, subjects
from tests.support.broker import Broker
from tests.support.imap import ImapServer


class FileMailbox:
    """A folder of files, one a mail, named by their numbers."""

    tells = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.closed = False

    def names_of(self, folders: Sequence[str]) -> list[str]:
        return list(folders)

    def examine(self, name: str) -> FolderState:
        if name != "INBOX":
            raise FolderRefused(f"there is no {name}")
        last = max(self._numbers(), default=0)
        return FolderState(ANNA, name, uidvalidity=1, uidnext=last + 1, last=last)

    def find(self, search: FolderSearch) -> list[FoundMail]:
        until = search.until or max(self._numbers(), default=0)
        return [FoundMail(number) for number in self._numbers() if search.above < number <= until]

    def fetch(self, mails: Sequence[FoundMail]) -> list[FetchedMail]:
        now = datetime.now(UTC)
        raws = [(mail.uid, (self._folder / str(mail.uid)).read_bytes()) for mail in mails]
        return [FetchedMail(uid, now, len(raw), raw) for uid, raw in raws]

    def wait(self, seconds: float, waker: int) -> None:
        select.select([waker], [], [], seconds)

    def break_off(self) -> None:
        """Nothing here waits."""

    def close(self) -> None:
        self.closed = True

    def _numbers(self) -> list[int]:
        return sorted(int(path.name) for path in self._folder.iterdir())


async def test_the_inbox_follows_a_mailbox_that_is_not_imap(embedded: Broker, tmp_path: Path) -> None:
    settings, folder = settings_on(embedded.bootstrap), tmp_path / "mails"
    folder.mkdir()
    (folder / "1").write_bytes(a_mail("one"))
    publisher, metrics, stop = Publisher(settings, [MAIL, POSITIONS]), InboxMetrics(), StopSignal()
    view = StateTopic(settings, POSITIONS, Position, lambda position: position.key)
    publisher.start()
    opened: list[FileMailbox] = []

    def connect() -> Mailbox:
        opened.append(FileMailbox(folder))
        return opened[-1]

    mail_publisher = MailPublisher(publisher, view, PositionFile(tmp_path / "positions"), metrics, stop)
    follower = MailboxFollower(
        ANNA, ["INBOX", "Spam"], connect, mail_publisher, metrics, stop,
        days=2, poll_seconds=0.05, clock=lambda: datetime.now(UTC), share=lambda: 0.5,
    )  # fmt: skip
    thread = threading.Thread(target=follower.run)
    thread.start()
    house = House(ImapServer("pymap", ()), settings, tmp_path / "house")
    try:
        await asyncio.to_thread(house.mails, 1)
        (folder / "2").write_bytes(a_mail("two"))
        mails = await asyncio.to_thread(house.mails, 2)
    finally:
        stop.ask()
        await asyncio.to_thread(thread.join)
        await publisher.stop(5)
    assert subjects(mails) == ["one", "two"]
    assert {(mail.folder, mail.uid) for mail in mails} == {("INBOX", 1), ("INBOX", 2)}
    assert opened[-1].closed
    assert [position.uid for position in house.positions()][-1] == 2
