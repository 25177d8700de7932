"""The store: topics into the ClickHouse tables of the same name, as bytes that are not decoded unless refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from agents.metrics import ROWS
from agents.records import Handled, Handler, Poison, Record, poison
from clickhouse.store import connect, insert_lines
from schemas.errors import Reject
from schemas.events import AnyEvent, Campaign, Hit, Lead, Link
from schemas.settings import Settings
from schemas.topics import CAMPAIGNS, EVENTS, HITS, LEADS, LINKS, Topic

_DECODERS: dict[Topic, msgspec.json.Decoder[Any]] = {
    HITS: msgspec.json.Decoder(Hit),
    EVENTS: msgspec.json.Decoder(AnyEvent),
    CAMPAIGNS: msgspec.json.Decoder(Campaign),
    LEADS: msgspec.json.Decoder(Lead),
    LINKS: msgspec.json.Decoder(Link),
}


class Store(Handler):
    """Inserts what it is handed, at most `store_rows` rows an insert; a row it can't insert goes to `dead`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None

    async def stop(self) -> None:
        if self._client is not None:
            self._client.close()

    async def handle(self, records: Sequence[Record]) -> Handled:
        """Insert all. Raises Retry while the database can't take them."""
        handled = Handled()
        by_topic = sorted(records, key=lambda record: record.topic.name)
        for topic, group in groupby(by_topic, key=lambda record: record.topic):
            for chunk in _chunks(list(group), self._settings.store_rows):
                handled.dead += await self._insert(topic, chunk)
        return handled

    async def _insert(self, topic: Topic, records: list[Record]) -> list[Poison]:
        """Insert records of one topic; returns those that were refused, whole, after their good lines went in."""
        lines = b"".join(_ended(record.value) for record in records)
        try:
            await self._insert_lines(topic, lines)
            return []
        except Reject as refused:
            if len(records) > 1:  # find the culprit: halves, so that one bad row costs a logarithm, not all
                half = len(records) // 2
                return await self._insert(topic, records[:half]) + await self._insert(topic, records[half:])
            return await self._insert_good_lines(topic, records[0], refused)

    async def _insert_good_lines(self, topic: Topic, record: Record, refused: Reject) -> list[Poison]:
        for line in filter(None, record.value.split(b"\n")):
            try:
                _DECODERS[topic].decode(line)
                await self._insert_lines(topic, line + b"\n")
            except (Reject, msgspec.MsgspecError, UnicodeDecodeError) as error:
                refused = error if isinstance(error, Reject) else Reject("unreadable", str(error))
        return [poison(record, refused)]

    async def _insert_lines(self, topic: Topic, lines: bytes) -> None:
        await asyncio.to_thread(self._insert_now, topic, lines)
        ROWS.labels(topic.name).inc(lines.count(b"\n"))

    def _insert_now(self, topic: Topic, lines: bytes) -> None:
        if self._client is None:
            self._client = connect(self._settings)
        insert_lines(self._client, topic.name, lines)


def _chunks(records: list[Record], rows: int) -> list[list[Record]]:
    """Records in groups of at most `rows` lines; a record is never split."""
    chunks: list[list[Record]] = []
    room = 0
    for record in records:
        lines = record.value.count(b"\n") + 1
        if lines > room:
            chunks.append([])
            room = rows
        chunks[-1].append(record)
        room -= lines
    return chunks


def _ended(value: bytes) -> bytes:
    return value if value.endswith(b"\n") else value + b"\n"
