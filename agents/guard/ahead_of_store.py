"""Reads the events that the store has not acknowledged yet, so that ClickHouse may not have them.

A guard reads only its own partitions, and ClickHouse is about a second behind. ClickHouse plus these events, of all
partitions, is an exact count of every event written before the question.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from agents.pipeline import STORE
from schemas.errors import UNREADABLE
from schemas.settings import Settings
from schemas.topics import EVENTS
from stream.offsets import CommittedOffsets, group_of, partitions
from stream.records import Record
from stream.tail import TailReader

_WANTED = (b'{"kind":"sent"', b'{"kind":"bounce"')
# Records of events that are read for one count: seconds of them at most. A store that lags more is not waited for.
MOST_RECORDS = 20_000


class _EventLine(msgspec.Struct):
    """What counts of an event."""

    kind: str
    campaign: str
    delivery_id: str
    at: datetime
    bounce_class: str = ""


@dataclass(frozen=True, slots=True)
class CampaignEmails:
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
        self._acknowledged = CommittedOffsets(settings)
        self._decode = msgspec.json.Decoder(_EventLine).decode

    def read(self) -> CampaignEmails | None:
        """All of it; None when the store is so far behind that reading it would take too long. Ask ClickHouse
        afterwards, not before: the store may insert meanwhile. Raises Retry when Kafka does not answer."""
        stored = self._acknowledged(group_of(self._settings, STORE.name), partitions(self._settings, EVENTS))
        # A new connection each time: a fetch in flight on an old one would report an old end offset.
        with TailReader(self._settings, EVENTS) as tail:
            starts, ends = tail.starts(), tail.ends()
            for place, offset in stored.items():
                starts[place.partition] = max(starts[place.partition], offset)
            if sum(max(0, ends[number] - start) for number, start in starts.items()) > self._most:
                return None
            emails = CampaignEmails()
            # Records written after the end offset was read are not counted: the guard that reads them counts again.
            for record in tail.read(starts):
                self._take(record, emails)
        return emails

    def close(self) -> None:
        self._acknowledged.close()

    def _take(self, record: Record, emails: CampaignEmails) -> None:
        for line in filter(None, record.value.split(b"\n")):
            if not line.startswith(_WANTED):
                continue
            try:
                event = self._decode(line)
            except UNREADABLE:
                continue  # the stage that handles this record sets it aside as a dead letter
            if event.kind == "sent":
                emails.sent[event.campaign].append((event.delivery_id, event.at))
            elif event.bounce_class == "hard":
                emails.hard[event.campaign].append(event.delivery_id)
