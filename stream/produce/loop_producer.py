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
    InvalidMetadataError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RetriableError,
    for_code,
)

from stream.produce.broker_link import BrokerLink
from stream.produce.produce_request import produce_request, produce_response
from stream.produce.record_batch import record_batch

_CLIENT = b"sendlens-ingest"
# As kafka-python's: how long the broker may wait for its replicas, and we for the broker; the pause before a resend.
_REQUEST_MS = 30_000
_AGAIN_SECONDS = 0.1
_CONNECT_SECONDS = 5.0

Address = tuple[str, int]
Delivered = Callable[[KafkaError | None], None]


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
    batch: bytes = b""  # once it was sent, and the same whenever it is sent again


@dataclass(slots=True, eq=False)
class _PartitionQueue:
    """A partition: its records in order, the first of them in flight or not, and the sequence number of the next."""

    partition: int
    records: deque[_Record] = field(default_factory=deque)
    in_flight: bool = False
    sequence: int = 0


class LoopProducer:
    """Delivers each record once and in order, with acks=all, however often it takes. All on the event loop.

    One batch of a partition is in flight at a time. It is sent again, the same bytes, until the broker answers with
    success or with an error that no resend can mend. After such an error, but that a record is too large, no sequence
    number is certain: close it and make another with another id.
    """

    def __init__(self, topic: str, leaders: Leaders, producer_id: int, producer_epoch: int) -> None:
        self._topic = topic.encode()
        self._leaders = leaders
        self._producer = producer_id, producer_epoch
        self._loop = asyncio.get_running_loop()
        self._queues: dict[int, _PartitionQueue] = {}
        self._due: dict[_PartitionQueue, None] = {}  # in order
        self._links: dict[Address, BrokerLink] = {}
        self._connecting: dict[Address, asyncio.Task[None]] = {}
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
        queue.records.append(_Record(value, delivered))
        if len(queue.records) == 1:
            self._make_due(queue)

    async def drain(self, patience: float) -> None:
        """Wait until every record has its answer, or for `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered_all.wait(), patience)

    def close(self, error: KafkaError) -> None:
        """Send no more. Records that were not answered get this error; Kafka may have them."""
        self._closed = True
        for task in self._connecting.values():
            task.cancel()
        for link in list(self._links.values()):
            link.close()
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
        for queue in due:
            if queue.in_flight or not queue.records:
                continue
            address = self._leaders.of(queue.partition)
            if address is None:
                self._again([queue], True)
            else:
                by_address.setdefault(address, []).append(queue)
        for address, queues in by_address.items():
            link = self._links.get(address)
            if link is None:
                self._connect(address, queues)
            else:
                self._ask(link, queues)

    def _ask(self, link: BrokerLink, queues: Sequence[_PartitionQueue]) -> None:
        now = time.time_ns() // 1_000_000
        for queue in queues:
            queue.in_flight = True
            record = queue.records[0]
            if not record.batch:
                record.batch = record_batch(record.value, now, *self._producer, queue.sequence)
        self._correlation = (self._correlation + 1) & 0x7FFF_FFFF
        batches = [(queue.partition, queue.records[0].batch) for queue in queues]
        request = produce_request(self._correlation, _CLIENT, self._topic, _REQUEST_MS, batches)
        link.ask(self._correlation, request, partial(self._answered, link, queues))

    def _answered(self, link: BrokerLink, queues: Sequence[_PartitionQueue], frame: bytes | None) -> None:
        if self._closed:
            return
        codes: dict[int, int] = {}
        if frame is not None:
            try:
                codes = dict(produce_response(frame))
            except ValueError:
                link.close()
        failed: list[tuple[_PartitionQueue, KafkaError]] = []
        for queue in queues:
            queue.in_flight = False
            error = _error(codes.get(queue.partition))
            if error is None:
                self._delivered(queue, None)
            else:
                failed.append((queue, error))
        again = [(queue, error) for queue, error in failed if isinstance(error, RetriableError)]
        if again:
            elsewhere = any(isinstance(error, InvalidMetadataError) for _, error in again)
            self._again([queue for queue, _ in again], elsewhere)
        for queue, error in failed:
            if not isinstance(error, RetriableError) and not self._closed:  # it may be closed for the first of them
                self._delivered(queue, error)

    def _delivered(self, queue: _PartitionQueue, error: KafkaError | None) -> None:
        record = queue.records.popleft()
        if not isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):  # refused: its number is free
            queue.sequence = (queue.sequence + 1) & 0x7FFF_FFFF
        if queue.records:
            self._make_due(queue)
        self._answer(record, error)

    def _answer(self, record: _Record, error: KafkaError | None) -> None:
        self._unanswered -= 1
        if not self._unanswered:
            self._answered_all.set()
        record.delivered(error)

    def _again(self, queues: Sequence[_PartitionQueue], elsewhere: bool) -> None:
        if self._closed:
            return
        if elsewhere:
            self._leaders.look_again()
        self._loop.call_later(_AGAIN_SECONDS, self._all_due, queues)

    def _all_due(self, queues: Sequence[_PartitionQueue]) -> None:
        for queue in queues:
            self._make_due(queue)

    def _connect(self, address: Address, queues: Sequence[_PartitionQueue]) -> None:
        """Connect to the broker, once, and send then; what comes meanwhile waits for the same connection."""
        task = self._connecting.get(address)
        if task is None:
            task = self._connecting[address] = self._loop.create_task(self._connected(address))
        task.add_done_callback(lambda _: self._all_due(queues) if address in self._links else self._again(queues, True))

    async def _connected(self, address: Address) -> None:
        def lost(link: BrokerLink) -> None:
            if self._links.get(address) is link:
                del self._links[address]

        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, link = await self._loop.create_connection(lambda: BrokerLink(_REQUEST_MS / 1000, lost), *address)
            if link.connected:
                self._links[address] = link
        except (OSError, UnicodeError):  # TimeoutError is an OSError; a name that can be none in DNS is the other
            pass
        finally:
            del self._connecting[address]


def _error(code: int | None) -> KafkaError | None:
    """What a partition's code says of its batch: None when Kafka has it."""
    if code is None:
        return KafkaConnectionError("no answer")
    # A duplicate is a batch that was sent again because the first answer was lost.
    return None if code in (0, DuplicateSequenceNumberError.errno) else for_code(code)()
