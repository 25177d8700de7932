"""One mailbox, followed in a thread of its own: connect, read what is new in each folder, wait, and so on for good."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from ingest.inbox.handover import Handover, Stop, Stopped
from ingest.inbox.metrics import Metrics
from ingest.inbox.position import (
    Fetched,
    Folder,
    Found,
    again,
    batches,
    here,
    is_renumbered,
    next_pause,
    passed,
    searches,
    wanted,
)
from ingest.inbox.session import FolderRefused, LoginRefused, MailRefused, Session, hang_up, log_in, open_line
from schemas.errors import Misconfigured, Retry
from schemas.events import Position
from schemas.senders import Account, Imap, Senders

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


class Mailbox:
    """Follows one account's mailbox until asked to stop. `share` gives random numbers of 0..1."""

    def __init__(
        self,
        account: Account,
        login: Imap,
        senders: Senders,
        handover: Handover,
        metrics: Metrics,
        stop: Stop,
        *,
        days: int,
        poll_seconds: float,
        clock: Callable[[], datetime],
        share: Callable[[], float],
    ) -> None:
        self.name = account.address
        self._login = login
        self._senders = senders
        self._handover = handover
        self._metrics = metrics
        self._stop = stop
        self._days = timedelta(days=days)
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._share = share
        self._session: Session | None = None
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
            except Stopped:
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
                self._metrics.connected.labels(self.name).set(0)
            try:
                self._stop.wait(next_pause(self._failures, self._share(), refused=refused))
            except Stopped:
                break

    def break_off(self) -> None:
        """End what the thread waits for on its connection. For other threads."""
        session = self._session
        if session is not None:
            session.break_off()

    def _succeeded(self, session: Session) -> None:
        if not self._following:
            log.info("following a mailbox", mailbox=self.name, idle=session.can_idle)
        self._following, self._failures, self._problem = True, 0, ""
        self._metrics.connected.labels(self.name).set(1)

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
        credential = self._senders.credential(self._login)
        if credential is None:
            raise Misconfigured(f"{self.name}: nothing to log in with")
        client = open_line(self._login)
        try:
            log_in(client, credential)
            session = self._session = Session(self.name, client)
            folders = session.names_of(self._login.folders)
            while True:
                # The first one last, so that it is open while we wait.
                if not [name for name in reversed(folders) if self._look(session, name)]:
                    raise Retry(f"no folder can be opened: {'; '.join(self._missing.values())}")
                self._succeeded(session)
                self._wait(session, folders)
        finally:
            self._session = None
            hang_up(client)
            self._arrive()  # or the next connection would read it again
            for position in self._reached.values():
                self._keep(position)

    def _wait(self, session: Session, folders: Sequence[str]) -> None:
        if not session.can_idle or folders[0] in self._missing:
            self._stop.wait(self._poll_seconds)
            return
        others = self._poll_seconds * _OTHERS if len(folders) > 1 else _IDLE_SECONDS
        session.idle(min(others, _IDLE_SECONDS), self._stop.waker)
        self._stop.wait(0)

    def _look(self, session: Session, name: str) -> bool:
        """Read what is new in a folder; False when it can't be opened, which is said once."""
        try:
            folder = session.examine(name)
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
        for criteria, above in searches(position):
            found = session.find(criteria, above)
            left = len(found)
            for batch in batches(found):
                self._metrics.behind.labels(self.name).set(left)
                left -= len(batch)
                fetched = self._fetch(session, folder, batch)  # while those before are on their way to Kafka
                mails = [mail for mail in fetched if wanted(position, mail)]
                position = passed(position, batch[-1].uid, mails, self._clock())
                self._hand_over(folder, mails, position)
            if above < position.old_until:
                position = passed(position, position.old_until, (), self._clock())
            self._metrics.behind.labels(self.name).set(0)
        self._arrive()
        self._reach(position)
        return True

    def _position(self, folder: Folder) -> Position:
        now = self._clock()
        known = self._reached.get(folder.name)
        if known is None:
            known, lost = self._handover.known(self.name, folder.name)
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

    def _fetch(self, session: Session, folder: Folder, batch: Sequence[Found]) -> list[Fetched]:
        """The mails; without those that are gone, or that the server does not give however often it is asked."""
        try:
            return session.fetch(batch)
        except MailRefused:
            if len(batch) == 1:
                self._count_refused(folder, batch[0])
                return []
            return [mail for one in batch for mail in self._fetch(session, folder, [one])]

    def _hand_over(self, folder: Folder, mails: Sequence[Fetched], position: Position) -> None:
        """See these on their way to Kafka, where few enough are."""
        self._arrive(_UNDER_WAY - 1)
        self._under_way.append((self._handover.begin(folder, mails, self._clock), position))

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

    def _count_refused(self, folder: Folder, mail: Found) -> None:
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
            self._handover.position(position)
            self._kept[position.folder] = position
