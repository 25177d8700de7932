"""Turns rows of the pipeline into Faust apps. With contiguous_consumer.py, eager_wait.py and resting_fetch.py
all that knows Faust.

Each stage is an app of its own: own consumer group, own offsets, own lag. An app's agents only feed the stage's
in-flight queue. The queue acknowledges by hand and in order, because Faust's own acknowledging forgets a failed sink,
and commits past gaps when acknowledgements come out of order (faust-streaming issue 606).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.exceptions import ProducerSendError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Producer
from faust.types import TP

from agents.pipeline import Stage
from agents.runtime.contiguous_consumer import ContiguousConsumer
from agents.runtime.eager_wait import EagerWait
from agents.runtime.in_flight import InFlightQueue
from agents.runtime.lease import Lease
from agents.runtime.resting_fetch import RestingFetch
from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import DEAD, Topic
from stream.offsets import group_of
from stream.records import Handler, OutRecord, PoisonRecord, Record, dead_letter
from stream.wakeup.wake_ups import wake_ups

log = structlog.get_logger()

# A first group join waits for about half the session timeout on the broker in memory: 31 s with Faust's default.
_MEMORY_SESSION: dict[str, Any] = {"broker_session_timeout": 6.0, "broker_heartbeat_interval": 2.0}

# Records of a partition that wait for those before them go together: with aiokafka's default of 16 KiB each of the
# judge's would be a round trip alone. Under Kafka's default `max.message.bytes`, 1 MB, which counts whole batches.
_BATCH_BYTES = 512 * 1024

# Faust asks for records with 1,500 ms of patience. Apache Kafka answers at once when one comes; the broker in memory
# looks only now and then, the rarer the more patience it was given: then a record waits for 0.4 s, at p99 for 0.75.
# With 50 ms it waits for some 15. Each request without an answer costs, so with Kafka it is Faust's.
_MEMORY_FETCH_MS = 50

# After so long without an answer a record is written again, perhaps to the partition's new leader: a broker that hangs
# never answers. Faust's default is 20 minutes.
_WRITE_SECONDS = 30.0

# Who leads a partition is asked again so often at the least. aiokafka does not ask when a broker that it asks for a
# partition's beginning says that it leads no more; by default a stage then stands still for five minutes.
_METADATA_MS = 30_000
_MEMORY_METADATA_MS = 300_000  # it leads all of them itself

# A send to a slow mail server is allowed to finish: the partition's next owner would send the email again. Drain and
# this stay under the grace period of stack.py and Compose.
_LONGEST_STOP = 15.0
_LONGEST_LEAVE = 5.0


def _consumer_class(
    lease: Lease, in_flight: Callable[[], Mapping[TP, int]], *, impatient: bool, rests: RestingFetch | None
) -> type[Consumer]:
    """Faust's consumer with EagerWait's way of waiting, whose heartbeats renew the lease. `in_flight` gives
    the lowest offset that the stage has in flight of each partition. `impatient`: with a short fetch wait, for a broker
    that uses up the whole wait. With `rests` it rests between fetches."""

    class Thread(AIOKafkaConsumerThread):
        async def on_start(self) -> None:
            await super().on_start()
            if self._consumer is not None:
                lease.follow(self._consumer._coordinator)
                if rests is not None:
                    rests.follow(self._consumer._fetcher)

        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            if impatient:
                consumer._fetch_max_wait_ms = _MEMORY_FETCH_MS  # no setting of Faust's; read when the consumer starts
            return consumer

    class LeasedConsumer(EagerWait, ContiguousConsumer):
        def in_flight(self) -> Mapping[TP, int]:
            return in_flight()

        def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
            return Thread(self, loop=self.loop, beacon=self.beacon)

        async def verify_all_partitions_active(self) -> None:
            """At once: Faust gives up its turn at each partition, for more than looking at a hundred of them takes."""
            now = time.monotonic()
            for tp in self.assignment():
                self.verify_event_path(now, tp)

    return LeasedConsumer


def _producer_class(lease: Lease) -> type[Producer]:
    """Faust's producer, which writes nothing once the lease has run out."""

    class LeasedProducer(Producer):
        async def on_start(self) -> None:
            await super().on_start()
            producer: Any = self._producer
            lease.hold_back(producer._sender)

    return LeasedProducer


class StageApp:
    """One stage, running. `start` returns when it reads; `done` ends when it can't go on, with the reason."""

    def __init__(self, stage: Stage, handler: Handler, settings: Settings) -> None:
        self.stage = stage
        self._handler = handler
        self._settings = settings
        self._running: asyncio.Task[None] | None = None
        self.owned: frozenset[tuple[str, int]] = frozenset()  # partitions, by topic's name and number
        self.left = False  # the group; without Kafka, Faust tries for over a minute, and is not to be cancelled
        metadata_ms = _MEMORY_METADATA_MS if settings.broker_in_memory else _METADATA_MS
        self._app = faust.App(
            group_of(settings, stage.name),
            broker=[f"kafka://{server}" for server in settings.kafka_servers],
            web_enabled=False,
            key_serializer="raw",
            value_serializer="raw",
            topic_allow_declare=False,  # `sendlens migrate` makes topics, nothing else does
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            stream_wait_empty=False,  # in-flight records are redelivered; waiting for them would stall a rebalance
            stream_buffer_maxsize=1_000,
            broker_commit_interval=1.0,
            producer_max_batch_size=_BATCH_BYTES,
            producer_max_request_size=DEAD.max_record_bytes,
            producer_request_timeout=_WRITE_SECONDS,
            consumer_metadata_max_age_ms=metadata_ms,
            producer_metadata_max_age_ms=metadata_ms,
            consumer_max_fetch_size=DEAD.max_record_bytes,
            datadir=str(settings.data_dir / "faust"),
            **(_MEMORY_SESSION if settings.broker_in_memory else _session(settings.session_seconds)),
        )
        self._lease = Lease(self._app.conf.broker_session_timeout)
        transport: Any = self._app.transport
        self._wake_ups, self._rests = wake_ups(settings), RestingFetch()
        self._is_woken = settings.broker_in_memory and self._wake_ups.listen(stage.takes, self._rests.hear)
        transport.Producer = _producer_class(self._lease)
        transport.Consumer = _consumer_class(
            self._lease,
            self._in_flight,
            impatient=settings.broker_in_memory,
            rests=self._rests if self._is_woken else None,
        )
        self._line = InFlightQueue(
            stage.name,
            stage.policy,
            handler,
            self._write,
            settle=settings.settle_seconds,
            wait=settings.store_seconds,
        )
        for topic in stage.takes:
            self._app.agent(
                self._app.topic(settings.topic(topic), key_serializer="raw", value_serializer="raw"),
                name=f"{stage.name}-{topic.name}",
                concurrency=1,
            )(self._taker(topic))
        self._app.on_partitions_revoked.connect(self._on_revoked)
        self._app.on_partitions_assigned.connect(self._on_assigned)

    async def start(self) -> None:
        """Start the handler, then read."""
        # Faust makes its own folder but not the one around it, which nothing else has made where the keys are given.
        self._settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._app.finalize()
        await self._handler.start(self._write)
        self._running = asyncio.create_task(self._line.run(), name=f"line-{self.stage.name}")
        await self._app.start()
        log.info("stage reads", stage=self.stage.name, takes=[topic.name for topic in self.stage.takes])

    async def done(self) -> None:
        """Wait until the stage ends; raises what ended it."""
        running = self._running
        if running is None:
            raise RuntimeError(f"stage {self.stage.name} was not started")
        crashed = asyncio.create_task(self._app.wait_until_stopped())
        await asyncio.wait([running, crashed], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            try:
                running.result()
            except ExceptionGroup as group:
                raise _first(group) from group
        raise RuntimeError(f"stage {self.stage.name} stopped reading: {self._app.crash_reason!r}")

    async def rest(self) -> None:
        """Begin nothing but what is on the topics; returns when what was begun otherwise is done."""
        await self._handler.rest()

    async def stop(self) -> None:
        """End the calls under way, commit, leave the group."""
        self._wake_ups.leave(self._rests.hear)
        self._line.stop()
        self._handler.interrupt()
        ending = [asyncio.create_task(self._handler.rest()), *([self._running] if self._running is not None else [])]
        await asyncio.wait(ending, timeout=_LONGEST_STOP)
        leaving = asyncio.create_task(self._app.stop())
        await asyncio.wait([leaving], timeout=_LONGEST_LEAVE)
        self.left = leaving.done()
        if not self.left:  # what was not committed comes again
            log.warning("Kafka does not answer, leaving without its goodbye", stage=self.stage.name)
        await self._handler.stop()

    def _taker(self, topic: Topic) -> Callable[[Any], Any]:
        """The agent of one topic."""

        async def take(stream: Any) -> AsyncIterator[None]:
            async for event in stream.noack().events():
                message = event.message
                record = Record(
                    topic=topic,
                    partition=message.partition,
                    offset=message.offset,
                    key=message.key or b"",
                    value=message.value or b"",
                    written_at=message.timestamp,
                )
                await self._line.feed(record, event.ack)
            return
            yield  # an async generator, so that Faust adds no reply sink

        take.__name__ = f"take_{topic.name}"
        return take

    async def _on_revoked(self, _app: Any, /, *revoked: Any, signal: Any, **_kwargs: Any) -> None:
        self.owned = frozenset()
        self._line.drop()
        await self._handler.revoked()
        log.debug("partitions revoked, what was held will come again", stage=self.stage.name)

    async def _on_assigned(self, _app: Any, /, *assigned: Any, signal: Any, **_kwargs: Any) -> None:
        # The names of the topics as the pipeline has them, without the deployment's prefix.
        self._lease.renew()
        prefix = len(self._settings.topic_prefix)
        self.owned = frozenset((tp.topic[prefix:], tp.partition) for tp in assigned[0])
        self._handler.assigned(self.owned)

    def _in_flight(self) -> Mapping[TP, int]:
        prefix = self._settings.topic_prefix
        return {TP(prefix + topic, partition): offset for (topic, partition), offset in self._line.lowest().items()}

    async def _write(self, out: Sequence[OutRecord], dead: Sequence[PoisonRecord] = ()) -> None:
        """Write all and return when the broker has acknowledged all, while the partitions were surely ours.

        Raises Retry when it has not, or they may not have been.
        """
        self._lease.check()
        now, key = datetime.now(UTC), self.stage.name.encode()
        letters = [OutRecord(DEAD, 0, key, dead_letter(self.stage.name, one, now)) for one in dead]
        records = [*out, *letters]
        try:
            written = [
                await self._app.producer.send(
                    self._settings.topic(record.topic), record.key or None, record.value, record.partition, None, None
                )
                for record in records
            ]
            await asyncio.gather(*written)
            self._wake_ups.wake({record.topic for record in records})
            self._lease.check()
        except (KafkaError, ProducerSendError) as error:
            raise Retry(f"Kafka did not take {len(records)} records: {error!r}") from error


def _session(seconds: float) -> dict[str, Any]:
    """Ten heartbeats in the time, 1 to 3 s apart: Kafka advises under a third of it."""
    return {"broker_session_timeout": seconds, "broker_heartbeat_interval": max(1.0, min(3.0, seconds / 10))}


def _first(error: Exception) -> Exception:
    """The error that ended a task group: the first one; the others follow from it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
