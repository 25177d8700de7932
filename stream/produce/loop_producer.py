"""An idempotent producer of one topic that lives on the event loop.

kafka-python makes a dozen objects a record, on a thread that takes the interpreter from the loop and gives it back
twice a round trip. For hits, with their many small records, that cost as much as all else together. Here a turn of the
loop writes one request a broker and reads one response.

Metadata and the producer's id are those of a kafka-python producer that writes to other topics, so the sequence numbers
of this one are ours alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from kafka.errors import (
    DuplicateSequenceNumberError,
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RetriableError,
    for_code,
)

from stream.produce.broker_link import BrokerLink
from stream.produce.broker_links import Address, BrokerLinks, jitter, pause
from stream.produce.produce_request import produce_request, produce_response
from stream.produce.record_batch import record_batch

_CLIENT = b"sendlens-ingest"
# As kafka-python's: how long the broker may wait for its replicas, and we for the broker; how long a record is tried.
_REQUEST_MS = 30_000
_DELIVERY_SECONDS = 120.0
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)

Delivered = Callable[[KafkaError | None], None]


class ProducerSpent(KafkaError):  # type: ignore[misc]  # kafka-python is untyped
    """Not known to be delivered, and nothing more can be under this producer's id."""


class Leaders(Protocol):
    """What the producer asks of who knows the cluster, at any time and without waiting."""

    def of(self, partition: int) -> Address | None:
        """Where the partition's leader listens, None while nobody knows."""
        ...

    def look_again(self) -> None:
        """A leader was not where it was thought to be: have it looked up."""
        ...


@dataclass(slots=True, eq=False)
class _Record:
    value: bytes
    delivered: Delivered
    since: float  # by the loop's clock
    batch: bytes = b""  # once it was sent, and the same whenever it is sent again


@dataclass(slots=True, eq=False)
class _PartitionQueue:
    """A partition: its records in order, the first of them in flight or not, and that one's sequence number."""

    partition: int
    records: deque[_Record] = field(default_factory=deque)
    in_flight: bool = False
    sequence: int = 0
    resent: bool = False  # what is in flight was sent before, and the broker may have it of then
    failures: int = 0  # of the first record, in a row


_Failure = tuple[_PartitionQueue, KafkaError]


class LoopProducer:
    """Delivers each record once and in order, with acks=all, however often it takes. All on the event loop.

    One batch of a partition is in flight at a time. It is sent again, the same bytes, until the broker answers with
    success or with an error that no resend can mend, or for two minutes. After any error, but that a record is too
    large, no sequence number is certain: close it and make another with another id.
    """

    def __init__(self, topic: str, leaders: Leaders, producer_id: int, producer_epoch: int) -> None:
        self._topic = topic.encode()
        self._leaders = leaders
        self._producer = producer_id, producer_epoch
        self._loop = asyncio.get_running_loop()
        self._queues: dict[int, _PartitionQueue] = {}
        self._due: dict[_PartitionQueue, None] = {}  # in order
        self._links = BrokerLinks(_REQUEST_MS / 1000)
        self._correlation = 0
        self._unanswered = 0
        self._answered_all = asyncio.Event()
        self._answered_all.set()
        self._closed = False

    def send(self, partition: int, value: bytes, delivered: Delivered) -> None:
        """Send a record without a key; `delivered` is called once: with None when Kafka has it, or with the error."""
        queue = self._queues.get(partition)
        if queue is None:
            queue = self._queues[partition] = _PartitionQueue(partition)
        self._unanswered += 1
        self._answered_all.clear()
        queue.records.append(_Record(value, delivered, self._loop.time()))
        if len(queue.records) == 1:
            self._make_due(queue)

    async def drain(self, patience: float) -> None:
        """Wait until every record has its answer, or for `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered_all.wait(), patience)

    def close(self, error: KafkaError) -> None:
        """Send no more. Records that were not answered get this error; Kafka may have them."""
        self._closed = True
        self._links.close()
        left = [record for queue in self._queues.values() for record in queue.records]
        self._queues.clear()
        for record in left:
            self._answer(record, error)

    def _make_due(self, queue: _PartitionQueue) -> None:
        if not self._due:
            self._loop.call_soon(self._send_due)
        self._due[queue] = None

    def _send_due(self) -> None:
        """One request a broker for all partitions that have something to send."""
        due, self._due = self._due, {}
        if self._closed:
            return
        by_address: dict[Address, list[_PartitionQueue]] = {}
        leaderless: list[_Failure] = []
        for queue in due:
            if queue.in_flight or not queue.records:
                continue
            address = self._leader_of(queue)
            if address is None:
                leaderless.append((queue, LeaderNotAvailableError("nobody knows the partition's leader")))
            else:
                by_address.setdefault(address, []).append(queue)
        for address, queues in by_address.items():
            link = self._links.get(address)
            if link is None:
                self._links.dial(address, partial(self._dialled, queues))
            else:
                self._ask(link, address, queues)
        self._failed(leaderless)

    def _leader_of(self, queue: _PartitionQueue) -> Address | None:
        try:
            return self._leaders.of(queue.partition)
        except Exception as error:  # whatever it is: a partition that is neither due nor in flight would stand still
            self._report(error)
            return None

    def _ask(self, link: BrokerLink, address: Address, queues: Sequence[_PartitionQueue]) -> None:
        now = time.time_ns() // 1_000_000
        for queue in queues:
            queue.in_flight = True
            record = queue.records[0]
            queue.resent = bool(record.batch)
            if not queue.resent:
                record.batch = record_batch(record.value, now, *self._producer, queue.sequence)
        self._correlation = (self._correlation + 1) & 0x7FFF_FFFF
        batches = [(queue.partition, queue.records[0].batch) for queue in queues]
        request = produce_request(self._correlation, _CLIENT, self._topic, _REQUEST_MS, batches)
        link.ask(self._correlation, request, partial(self._answered, link, address, queues))

    def _answered(
        self, link: BrokerLink, address: Address, queues: Sequence[_PartitionQueue], frame: bytes | None
    ) -> None:
        if self._closed:
            return
        codes: dict[int, int] = {}
        if frame is not None:
            try:
                codes = dict(produce_response(frame))
            except ValueError:
                link.close()
        failed: list[_Failure] = []
        for queue in queues:
            queue.in_flight = False
            code = codes.get(queue.partition)
            error = _no_answer(address) if code is None else _error(code, queue.resent)
            if error is not None:
                failed.append((queue, error))
            elif not self._closed:
                self._delivered(queue, None)
        self._failed(failed)

    def _delivered(self, queue: _PartitionQueue, error: KafkaError | None) -> None:
        record = queue.records.popleft()
        queue.failures = 0
        if not isinstance(error, _TOO_LARGE):  # refused: its number is free
            queue.sequence = (queue.sequence + 1) & 0x7FFF_FFFF
        if queue.records:
            self._make_due(queue)
        self._answer(record, error)

    def _answer(self, record: _Record, error: KafkaError | None) -> None:
        self._unanswered -= 1
        if not self._unanswered:
            self._answered_all.set()
        try:
            record.delivered(error)
        except Exception as raised:  # its own trouble, and no other record's
            self._report(raised)

    def _failed(self, failed: Sequence[_Failure]) -> None:
        """Give up what no resend mends and what was tried for long enough; have the rest tried again after a pause."""
        again: list[_PartitionQueue] = []
        for queue, error in failed:
            if self._closed:  # for one of them
                return
            if not isinstance(error, RetriableError):
                self._delivered(queue, error)
            elif self._loop.time() - queue.records[0].since > _DELIVERY_SECONDS:
                self._delivered(queue, ProducerSpent(f"not delivered in {_DELIVERY_SECONDS:.0f} s: {error!r}"))
            else:
                queue.failures += 1
                again.append(queue)
        if self._closed or not again:
            return
        now, share = self._loop.time(), jitter()  # of all: what failed alike is tried again in one request
        for queue in again:
            self._loop.call_at(now + share * pause(queue.failures), self._make_due, queue)
        try:
            self._leaders.look_again()
        except Exception as error:  # what failed is tried again all the same
            self._report(error)

    def _dialled(self, queues: Sequence[_PartitionQueue], error: KafkaError | None) -> None:
        if self._closed:
            return
        if error is not None:
            self._failed([(queue, error) for queue in queues])
            return
        for queue in queues:
            self._make_due(queue)

    def _report(self, error: Exception) -> None:
        self._loop.call_exception_handler({"message": "while hits were produced", "exception": error})


def _no_answer(address: Address) -> KafkaError:
    return KafkaConnectionError(f"{address[0]}:{address[1]} did not answer")


def _error(code: int, resent: bool) -> KafkaError | None:
    """What a partition's code says of its batch: None when Kafka has it."""
    if code == 0 or (resent and code == DuplicateSequenceNumberError.errno):
        return None
    error = for_code(code)()
    if resent and isinstance(error, _TOO_LARGE):
        # Its number is not free: under it the broker would take the next record for this one, and throw it away.
        return ProducerSpent("too large for the broker now, which may have it of an earlier try")
    return error
