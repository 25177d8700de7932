"""What stands on the topic of events and ClickHouse may not have yet: everything after what the store acknowledged.

A guard reads its own partitions, and ClickHouse is a second behind. With what lies between, of all partitions, a count
is one of every event that was written before it was asked for, whoever was to read it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from agents.lag import group_of
from agents.pipeline import STORE
from schemas.errors import Retry
from schemas.settings import Settings
from schemas.topics import EVENTS

_WANTED = (b'{"kind":"sent"', b'{"kind":"bounce"')
_FETCH_MS = 20
_ANSWER_MS = 2_000
_PATIENCE_SECONDS = 10.0
# Records of events that are read for one count: seconds of them at most. A store that lags more is not waited for.
MOST_RECORDS = 20_000


class _Line(msgspec.Struct):
    """What counts of an event."""

    kind: str
    campaign: str
    delivery_id: str
    at: datetime
    bounce_class: str = ""


@dataclass(frozen=True, slots=True)
class Emails:
    """By campaign: emails sent, with when; and those that bounced hard."""

    sent: defaultdict[str, list[tuple[str, datetime]]] = field(default_factory=lambda: defaultdict(list))
    hard: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def sent_since(self, campaign: str, since: datetime | None) -> list[str]:
        return [id_ for id_, at in self.sent.get(campaign, ()) if since is None or at >= since]


class AheadOfStore:
    """For one caller at a time."""

    def __init__(self, settings: Settings, most: int = MOST_RECORDS) -> None:
        self._settings = settings
        self._most = most
        self._admin: KafkaAdminClient | None = None
        self._decode = msgspec.json.Decoder(_Line).decode

    def read(self) -> Emails | None:
        """All of it; None when the store is so far behind that reading it would take too long. Ask ClickHouse
        afterwards, not before: the store may insert meanwhile. Raises Retry when Kafka does not answer."""
        try:
            if self._admin is None:
                self._admin = KafkaAdminClient(bootstrap_servers=self._settings.kafka_servers)
            # A connection of its own for each look: what an old one still has under way would tell an old end.
            consumer = KafkaConsumer(
                bootstrap_servers=self._settings.kafka_servers,
                enable_auto_commit=False,
                fetch_max_wait_ms=_FETCH_MS,
                bootstrap_timeout_ms=_ANSWER_MS,
            )
            try:
                return self._read(self._admin, consumer)
            finally:
                consumer.close(autocommit=False, timeout_ms=0)
        except (KafkaError, OSError) as error:
            self.close()
            raise Retry(f"Kafka at {self._settings.kafka}: {error!r}") from error

    def close(self) -> None:
        admin, self._admin = self._admin, None
        with suppress(KafkaError, OSError):
            if admin is not None:
                admin.close()

    def _read(self, admin: KafkaAdminClient, consumer: KafkaConsumer) -> Emails | None:
        name = self._settings.topic(EVENTS)
        parts = [TopicPartition(name, number) for number in range(self._settings.partitions_of(EVENTS))]
        group = group_of(self._settings, STORE)
        stored = admin.list_group_offsets({group: parts})[group]
        starts, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
        consumer.assign(parts)
        for tp in parts:
            consumer.seek(tp, max(starts[tp], stored[tp].offset if tp in stored else 0))
        if sum(max(0, ends[tp] - consumer.position(tp)) for tp in parts) > self._most:
            return None
        emails = Emails()
        fences: dict[TopicPartition, int] = {}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            for tp in parts:
                # Where a partition ends the embedded broker says only when something is fetched. What is written
                # after that is no part of this count: whoever reads it counts anew.
                if tp not in fences and (told := consumer.highwater(tp)) is not None:
                    fences[tp] = max(ends[tp], told)
            if len(fences) == len(parts) and all(consumer.position(tp) >= fences[tp] for tp in parts):
                return emails
            if time.monotonic() > deadline:
                raise Retry("what the store has not acknowledged can't be read to its end")
            for records in consumer.poll(timeout_ms=10 * _FETCH_MS).values():
                self._take(records, emails)

    def _take(self, records: Iterable[Any], emails: Emails) -> None:
        for record in records:
            for line in filter(None, (record.value or b"").split(b"\n")):
                if not line.startswith(_WANTED):
                    continue
                try:
                    event = self._decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    continue  # a dead letter of whoever is to handle it
                if event.kind == "sent":
                    emails.sent[event.campaign].append((event.delivery_id, event.at))
                elif event.bounce_class == "hard":
                    emails.hard[event.campaign].append(event.delivery_id)
