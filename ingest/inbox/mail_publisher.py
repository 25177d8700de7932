"""From the mailboxes' threads to Kafka and back: returns when Kafka has it, and tries until then."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime

import msgspec
import structlog
from msgspec.structs import replace

from ingest.inbox.inbox_metrics import InboxMetrics
from ingest.inbox.position import FetchedMail, FolderState, mail_of, shared
from ingest.inbox.positions import PositionFile, newer
from schemas.errors import Reject, Retry
from schemas.events import lines
from schemas.raw_mail import Mail
from schemas.state.positions import Position, position_key
from schemas.topics import MAIL, POSITIONS, Topic
from stream.publisher import Publisher
from stream.state import StateTopic

log = structlog.get_logger()

_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
# So much of a mail passes Kafka's own default limit for a record, where the topic was made with that.
_LESS_BYTES = 512 * 1024


# Mails that share a record, and the record.
_Shared = tuple[list[Mail], bytes]


class InboxStopped(Exception):
    """The process is to end: leave everything as it is."""


class StopSignal:
    """Tells every thread to end. `waker` is a file that becomes readable then, for those who wait on sockets."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.waker, self._other_end = os.pipe()

    def ask(self) -> None:
        self._asked.set()
        os.write(self._other_end, b"!")

    def asked(self) -> bool:
        return self._asked.is_set()

    def wait(self, seconds: float) -> None:
        """Wait so long. Raises InboxStopped when asked to stop before or meanwhile."""
        if self._asked.wait(seconds):
            raise InboxStopped


class MailPublisher:
    """Hands mails and positions to Kafka (acks=all) for threads, by the publisher on the event loop."""

    def __init__(
        self,
        publisher: Publisher,
        view: StateTopic[Position],
        file: PositionFile,
        metrics: InboxMetrics,
        stop: StopSignal,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._publisher = publisher
        self._view = view
        self._file = file
        self._metrics = metrics
        self._stop = stop

    def known(self, mailbox: str, folder: str) -> tuple[Position | None, bool]:
        """The folder's position, and whether Kafka has lost what it had up to there."""
        key = position_key(mailbox, folder)
        return newer(self._file.get(key), self._view.get(key))

    def begin(self, folder: FolderState, mails: Sequence[FetchedMail], clock: Callable[[], datetime]) -> Future[None]:
        """Put a folder's mails on their topic. Returns at once, so that more can be fetched meanwhile; the result is
        there, for any thread, when Kafka has them all. It raises Stopped."""

        async def see_through() -> None:
            await self._mails(folder.mailbox, await asyncio.to_thread(_records, folder, mails), clock)

        return asyncio.run_coroutine_threadsafe(see_through(), self._loop)

    def position(self, position: Position) -> None:
        """Keep the position, on the topic and in the file; call it only when all before it is in Kafka. Where the
        process is to end it is tried once. Raises InboxStopped."""
        record = (position.key, msgspec.json.encode(position))
        while True:
            (answer,) = asyncio.run_coroutine_threadsafe(self._ask(POSITIONS, [record]), self._loop).result()
            if answer is None:
                break
            self._stop.wait(_PAUSE_SECONDS)
        self._view.put(position)
        try:
            self._file.keep(position)
        except OSError as error:  # the topic has it
            log.warning("a position could not be written to disk", mailbox=position.mailbox, error=repr(error))

    async def _mails(self, mailbox: str, left: list[_Shared], clock: Callable[[], datetime]) -> None:
        said = False
        while left:
            if self._stop.asked():
                raise InboxStopped
            answers = await self._ask(MAIL, [(mailbox, value) for _, value in left])
            again: list[_Shared] = []
            waits = True
            for (some, value), answer in zip(left, answers, strict=True):
                mail = some[0]
                if answer is None:
                    waits = False
                    self._count(some, clock())
                elif isinstance(answer, Retry):
                    again.append((some, value))
                    if not said:
                        log.warning("mails wait for Kafka, and in their mailbox", mailbox=mailbox, why=str(answer))
                        said = True
                elif len(some) > 1:
                    waits = False
                    again += [([one], lines([one])) for one in some]
                elif len(mail.raw) > _LESS_BYTES:
                    waits = False
                    less = replace(mail, raw=mail.raw[:_LESS_BYTES], truncated=True)
                    again.append(([less], lines([less])))
                    log.warning("Kafka takes only a part of a mail", mailbox=mailbox, uid=mail.uid, why=str(answer))
                else:
                    waits = False
                    self._metrics.mails.labels(mailbox, "refused").inc()
                    log.error("Kafka will never take a mail", mailbox=mailbox, uid=mail.uid, why=str(answer))
            if waits:
                await asyncio.sleep(_PAUSE_SECONDS)
            left = again

    def _count(self, mails: Sequence[Mail], now: datetime) -> None:
        for mail in mails:
            self._metrics.mails.labels(mail.mailbox, "truncated" if mail.truncated else "published").inc()
            self._metrics.lag.observe(max(0.0, (now - mail.received_at).total_seconds()))

    async def _ask(self, topic: Topic, records: list[tuple[str, bytes]]) -> list[BaseException | None]:
        """Publish all, keys and values, at once. For each None, Retry or Reject."""
        answers = await asyncio.gather(
            *(self._publisher.publish(topic, key, value, _ANSWER_SECONDS) for key, value in records),
            return_exceptions=True,
        )
        for answer in answers:
            if answer is not None and not isinstance(answer, Retry | Reject):
                raise answer
        return answers


def _records(folder: FolderState, mails: Sequence[FetchedMail]) -> list[_Shared]:
    return [(some, lines(some)) for some in shared([mail_of(folder, mail) for mail in mails])]
