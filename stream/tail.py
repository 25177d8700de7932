"""Reads stretches of a topic's partitions, outside any consumer group: what a group has not acknowledged, what stood
before a record, the record at a place."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import Topic
from stream.offsets import FETCH_MS, end_of, has_fetched, open_consumer, partitions, position_of
from stream.records import Record

_POLL_MS = 200
_ANSWER_MS = 2_000
_PATIENCE_SECONDS = 10.0
_FETCH_BYTES = 1024 * 1024


class TailReader:
    """One topic, over a connection that opens at the first use and closes with the block, or by `close`.

    For one thread. Everything raises Retry when the broker does not answer; the next use reconnects.
    """

    def __init__(self, settings: Settings, topic: Topic, *, fetch_bytes: int = _FETCH_BYTES) -> None:
        self._settings = settings
        self._topic = topic
        self._fetch_bytes = fetch_bytes
        self._consumer: KafkaConsumer | None = None

    def __enter__(self) -> TailReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        with suppress(KafkaError, OSError):
            if consumer is not None:
                consumer.close(autocommit=False, timeout_ms=0)

    def starts(self) -> dict[int, int]:
        """The first offset of each partition that is still there."""
        return self._listed("beginning_offsets")

    def ends(self) -> dict[int, int]:
        """Where each partition ends, as the broker lists it: too low by a batch on the one in memory."""
        return self._listed("end_offsets")

    def read(self, starts: Mapping[int, int], ends: Mapping[int, int] | None = None) -> Iterator[Record]:
        """The records of these partitions from `starts` up to and without `ends`, those of a partition in order.

        Without `ends` it is where each partition ended when it was first fetched from; what is written later is not
        read. An end must have been written. Raises Retry when nothing comes for ten seconds.
        """
        try:
            yield from self._read(self._connected(), starts, ends)
        except (KafkaError, OSError) as error:
            raise self._failed(error) from error

    def _read(
        self, consumer: KafkaConsumer, starts: Mapping[int, int], ends: Mapping[int, int] | None
    ) -> Iterator[Record]:
        places = {TopicPartition(self._settings.topic(self._topic), number): number for number in starts}
        consumer.assign(list(places))
        for tp, number in places.items():
            consumer.seek(tp, starts[number])
        fences = {} if ends is None else {tp: ends[number] for tp, number in places.items()}
        listed = {} if fences else consumer.end_offsets(list(places))
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while left := _unread(consumer, places, fences, listed):
            if time.monotonic() > deadline:
                raise Retry(f"{left[0].topic}/{left[0].partition} can't be read from {consumer.position(left[0])} on")
            for tp, found in consumer.poll(timeout_ms=_POLL_MS).items():
                deadline = time.monotonic() + _PATIENCE_SECONDS
                yield from (self._record(each) for each in found if tp not in fences or each.offset < fences[tp])

    def _record(self, found: Any) -> Record:
        return Record(
            self._topic, found.partition, found.offset, found.key or b"", found.value or b"", found.timestamp / 1000
        )

    def _listed(self, which: str) -> dict[int, int]:
        try:
            told = getattr(self._connected(), which)(partitions(self._settings, self._topic))
        except (KafkaError, OSError) as error:
            raise self._failed(error) from error
        return {tp.partition: offset for tp, offset in told.items()}

    def _connected(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = open_consumer(
                self._settings,
                max_partition_fetch_bytes=self._fetch_bytes,
                fetch_max_wait_ms=FETCH_MS,
                bootstrap_timeout_ms=_ANSWER_MS,
            )
        return self._consumer

    def _failed(self, error: Exception) -> Retry:
        self.close()
        return Retry(f"Kafka at {self._settings.kafka}: {error!r}")


def _unread(
    consumer: KafkaConsumer,
    places: Iterable[TopicPartition],
    fences: dict[TopicPartition, int],
    listed: Mapping[TopicPartition, int],
) -> list[TopicPartition]:
    """The partitions that are not read to their fence; notes the fence of each that was fetched from by now."""
    for tp in places:
        if tp not in fences and has_fetched(consumer, tp):
            fences[tp] = end_of(consumer, tp, listed[tp])
    return [tp for tp in places if tp not in fences or position_of(consumer, tp) < fences[tp]]
