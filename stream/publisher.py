"""The one way from ingest to Kafka: a producer that connects by itself, answers on the event loop and never blocks it.

kafka-python's futures call back on its own thread, and its accumulator has no bound. Both are mended here: answers
cross to the loop in one wake-up for however many there are, and what awaits an answer is bounded in bytes. One busy
topic may go past it (`stream/produce/`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import structlog
from kafka import KafkaProducer
from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RetriableError,
)

from schemas.errors import Misconfigured, Reject, Retry
from schemas.settings import Settings
from schemas.topics import Topic
from stream.produce.loop_producer import LoopProducer
from stream.produce.produce_request import API_KEY, VERSION
from stream.produce.topic_leaders import TopicLeaders
from stream.record_limits import RecordLimits
from stream.wakeup.wake_ups import wake_ups

log = structlog.get_logger()

# None: Kafka has the record. Reject: it takes none of this size. Retry: it may not have it, send it again.
Answer = Reject | Retry | None
Done = Callable[[Answer], None]

# What `publish` may have awaiting Kafka's answer; kafka-python keeps it in memory until it is delivered or given up.
_OUTSTANDING_BYTES = 64 * 1024 * 1024
# Above Kafka's own default for a record: the topic's limit decides, not ours.
_REQUEST_BYTES = 8 * 1024 * 1024
# Metadata is fetched before a producer is used, so a send that would wait for it means the topic is gone just now.
_METADATA_MS = 2
_CONNECT_MS = 2000
_RECONNECT_SECONDS = 0.5


class Publisher:
    """Publishes records with acks=all by an idempotent producer.

    Connects in a thread of its own and again whenever the producer has failed for good, whatever the reason. Call
    everything but the constructor on the event loop. `limits` are those of its topics. Records of `busy` go by a
    LoopProducer, for as long as the producer beside it does not fail; none of them has a key.
    """

    def __init__(self, settings: Settings, topics: Sequence[Topic], busy: Topic | None = None) -> None:
        self.problem: str | None = "not connected to Kafka yet"
        self.unreachable = False  # it was tried
        self.limits = RecordLimits(settings, topics)
        self._settings = settings
        self._topics = topics
        self._busy = busy
        self._producer: KafkaProducer | None = None
        self._loop_producer: LoopProducer | None = None
        self._stopping = threading.Event()
        self._connection = 0  # which of the connections that were asked for is wanted; 0: none
        self._connections = 0
        self._answers: deque[tuple[Topic, Done, Exception | None, KafkaProducer]] = deque()
        self._wake_ups = wake_ups(settings)
        self._waking = False
        self._outstanding = 0

    def start(self) -> None:
        """Begin to connect. Returns at once; `problem` is None when connected."""
        self._loop = asyncio.get_running_loop()
        self._connect_soon()

    async def stop(self, patience: float) -> None:
        """Wait up to `patience` seconds for what was handed to Kafka, then close."""
        self._stopping.set()
        self.limits.stop()
        await self._disconnect("stopping", patience)

    async def hold(self, patience: float) -> None:
        """Leave the broker until `release`, which may be another one: all that is sent is answered by Retry. Waits up
        to `patience` seconds for what was handed over; after this nothing is on its way."""
        await self._disconnect("the broker is being replaced by an empty one", patience)

    def release(self) -> None:
        """Connect again. Returns at once."""
        self._connect_soon()

    async def _disconnect(self, problem: str, patience: float) -> None:
        self._connection = 0
        producer, self._producer, self.problem = self._producer, None, problem
        if producer is not None:
            busy = self._loop_producer
            closing = asyncio.to_thread(_close, producer, patience)
            await asyncio.gather(closing, *([] if busy is None else [busy.drain(patience)]))
        self._close_loop_producer()

    def send(self, topic: Topic, partition: int, key: bytes | None, value: bytes, done: Done) -> None:
        """Hand a record to Kafka; `done` is called on the loop, once, with the answer.

        Raises Retry when it is away, and Reject when the topic takes no record of this size.
        """
        producer = self._producer
        if producer is None:
            raise Retry(self.problem or "not connected to Kafka")
        self.limits.check(topic, key, value)
        if topic is self._busy and self._loop_producer is not None:
            self._loop_producer.send(partition, value, partial(self._delivered, done, producer))
            return
        try:
            future = producer.send(self._settings.topic(topic), value=value, key=key, partition=partition)
        except MessageSizeTooLargeError as error:
            raise Reject("too-large", str(error)) from error
        except KafkaError as error:
            self._replace_if_failed(producer, error)
            raise Retry(f"Kafka did not take the record: {error!r}") from error
        except ValueError as error:  # the partition is not there: the topic was made with fewer than we are set to use
            raise Retry(str(error)) from error
        future.add_both(lambda result: self._answered(topic, done, result, producer))

    async def publish(self, topic: Topic, key: str, value: bytes, within: float) -> None:
        """Publish one record on its key's own partition, and return when it is safe.

        Raises Retry when Kafka has not confirmed it `within` seconds, and then it may still arrive: publish only what
        may arrive twice. Raises Reject when the broker will never take it.
        """
        if self._outstanding + len(value) > _OUTSTANDING_BYTES:
            raise Retry("too much is waiting for Kafka")
        answer: asyncio.Future[None] = self._loop.create_future()

        def done(error: Answer) -> None:
            self._outstanding -= len(value)
            if answer.done():
                return
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)

        self.send(topic, self._settings.partition_of(topic, key), key.encode(), value, done)
        self._outstanding += len(value)
        try:
            await asyncio.wait_for(answer, within)
        except TimeoutError:
            raise Retry("Kafka has not confirmed the record in time") from None

    def _answered(self, topic: Topic, done: Done, result: object, producer: KafkaProducer) -> None:
        """Kafka's answer, on the producer's thread: queue it, and wake the loop unless a wake-up is under way."""
        self._answers.append((topic, done, result if isinstance(result, Exception) else None, producer))
        if not self._waking:
            self._waking = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(self._hear)

    def _hear(self) -> None:
        self._waking = False  # before the queue is read: what comes after wakes us again
        written: set[Topic] = set()
        while self._answers:
            topic, done, error, producer = self._answers.popleft()
            if error is None:
                written.add(topic)
            done(None if error is None else self._said_of(error, producer))
        self._wake_ups.wake(written)

    def _delivered(self, done: Done, producer: KafkaProducer, error: KafkaError | None) -> None:
        """The answer to a record of the busy topic."""
        if error is None:
            done(None)
            if self._busy is not None:
                self._wake_ups.wake((self._busy,))
        elif isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
            done(self._too_large())
        else:
            self._replace_if_failed(producer, error)
            done(Retry(repr(error)))

    def _too_large(self) -> Reject:
        self.limits.look()
        return Reject("too-large", "larger than the broker takes")

    def _said_of(self, error: Exception, producer: KafkaProducer) -> Reject | Retry:
        """What an error says of its record.

        kafka-python's idempotent producer is of no use after any error but one of time, also after a record that was
        too large, and then gives that error to every record it holds: only the first that hears it is meant.
        """
        meant = producer is self._producer
        self._replace_if_failed(producer, error)
        if meant and isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
            return self._too_large()
        return Retry(repr(error))

    def _replace_if_failed(self, producer: KafkaProducer, error: Exception) -> None:
        """Make another when this one has failed for good: by its own word, or its id is unknown to the broker, say."""
        if producer is not self._producer or (isinstance(error, RetriableError) and not _is_fatal(producer)):
            return
        log.warning("producer failed, making another", error=repr(error))
        self._producer, self.problem = None, "connecting to Kafka again"
        self._close_loop_producer()
        threading.Thread(target=_close, args=(producer, 0), daemon=True).start()
        self._connect_soon()

    def _close_loop_producer(self) -> None:
        producer, self._loop_producer = self._loop_producer, None
        if producer is not None:
            producer.close(KafkaConnectionError("closed before Kafka had answered"))

    def _connect_soon(self) -> None:
        self._connections += 1
        self._connection = self._connections
        threading.Thread(target=self._connect, args=(self._connection,), name="kafka-connect", daemon=True).start()

    def _connect(self, connection: int) -> None:
        problem = ""
        while not self._stopping.is_set() and connection == self._connection:
            producer = None
            try:
                producer = self._make()
                self._warm(producer)
            except (KafkaError, Misconfigured) as error:
                if repr(error) != problem:
                    problem = repr(error)
                    log.warning("waiting for Kafka", servers=self._settings.kafka, why=str(error))
                if connection == self._connection:
                    self.unreachable = not isinstance(error, Misconfigured)
                    self.problem = "Kafka can't be reached" if self.unreachable else str(error)
                if producer is not None:
                    _close(producer, 0)
                self._stopping.wait(_RECONNECT_SECONDS)
                continue
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._connected, producer, connection)
            return

    def _connected(self, producer: KafkaProducer, connection: int) -> None:
        if self._stopping.is_set() or connection != self._connection:
            _close(producer, 0)
            return
        self._wake_once_a_turn(producer)
        if self._busy is not None:
            name, known = self._settings.topic(self._busy), producer._transaction_manager.producer_id_and_epoch
            self._loop_producer = LoopProducer(name, TopicLeaders(producer, name), known.producer_id, known.epoch)
        self._producer, self.problem, self.unreachable = producer, None, False
        self.limits.start()
        log.info("connected to Kafka", servers=self._settings.kafka)

    def _wake_once_a_turn(self, producer: KafkaProducer) -> None:
        """Let what is sent in one turn of the loop wake the producer's thread once, and so share a request to Kafka.

        kafka-python wakes it at every record. Each time it takes the interpreter from us and sends that record alone.
        """
        loop_thread, wake, due = threading.get_ident(), producer._sender.wakeup, False

        def wake_now() -> None:
            nonlocal due
            due = False
            wake()

        def wake_soon() -> None:
            nonlocal due
            if threading.get_ident() != loop_thread:  # it is being closed
                wake()
            elif not due:
                due = True
                self._loop.call_soon(wake_now)

        producer._sender.wakeup = wake_soon

    def _make(self) -> KafkaProducer:
        producer = KafkaProducer(
            bootstrap_servers=self._settings.kafka_servers,
            client_id="sendlens-ingest",
            # Said outright: a conflicting setting would otherwise turn idempotence off without a word.
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_request_size=_REQUEST_BYTES,
            max_block_ms=_METADATA_MS,
            bootstrap_timeout_ms=_CONNECT_MS,
            reconnect_backoff_max_ms=1000,
            metrics_enabled=False,
        )
        # A topic made in passing would have the broker's number of partitions. kafka-python 3.0.12 does not hand its
        # setting allow_auto_create_topics on to where the requests are made.
        producer._metadata.config["allow_auto_create_topics"] = False
        return producer

    def _warm(self, producer: KafkaProducer) -> None:
        """Fetch what `send` would otherwise wait for. Raises Misconfigured when a topic is not as we are set, or the
        broker takes no records of a LoopProducer."""
        if self._busy is not None:
            _check_version(producer)
        for topic in self._topics:
            name, want = self._settings.topic(topic), self._settings.partitions_of(topic)
            found = None
            for _ in range(_CONNECT_MS // 20):
                with contextlib.suppress(RetriableError):
                    found = producer.partitions_for(name)
                if found or self._stopping.wait(0.02):
                    break
            if not found:
                raise Misconfigured(f"topic {name} is not there yet: `sendlens migrate` makes it")
            if len(found) != want:
                raise Misconfigured(f"topic {name} has {len(found)} partitions, SENDLENS_PARTITIONS says {want}")
        for _ in range(_CONNECT_MS // 20):
            if producer._transaction_manager.has_producer_id() or self._stopping.wait(0.02):
                return
        raise KafkaTimeoutError("the broker has given the producer no id")


def _check_version(producer: KafkaProducer) -> None:
    known = producer._sender._client._manager.broker_version_data
    lowest, highest = (known.api_versions or {}).get(API_KEY, (0, 0))
    if not lowest <= VERSION <= highest:
        raise Misconfigured(
            f"Kafka (it speaks as {known.broker_version_str}) takes Produce {lowest} to {highest}, hits are written "
            f"by Produce {VERSION}: it must be 2.1 or later, with no proxy before it that is older"
        )


def _is_fatal(producer: KafkaProducer) -> bool:
    """Whether it says itself that it will never send again."""
    return bool(producer._transaction_manager.has_fatal_error())


def _close(producer: KafkaProducer, patience: float) -> None:
    try:
        producer.close(timeout=patience)
    except KafkaError as error:
        if patience:
            log.warning("Kafka did not take everything before the end", error=repr(error))
        # kafka-python leaves its thread running then. Ended, it answers for all that it holds; the mark spares its
        # destructor another try.
        producer._sender.force_close()
        producer._closed = True
