"""One mailbox, followed in a thread of its own: connect, read what is new in each folder, wait, and so on for good."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from ingest.inbox.inbox_metrics import InboxMetrics
from ingest.inbox.mail_publisher import InboxStopped, MailPublisher, StopSignal
from ingest.inbox.mailbox import Connect, FolderRefused, LoginRefused, Mailbox, MailRefused
from ingest.inbox.position import (
    FetchedMail,
    FolderState,
    FoundMail,
    again,
    batches,
    here,
    is_renumbered,
    next_pause,
    passed,
    searches,
    wanted,
)
from schemas.errors import Misconfigured, Retry
from schemas.state.positions import Position

log = structlog.get_logger()

# An IDLE must not last 29 minutes (RFC 2177), and what stands between may forget a quiet line much sooner.
_IDLE_SECONDS = 120.0
# Where the server tells of new mail in one folder, the others are looked at so many times more rarely.
_OTHERS = 6
# Batches that may be on their way to Kafka while the next is fetched.
_UNDER_WAY = 2
# A position costs a record and two writes to the disk: as long as there is more to read, one in so long is written. So
# much is read again, as the same mails, after a kill.
_KEPT_EVERY = timedelta(seconds=1)
# A mail that the server refuses to give is asked for on so many connections, in more than a minute, and then left.
_ATTEMPTS = 6


class MailboxFollower:
    """Follows one mailbox until asked to stop. `name` is its account's address; `share` gives numbers of 0..1."""

    def __init__(
        self,
        name: str,
        folders: Sequence[str],
        connect: Connect,
        mail_publisher: MailPublisher,
        metrics: InboxMetrics,
        stop: StopSignal,
        *,
        days: int,
        poll_seconds: float,
        clock: Callable[[], datetime],
        share: Callable[[], float],
    ) -> None:
        self.name = name
        self._folders = folders
        self._connect = connect
        self._mail_publisher = mail_publisher
        self._metrics = metrics
        self._stop = stop
        self._days = timedelta(days=days)
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._share = share
        self._mailbox: Mailbox | None = None
        self._kept: dict[str, Position] = {}
        self._reached: dict[str, Position] = {}
        self._under_way: deque[tuple[Future[None], Position]] = deque()
        self._following = False
        self._failures = 0
        self._problem = ""
        self._missing: dict[str, str] = {}
        self._refused: dict[tuple[str, int, int], int] = {}

    def run(self) -> None:
        """Returns when asked to stop. Nothing else ends it: what fails is said, counted and tried again."""
        while not self._stop.asked():
            refused = False
            try:
                self._follow()
            except InboxStopped:
                break
            except Retry as error:
                refused = isinstance(error, LoginRefused)
                self._failed(str(error))
            except Misconfigured as error:
                refused = True
                self._failed(str(error))
            except Exception:
                log.exception("a mailbox failed", mailbox=self.name)
                self._failed("unexpected")
            finally:
                self._following = False
                self._metrics.follows(self.name, False)
            try:
                self._stop.wait(next_pause(self._failures, self._share(), refused=refused))
            except InboxStopped:
                break

    def break_off(self) -> None:
        """End what the thread waits for on its connection. For other threads."""
        mailbox = self._mailbox
        if mailbox is not None:
            mailbox.break_off()

    def _succeeded(self, mailbox: Mailbox) -> None:
        if not self._following:
            log.info("following a mailbox", mailbox=self.name, idle=mailbox.tells)
        self._following, self._failures, self._problem = True, 0, ""
        self._metrics.follows(self.name, True)

    def _failed(self, why: str) -> None:
        self._failures += 1
        if self._stop.asked():
            return
        self._metrics.reconnects.labels(self.name).inc()
        if why != self._problem:
            self._problem = why
            log.warning("a mailbox can't be read, trying again", mailbox=self.name, why=why)

    def _follow(self) -> None:
        """Connect and read until something fails."""
        mailbox = self._mailbox = self._connect()
        try:
            folders = mailbox.names_of(self._folders)
            while True:
                # The first one last, so that it is open while we wait.
                if not [name for name in reversed(folders) if self._look(mailbox, name)]:
                    raise Retry(f"no folder can be opened: {'; '.join(self._missing.values())}")
                self._succeeded(mailbox)
                self._wait(mailbox, folders)
        finally:
            self._mailbox = None
            mailbox.close()
            self._arrive()  # or the next connection would read it again
            for position in self._reached.values():
                self._keep(position)

    def _wait(self, mailbox: Mailbox, folders: Sequence[str]) -> None:
        if not mailbox.tells or folders[0] in self._missing:
            self._stop.wait(self._poll_seconds)
            return
        others = self._poll_seconds * _OTHERS if len(folders) > 1 else _IDLE_SECONDS
        mailbox.wait(min(others, _IDLE_SECONDS), self._stop.waker)
        self._stop.wait(0)

    def _look(self, mailbox: Mailbox, name: str) -> bool:
        """Read what is new in a folder; False when it can't be opened, which is said once."""
        try:
            folder = mailbox.examine(name)
        except FolderRefused as error:
            if name not in self._missing:
                log.warning("a folder can't be opened", mailbox=self.name, folder=name, why=str(error))
            self._missing[name] = str(error)
            return False
        finally:
            self._metrics.missing.labels(self.name).set(len(self._missing))
        self._missing.pop(name, None)
        position = self._position(folder)
        if folder.uidnext and position.uid >= folder.last and position.uid >= position.old_until:
            self._reach(position)
            return True
        for search in searches(position):
            found = mailbox.find(search)
            left = len(found)
            for batch in batches(found):
                self._metrics.behind.labels(self.name).set(left)
                left -= len(batch)
                fetched = self._fetch(mailbox, folder, batch)  # while those before are on their way to Kafka
                mails = [mail for mail in fetched if wanted(position, mail)]
                position = passed(position, batch[-1].uid, mails, self._clock())
                self._hand_over(folder, mails, position)
            if search.above < position.old_until:
                position = passed(position, position.old_until, (), self._clock())
            self._metrics.behind.labels(self.name).set(0)
        self._arrive()
        self._reach(position)
        return True

    def _position(self, folder: FolderState) -> Position:
        now = self._clock()
        known = self._reached.get(folder.name)
        if known is None:
            known, lost = self._mail_publisher.known(self.name, folder.name)
            if known is not None and lost:
                log.info(
                    "Kafka has no position of a folder: reading its last days again",
                    mailbox=self.name,
                    folder=folder.name,
                )
                known = again(known, now - self._days, now)
        if known is not None and is_renumbered(known, folder):
            log.warning("the server has numbered a folder anew", mailbox=self.name, folder=folder.name)
            self._metrics.renumbered.labels(self.name).inc()
        return here(known, folder, now - self._days, now)

    def _fetch(self, mailbox: Mailbox, folder: FolderState, batch: Sequence[FoundMail]) -> list[FetchedMail]:
        """The mails; without those that are gone, or that the server does not give however often it is asked."""
        try:
            return mailbox.fetch(batch)
        except MailRefused:
            if len(batch) == 1:
                self._count_refused(folder, batch[0])
                return []
            return [mail for one in batch for mail in self._fetch(mailbox, folder, [one])]

    def _hand_over(self, folder: FolderState, mails: Sequence[FetchedMail], position: Position) -> None:
        """See these on their way to Kafka, where few enough are."""
        self._arrive(_UNDER_WAY - 1)
        self._under_way.append((self._mail_publisher.begin(folder, mails, self._clock), position))

    def _arrive(self, leave: int = 0) -> None:
        """Wait until no more than so many batches are on their way; the positions of those that arrived hold then."""
        try:
            while len(self._under_way) > leave:
                arrival, position = self._under_way.popleft()
                arrival.result()
                self._reached[position.folder] = position
                kept = self._kept.get(position.folder)
                if kept is None or position.at - kept.at >= _KEPT_EVERY:
                    self._keep(position)
        except BaseException:
            self._under_way.clear()  # what comes after a gap is read again
            raise

    def _reach(self, position: Position) -> None:
        self._reached[position.folder] = position
        self._keep(position)

    def _count_refused(self, folder: FolderState, mail: FoundMail) -> None:
        """Leave a mail that the server does not give; raises Retry as long as it may still give it."""
        key = folder.name, folder.uidvalidity, mail.uid
        self._refused[key] = self._refused.get(key, 0) + 1
        if self._refused[key] < _ATTEMPTS:
            raise Retry(f"the server does not give mail {mail.uid} of {folder.name}")
        self._metrics.mails.labels(self.name, "unreadable").inc()
        log.error("a mail is left: the server does not give it", mailbox=self.name, folder=folder.name, uid=mail.uid)

    def _keep(self, position: Position) -> None:
        kept = self._kept.get(position.folder)
        if kept is None or replace(kept, at=position.at) != position:
            self._mail_publisher.position(position)
            self._kept[position.folder] = position
