"""What wiring and the stages hand each other: records in; records out and dead letters back."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from schemas.errors import Reject
from schemas.settings import Settings
from schemas.state.dead_records import Dead
from schemas.topics import Topic


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as it was read. `written_at` is its Kafka timestamp, in epoch seconds."""

    topic: Topic
    partition: int
    offset: int
    key: bytes
    value: bytes
    written_at: float


@dataclass(frozen=True, slots=True)
class OutRecord:
    """One Kafka record to write. Without a value it takes back what stands under its key."""

    topic: Topic
    partition: int
    key: bytes
    value: bytes | None

    @classmethod
    def keyed(cls, settings: Settings, topic: Topic, key: str, value: bytes | None) -> OutRecord:
        """The record on its key's own partition."""
        return cls(topic, settings.partition_of(topic, key), key.encode(), value)


@dataclass(frozen=True, slots=True)
class PoisonRecord:
    """A record, or a line of it, that can't be processed, and why."""

    record: Record
    reason: str
    detail: str


@dataclass(slots=True)
class HandleResult:
    """The result of a call: records to write before the call's own records are acknowledged."""

    out: list[OutRecord] = field(default_factory=list)
    dead: list[PoisonRecord] = field(default_factory=list)


# Writes records and returns when the broker has acknowledged them all; raises Retry when it has not.
Write = Callable[[Sequence[OutRecord]], Awaitable[None]]


class Handler:
    """A stage at work. `handle` raises Retry to be called again later with the same records, and Reject when one of
    them is poison and it can't say which; anything that it says of its own accord it says in Handled."""

    async def start(self, write: Write) -> None:
        """Open what is needed. Nothing here may wait for a service to come up: `handle` raises Retry for that."""

    async def revoked(self) -> None:
        """The partitions go to another worker when this returns: end what must not be done by two at once."""

    def assigned(self, partitions: Collection[tuple[str, int]]) -> None:
        """These are ours now, by topic's name and number, and no others: records that another worker has handled in
        part may come."""

    def arrived(self, record: Record) -> None:
        """A record joined the line and will be handled when it is due; until then it is only known of."""

    async def rest(self) -> None:
        """The stage is about to stop: begin nothing but what is handed in, and return when what was begun is done."""

    def interrupt(self) -> None:
        """The stage is stopping: end every wait inside `handle`."""

    async def stop(self) -> None:
        """Close what was opened; no call of `handle` is under way."""

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        raise NotImplementedError


def poison(record: Record, error: Reject) -> PoisonRecord:
    return PoisonRecord(record, error.reason, error.detail)


def dead_letter(stage: str, dead: PoisonRecord, now: datetime) -> bytes:
    """The record of topic `dead`: the whole original record with the reason, so that it can be replayed."""
    return msgspec.json.encode(
        Dead(
            stage=stage,
            topic=dead.record.topic.name,
            partition=dead.record.partition,
            offset=dead.record.offset,
            reason=dead.reason,
            detail=dead.detail[:1000],
            at=now,
            key=base64.b64encode(dead.record.key).decode(),
            value=base64.b64encode(dead.record.value).decode(),
        )
    )
