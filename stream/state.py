"""A state topic in memory: how every process reads `campaigns`, `leads`, `links` and `deliveries`.

The newest record of a key wins. A view is `ready` only when it has read to the end once, and always knows up to which
moment it is current, so that a reader may say "not there" and mean it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice, takewhile
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.errors import UNREADABLE, Retry
from schemas.settings import Settings
from schemas.topics import Topic
from stream.offsets import is_behind, open_consumer
from stream.snapshot import Snapshot, SnapshotOffset
from stream.wakeup.patience import Patience
from stream.wakeup.wake_ups import wake_ups

T = TypeVar("T", bound=msgspec.Struct)
log = structlog.get_logger()

_POLL_MS = 200  # how stale a view may be while no caller waits for it
_LONGEST_REST = 30.0  # as long as nobody has said that something was written
_FETCH_MS = 20  # how long the broker may keep an empty fetch: a request for end offsets waits behind it
_RECONNECT_SECONDS = 1.0
_COMPLAIN_SECONDS = 60.0
_ANSWER_MS = 2000  # without an answer for this long the broker is unreachable: reconnect
_FORGET_STEP = 1_000
_SNAPSHOT_SECONDS = 30.0  # how much of the topic is reread after a crash, at most


class _TopicReplaced(Exception):
    """The topic was recreated or has lost its end since it was read: the snapshot's offsets mean nothing."""


class StateTopic(Generic[T]):
    """Follows one topic in a thread of its own. Reading is a dict look-up and safe from any thread.

    `forget_after` drops records whose Kafka timestamp is older, in seconds, for topics that are only a recent past.
    A record for which `over` is true is seen by `seen`, as all are, and not kept. With `placed`, `place` tells where a
    key's newest record stands.
    A record that can't be decoded is counted in `rejected`, logged with its place, and skipped.

    With a `snapshot` its records are known from the start, before Kafka answers, and only what came after it is read.
    That fits topics whose records are never taken back; a view is still `ready` only when Kafka has said so.
    """

    def __init__(
        self,
        settings: Settings,
        topic: Topic,
        record: type[T],
        key: Callable[[T], str],
        *,
        forget_after: float | None = None,
        snapshot: Snapshot | None = None,
        over: Callable[[T], bool] | None = None,
        seen: Callable[[T], object] | None = None,
        placed: bool = False,
    ) -> None:
        self.topic = settings.topic(topic)
        self.rejected = 0
        self.current_at = 0.0
        self._settings = settings
        self._decoder = msgspec.json.Decoder(record)
        self._key = key
        self._forget_after = forget_after
        self._records: dict[str, T] = {}
        self._written_at: dict[str, float] = {}
        self._over = over
        self._seen = seen
        self._places: dict[str, tuple[int, int]] | None = {} if placed else None
        self._snapshot = snapshot
        self._marks: dict[int, SnapshotOffset] = {}
        self._unproved: dict[int, SnapshotOffset] = {}
        self._changed = False
        self._saved_at = time.monotonic()
        self._complained = False  # it was logged that the broker is away, and not yet that it is back
        self._complained_at = float("-inf")
        self._stopping = threading.Event()
        self._wanted = threading.Event()
        self._topic = topic
        self._wake_ups = wake_ups(settings)
        self._is_woken = False  # when something was written
        self._heard = False  # that something was written
        self._resting = False
        self._asks_at = 0.0
        self._patience = Patience(_POLL_MS / 1000, _LONGEST_REST)
        self._thread = threading.Thread(target=self._follow, name=f"state-{topic.name}", daemon=True)

    def start(self) -> None:
        """Begin to follow. Returns at once; see `ready` and `wait_until_current`."""
        self._is_woken = self._wake_ups.listen((self._topic,), self._hear)
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what was read stays readable."""
        self._wake_ups.leave(self._hear)
        self.pause(patience=5)

    def pause(self, patience: float | None = None) -> None:
        """Stop following until `resume`: after this nothing of the broker is known but what was read."""
        self._stopping.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(patience)

    def resume(self) -> None:
        """Follow again, from the topic's beginning: the broker may be another one."""
        self._marks.clear()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._read_on, name=self._thread.name, daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the topic has been read to its end at least once."""
        return self.current_at > 0

    @property
    def silent_for(self) -> float:
        """For how many seconds the broker has been asked, or should have been, without an answer."""
        return max(0.0, time.time() - max(self.current_at, self._asks_at))

    def get(self, key: str, written_until: float | None = None) -> T | None:
        """The record of a key; with `written_until` (epoch seconds) only if it had been written by then, which a view
        knows that forgets by time."""
        if written_until is not None and self._written_at.get(key, 0.0) > written_until:
            return None
        return self._records.get(key)

    def put(self, record: T) -> None:
        """Show a record that this process has just written, before the topic brings it back."""
        self._absorb(record, time.time())

    def place(self, key: str) -> tuple[int, int] | None:
        """Partition and offset of the key's newest record that was read; None before it was."""
        return None if self._places is None else self._places.get(key)

    def keys(self) -> list[str]:
        return list(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._records.values()))

    async def wait_until_current(self, moment: float, patience: float) -> bool:
        """Wait until what was written before `moment` (epoch seconds) is here; False after `patience` seconds.

        The broker is asked at once, as soon as that moment has come.
        """
        deadline, asked = time.monotonic() + patience, False
        while self.current_at < moment:
            if time.monotonic() >= deadline or self._stopping.is_set():
                return False
            if not asked and time.time() >= moment:
                asked = True
                self._patience.end()
                self._wanted.set()
            await asyncio.sleep(0.005)
        return True

    def _follow(self) -> None:
        self._load()
        self._read_on()

    def _read_on(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read()
            except _TopicReplaced:
                log.info("state topic is not as it was left, reading all of it", topic=self.topic)
                self._marks.clear()
                continue
            except KafkaError as error:
                self._lost(error)
            except Exception:
                log.exception("state topic stopped reading, starting again", topic=self.topic)
            self._stopping.wait(_RECONNECT_SECONDS)
        self._save()

    def _lost(self, error: KafkaError) -> None:
        """Log that the broker is away, once a minute at the most: it is tried, and lost again, several times in one."""
        now = time.monotonic()
        if now - self._complained_at >= _COMPLAIN_SECONDS:
            self._complained_at, self._complained = now, True
            log.warning("state topic lost its broker, connecting again", topic=self.topic, error=repr(error))

    def _load(self) -> None:
        if self._snapshot is None:
            return
        lines, self._marks = self._snapshot.load()
        try:
            for line in lines:
                self._absorb(self._decoder.decode(line), 0.0)
        except UNREADABLE as error:  # written by another version
            log.warning("a snapshot can't be understood, reading the topic instead", topic=self.topic, why=str(error))
            self._marks.clear()
        if self._records:
            log.info("state known from a snapshot", topic=self.topic, records=len(self._records))

    def _save(self) -> None:
        if self._snapshot is None or not self._changed or not self.ready:
            return
        self._changed, self._saved_at = False, time.monotonic()
        try:
            self._snapshot.save(list(self._records.values()), self._marks)
        except OSError as error:
            log.warning("a snapshot could not be written", topic=self.topic, error=repr(error))

    def _read(self) -> None:
        consumer = open_consumer(
            self._settings,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_MS,
            reconnect_backoff_max_ms=1000,
            bootstrap_timeout_ms=_ANSWER_MS,
        )
        try:
            partitions = [TopicPartition(self.topic, p) for p in sorted(self._partitions(consumer))]
            if not partitions:
                return
            consumer.assign(partitions)
            self._go_to_marks(consumer, partitions)
            # What is read again goes back to before a pause: until the end is reached, what was known holds. With a
            # snapshot nothing is read again but the last, and what is marked as read must be known.
            again: dict[str, tuple[T, float]] | None = {} if self.ready and self._snapshot is None else None
            fetched_at = 0.0
            while not self._stopping.is_set():
                self._wanted.clear()
                self._heard = False
                self._asks_at = asked_at = time.time()
                ends = consumer.end_offsets(partitions, timeout_ms=_ANSWER_MS)
                while any(is_behind(consumer, tp, ends[tp]) for tp in partitions) and not self._stopping.is_set():
                    self._take(consumer.poll(timeout_ms=_POLL_MS), again)
                if self._stopping.is_set():
                    return
                if self._unproved:
                    raise _TopicReplaced
                for value, written_at in (again or {}).values():
                    self._absorb(value, written_at)
                again = None
                self._forget(asked_at)
                self.current_at = asked_at
                if self._complained:
                    self._complained = False
                    log.info("state topic is current again", topic=self.topic)
                if time.monotonic() - self._saved_at > _SNAPSHOT_SECONDS:
                    self._save()
                # Only a fetch shows that a topic was recreated, so one is sent now and then even at the end.
                if time.monotonic() - fetched_at >= _POLL_MS / 1000:
                    self._take(consumer.poll(timeout_ms=_FETCH_MS))
                    fetched_at = time.monotonic()
                self._rest()
        finally:
            consumer.close(autocommit=False, timeout_ms=0)

    def _rest(self) -> None:
        """Until it is time to ask again. Where others tell of what they write, it is the longer the less is written."""
        if self._wanted.wait(_POLL_MS / 1000):
            return
        self._resting = True  # before it is looked whether something was heard meanwhile
        if self._is_woken and not self._heard:
            rest = self._patience.seconds - _POLL_MS / 1000
            self._asks_at = time.time() + rest
            self._wanted.wait(rest)
        self._resting = False
        if self._heard:
            self._patience.end()

    def _hear(self) -> None:
        self._heard = True
        if self._resting:
            self._wanted.set()

    def _go_to_marks(self, consumer: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        """To the last record read of each partition, which must be there again; else to the beginning."""
        self._unproved = dict(self._marks)
        for tp in partitions:
            if tp.partition in self._marks:
                consumer.seek(tp, self._marks[tp.partition].offset)
            else:
                consumer.seek_to_beginning(tp)

    def _mark(self, record: object) -> None:
        """Note the record as read. Raises _TopicReplaced when it should be the one last read, and is another."""
        mark = SnapshotOffset.of(record.offset, record.timestamp, record.value)  # type: ignore[attr-defined]
        partition: int = record.partition  # type: ignore[attr-defined]
        if self._unproved.pop(partition, mark) != mark:
            raise _TopicReplaced
        self._changed = self._changed or self._marks.get(partition) != mark
        self._marks[partition] = mark

    def _partitions(self, consumer: KafkaConsumer) -> set[int]:
        """The topic's partitions; waits for `sendlens migrate` to have made it."""
        while not self._stopping.is_set():
            found = consumer.partitions_for_topic(self.topic)
            if found:
                return set(found)
            self._stopping.wait(_POLL_MS / 1000)
        return set()

    def _take(
        self, polled: dict[TopicPartition, list[object]], later: dict[str, tuple[T, float]] | None = None
    ) -> None:
        """Absorb what was polled, or put the newest of each key into `later`."""
        if polled:
            self._patience.end()
        for records in polled.values():
            for record in records:
                if self._snapshot is not None:
                    self._mark(record)
                if record.value is None:  # type: ignore[attr-defined]
                    self._bury(record, later)
                    continue
                try:
                    value = self._decoder.decode(record.value)  # type: ignore[attr-defined]  # kafka-python is untyped
                except (*UNREADABLE, TypeError) as error:
                    self.rejected += 1
                    log.warning("unreadable state record skipped", topic=self.topic, at=_place(record), why=str(error))
                    continue
                if self._places is not None:
                    self._places[self._key(value)] = record.partition, record.offset  # type: ignore[attr-defined]
                written_at = record.timestamp / 1000  # type: ignore[attr-defined]
                if later is None:
                    self._absorb(value, written_at)
                else:
                    later.pop(self._key(value), None)  # so that dict order is order of writing
                    later[self._key(value)] = value, written_at

    def _bury(self, record: object, later: dict[str, tuple[T, float]] | None) -> None:
        """A record without a value takes back what stands under its key (a tombstone, in Kafka's words)."""
        key = (record.key or b"").decode("utf-8", "replace")  # type: ignore[attr-defined]
        for kept in (self._records, self._written_at, self._places or {}, later or {}):
            kept.pop(key, None)

    def _absorb(self, record: T, written_at: float) -> None:
        key = self._key(record)
        if self._seen is not None:
            self._seen(record)
        if self._over is not None and self._over(record):
            for kept in (self._records, self._written_at, self._places or {}):
                kept.pop(key, None)
            return
        if self._forget_after is not None and self._records.get(key) == record:
            return  # the same again: it was known when it was first written
        self._records[key] = record
        if self._forget_after is not None:
            self._written_at.pop(key, None)  # so that dict order is order of writing
            self._written_at[key] = written_at

    def _forget(self, now: float) -> None:
        if self._forget_after is None:
            return
        old = now - self._forget_after
        expired = _FORGET_STEP
        while expired == _FORGET_STEP:  # oldest first, in steps: copying millions several times a second is not free
            oldest = list(islice(self._written_at.items(), _FORGET_STEP))
            keys = [key for key, _ in takewhile(lambda item: item[1] < old, oldest)]
            for key in keys:
                self._written_at.pop(key, None)
                self._records.pop(key, None)
            expired = len(keys)


def _place(record: object) -> str:
    return f"{record.partition}/{record.offset}"  # type: ignore[attr-defined]


@contextmanager
def read_to_end(*views: StateTopic[Any], patience: float) -> Iterator[None]:
    """Views as a command wants them: within, they are read to the end and followed; afterwards stopped.

    Raises Retry when the broker does not let them be read within `patience` seconds.
    """
    try:
        for view in views:
            view.start()
        deadline = time.monotonic() + patience
        while behind := [view.topic for view in views if not view.ready]:
            if time.monotonic() > deadline:
                raise Retry(f"Kafka: topic {behind[0]} can't be read to its end")
            time.sleep(0.02)
        yield
    finally:
        for view in views:
            view.stop()
