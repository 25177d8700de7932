"""Consumer lag: records written to the topics of a consumer group and not yet acknowledged by it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import Topic
from stream.offsets import FETCH_MS, CommittedOffsets, fetched_ends, group_of, open_consumer, partitions

_OLDEST_SECONDS = 10.0  # for the oldest records of one stage
_POLL_MS = 200


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """How far a stage has got in one partition. `topic` is without the deployment's prefix.

    `position` is the first offset that it has not acknowledged, `end` where the next record will stand; both are
    offsets, so that of a compacted topic there may be fewer records between them. `oldest_at` is when the record at
    `position` was written, in epoch seconds; None where there is none, or it was not asked for.
    """

    stage: str
    topic: str
    partition: int
    position: int
    end: int
    oldest_at: float | None = None

    @property
    def lag(self) -> int:
        return max(0, self.end - self.position)


class LagProbe:
    """Measures the lag of each stage in each partition; call it as often as needed, from one thread.

    `takes` gives the topics that a stage reads, by the stage's name.
    """

    def __init__(self, settings: Settings, takes: Mapping[str, Iterable[Topic]]) -> None:
        self._settings = settings
        self._taken = {
            stage: {partition for topic in topics for partition in partitions(settings, topic)}
            for stage, topics in takes.items()
        }
        self._acknowledged = CommittedOffsets(settings)
        self._consumer: KafkaConsumer | None = None

    def __call__(self, *, exact: bool) -> dict[str, dict[tuple[str, int], int]]:
        """Records not yet acknowledged, by stage, then by topic's name and partition.

        `exact` finds end offsets by fetching, which costs more. Raises Retry when the broker can't be reached.
        """
        behind: dict[str, dict[tuple[str, int], int]] = {stage: {} for stage in self._taken}
        for found in self.partitions(exact=exact):
            behind[found.stage][found.topic, found.partition] = found.lag
        return behind

    def partitions(self, *, exact: bool, ages: bool = False) -> list[PartitionLag]:
        """How far each stage has got in each partition; with `ages`, since when its oldest record waits. Raises Retry.

        As `exact`, ages cost a fetch: of each partition that has something to read, its first record.
        """
        try:
            if self._consumer is None:
                self._consumer = open_consumer(self._settings, fetch_max_wait_ms=FETCH_MS)
            found = self._probe(self._consumer, exact)
            return self._with_ages(self._consumer, found) if ages else found
        except Retry:
            self.close()
            raise
        except KeyError as error:  # of a partition that is not there, or not yet
            self.close()
            raise Retry(f"Kafka at {self._settings.kafka} does not have {error.args[0]}: `sendlens migrate`") from error
        except (KafkaError, OSError) as error:
            self.close()
            raise Retry(f"Kafka at {self._settings.kafka}: {error!r}") from error

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        with suppress(KafkaError, OSError):
            if consumer is not None:
                consumer.close(autocommit=False)
        self._acknowledged.close()

    def _probe(self, consumer: KafkaConsumer, exact: bool) -> list[PartitionLag]:
        every = sorted(set().union(*self._taken.values()))
        starts, ends = consumer.beginning_offsets(every), consumer.end_offsets(every)
        if exact:
            ends = fetched_ends(consumer, ends)
        prefix = len(self._settings.topic_prefix)
        found = []
        for stage, taken in self._taken.items():
            done = self._acknowledged(group_of(self._settings, stage), taken)
            found += [
                PartitionLag(stage, tp.topic[prefix:], tp.partition, max(starts[tp], done[tp]), ends[tp])
                for tp in sorted(taken)
            ]
        return found

    def _with_ages(self, consumer: KafkaConsumer, found: Sequence[PartitionLag]) -> list[PartitionLag]:
        at: dict[PartitionLag, float] = {}
        for stage in self._taken:
            behind = {self._partition(one): one for one in found if one.stage == stage and one.lag}
            at |= _oldest(consumer, behind)
        return [replace(one, oldest_at=at.get(one)) for one in found]

    def _partition(self, one: PartitionLag) -> TopicPartition:
        return TopicPartition(f"{self._settings.topic_prefix}{one.topic}", one.partition)


def _oldest(consumer: KafkaConsumer, behind: Mapping[TopicPartition, PartitionLag]) -> dict[PartitionLag, float]:
    """When the first record from each position on was written; without those that are not read in time."""
    at: dict[PartitionLag, float] = {}
    consumer.assign(list(behind))
    for tp, one in behind.items():
        consumer.resume(tp)
        consumer.seek(tp, one.position)
    deadline = time.monotonic() + _OLDEST_SECONDS
    while len(at) < len(behind) and time.monotonic() < deadline:
        for tp, records in consumer.poll(timeout_ms=_POLL_MS).items():
            if records and tp in behind:
                at.setdefault(behind[tp], records[0].timestamp / 1000)
                consumer.pause(tp)
    return at
