"""From the mailboxes' threads to Kafka and back: returns when Kafka has it, and tries until then."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
import structlog
from msgspec.structs import replace

from ingest.inbox.metrics import Metrics
from ingest.inbox.positions import PositionFile, newer
from ingest.publisher import Publisher
from schemas.errors import Reject, Retry
from schemas.events import Mail, Position, position_key
from schemas.settings import Settings
from schemas.state import StateTopic
from schemas.topics import MAIL, POSITIONS, Topic, text_partition

log = structlog.get_logger()

_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 1.0
# So much of a mail passes Kafka's own default limit for a record, where the topic was made with that.
_LESS_BYTES = 512 * 1024


class Stopped(Exception):
    """The process is to end: leave everything as it is."""


class Stop:
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
        """Wait so long. Raises Stopped when asked to stop before or meanwhile."""
        if self._asked.wait(seconds):
            raise Stopped


class Handover:
    """Hands mails and positions to Kafka (acks=all) for threads, by the publisher on the event loop."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        view: StateTopic[Position],
        file: PositionFile,
        metrics: Metrics,
        stop: Stop,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._publisher = publisher
        self._view = view
        self._file = file
        self._metrics = metrics
        self._stop = stop

    def known(self, mailbox: str, folder: str) -> tuple[Position | None, bool]:
        """The folder's position, and whether Kafka has lost what it had up to there."""
        key = position_key(mailbox, folder)
        return newer(self._file.get(key), self._view.get(key))

    def mails(self, mails: Sequence[Mail], clock: Callable[[], datetime]) -> None:
        """Put the mails on their topic; returns when Kafka has them all. Raises Stopped."""
        partition = {m.mailbox: text_partition(m.mailbox, self._settings.partitions_of(MAIL)) for m in mails}
        left = list(mails)
        said = False
        while left:
            records = [(partition[mail.mailbox], mail.mailbox, msgspec.json.encode(mail)) for mail in left]
            answers = self._ask(MAIL, records)
            again = []
            for mail, answer in zip(left, answers, strict=True):
                if isinstance(answer, Retry):
                    again.append(mail)
                    if not said:
                        log.warning("mails wait for Kafka, and in their mailbox", mailbox=mail.mailbox, why=str(answer))
                        said = True
                elif answer is not None and len(mail.raw) > _LESS_BYTES:
                    again.append(replace(mail, raw=mail.raw[:_LESS_BYTES], truncated=True))
                    log.warning(
                        "Kafka takes only a part of a mail", mailbox=mail.mailbox, uid=mail.uid, why=str(answer)
                    )
                else:
                    self._count(mail, answer, clock())
            if len(again) == len(left):
                self._stop.wait(_PAUSE_SECONDS)
            left = again

    def position(self, position: Position) -> None:
        """Keep the position, on the topic and in the file; call it only when all before it is in Kafka."""
        partition = text_partition(position.key, self._settings.partitions_of(POSITIONS))
        record = (partition, position.key, msgspec.json.encode(position))
        while True:
            (answer,) = self._ask(POSITIONS, [record])
            if answer is None:
                break
            self._stop.wait(_PAUSE_SECONDS)
        self._view.put(position)
        try:
            self._file.keep(position)
        except OSError as error:  # the topic has it
            log.warning("a position could not be written to disk", mailbox=position.mailbox, error=repr(error))

    def _count(self, mail: Mail, answer: BaseException | None, now: datetime) -> None:
        if answer is None:
            self._metrics.mails.labels(mail.mailbox, "truncated" if mail.truncated else "published").inc()
            self._metrics.lag.observe(max(0.0, (now - mail.received_at).total_seconds()))
        else:
            self._metrics.mails.labels(mail.mailbox, "refused").inc()
            log.error("Kafka will never take a mail", mailbox=mail.mailbox, uid=mail.uid, why=str(answer))

    def _ask(self, topic: Topic, records: list[tuple[int, str, bytes]]) -> list[BaseException | None]:
        """Publish all at once. For each None, Retry or Reject. Raises Stopped."""
        self._stop.wait(0)

        async def publish() -> list[BaseException | None]:
            return await asyncio.gather(
                *(
                    self._publisher.publish(topic, partition, key, value, _ANSWER_SECONDS)
                    for partition, key, value in records
                ),
                return_exceptions=True,
            )

        answers = asyncio.run_coroutine_threadsafe(publish(), self._loop).result()
        for answer in answers:
            if answer is not None and not isinstance(answer, Retry | Reject):
                raise answer
        return answers
