"""The store: topics into the ClickHouse tables of the same name, as bytes that are not decoded unless refused.

What numbers are counted from follows each insert of events, before the records are acknowledged (`insert_lines`).
One of the stores counts ahead besides (clickhouse/counting.py).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from agents.runtime.metrics import ROWS
from clickhouse.counting import roll_steps
from clickhouse.store import connect, insert_lines
from decisions.robots.client_ip import keeper
from schemas.errors import UNREADABLE, Misconfigured, Reject, Retry
from schemas.events import AnyEvent, Campaign, Hit, Lead, Link, Pause
from schemas.settings import Settings
from schemas.state.attempts import Attempt, Waiting
from schemas.state.previews import Preview
from schemas.state.webhook_calls import Call, Endpoint
from schemas.topics import (
    ATTEMPTS,
    CALLS,
    CAMPAIGNS,
    EVENTS,
    HITS,
    LEADS,
    LINKS,
    PAUSES,
    PREVIEWS,
    RETRIES,
    WEBHOOKS,
    Topic,
)
from stream.records import Handler, HandleResult, PoisonRecord, Record, Write, poison

log = structlog.get_logger()

# How often rollups are refreshed, in seconds, using at most a tenth of the time, and a third while a round lasts: each
# of its two dozen statements rests twice as long as it took. In one go they take as much processor as five inserts, and
# rows wait behind them. Not longer: an hour that is written to before the round is over was counted for nothing.
# Hours without a rollup are read row by row, which is slower but just as exact.
_ROLL_EVERY = 5.0
_ROLL_SHARE = 0.1
_ROUND_SHARE = 1 / 3
# Hours of one round, so that a round ends soon and the newest hours come first. Daily rollups are rebuilt after this
# many minutes at the earliest.
_ROLL_HOURS = 200
_WIDE_MINUTES = 10

_DECODERS: dict[Topic, msgspec.json.Decoder[Any]] = {
    HITS: msgspec.json.Decoder(Hit),
    EVENTS: msgspec.json.Decoder(AnyEvent),
    CAMPAIGNS: msgspec.json.Decoder(Campaign),
    PAUSES: msgspec.json.Decoder(Pause),
    LEADS: msgspec.json.Decoder(Lead),
    LINKS: msgspec.json.Decoder(Link),
    PREVIEWS: msgspec.json.Decoder(Preview),
    ATTEMPTS: msgspec.json.Decoder(Attempt),
    RETRIES: msgspec.json.Decoder(Waiting),
    WEBHOOKS: msgspec.json.Decoder(Endpoint),
    CALLS: msgspec.json.Decoder(Call),
}


class Store(Handler):
    """Inserts records, at most `store_rows` rows an insert; a row that can't be inserted goes to the topic `dead`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._connecting = threading.Lock()
        self._kept_ip = keeper(settings.client_ip, settings.keyring)
        self._counts_ahead = False
        self._counting: asyncio.Task[None] | None = None

    async def start(self, write: Write) -> None:
        self._counting = asyncio.create_task(self._count_ahead(), name="count-ahead")

    def assigned(self, partitions: Collection[tuple[str, int]]) -> None:
        # One of all workers is enough, and two do no harm.
        self._counts_ahead = (EVENTS.name, 0) in partitions

    async def stop(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
        if self._client is not None:
            self._client.close()

    async def _count_ahead(self) -> None:
        """Refresh the rollups in a loop. No number depends on it, so a failure only writes a log line."""
        while True:
            began = time.monotonic()
            if self._counts_ahead:
                try:
                    await self._roll()
                except (ClickHouseError, Retry, Misconfigured) as error:
                    log.warning("nothing is counted ahead", why=str(error)[:200])
            busy = (time.monotonic() - began) * _ROUND_SHARE
            await asyncio.sleep(max(_ROLL_EVERY, busy / _ROLL_SHARE))

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        """Insert all, the topics side by side. Raises Retry while the database can't take them."""
        by_topic: defaultdict[Topic, list[Record]] = defaultdict(list)
        for record in records:
            by_topic[record.topic].append(record)
        # Events would wait for hits otherwise. None is left behind when one fails: the next try must not meet it.
        done = await asyncio.gather(*(self._store(*one) for one in by_topic.items()), return_exceptions=True)
        if errors := [one for one in done if isinstance(one, BaseException)]:
            raise min(errors, key=lambda error: isinstance(error, Retry))  # what waiting can't mend comes first
        return HandleResult(dead=[dead for one in done if isinstance(one, list) for dead in one])

    async def _store(self, topic: Topic, records: list[Record]) -> list[PoisonRecord]:
        """Insert the records of one topic; returns those that can't be."""
        dead: list[PoisonRecord] = []
        if not topic.batch:  # state is rare, and JSONEachRow more lenient than our readers of it
            dead, records = await asyncio.to_thread(_readable, topic, records)
        for chunk in _chunks(records, self._settings.store_rows):
            dead += await self._insert(topic, chunk)
        return dead

    async def _insert(self, topic: Topic, records: list[Record]) -> list[PoisonRecord]:
        """Insert records of one topic; returns those that were refused, whole, after their good lines went in."""
        try:
            await self._insert_lines(topic, b"".join(_ended(record.value) for record in records))
            return []
        except (Reject, Retry) as error:
            # Records are decoded only now. A row that can't be decoded is at fault, whatever error the server gave.
            dead, good = await asyncio.to_thread(_readable, topic, records)
            if dead:
                return dead + (await self._insert(topic, good) if good else [])
            if isinstance(error, Retry):
                raise
            return await self._insert_halves(topic, records, error)

    async def _insert_halves(self, topic: Topic, records: list[Record], refused: Reject) -> list[PoisonRecord]:
        """Find the rows that ClickHouse refuses though we can read them: one bad row costs a logarithm, not all."""
        if len(records) > 1:
            half = len(records) // 2
            return await self._insert(topic, records[:half]) + await self._insert(topic, records[half:])
        (record,) = records
        lines = record.value.splitlines(keepends=True)
        if len(lines) > 1:
            for line in lines:
                with suppress(Reject):
                    await self._insert_lines(topic, _ended(line))
        return [poison(record, refused)]

    async def _insert_lines(self, topic: Topic, lines: bytes) -> None:
        await asyncio.to_thread(self._insert_now, topic, lines)
        ROWS.labels(topic.name).inc(lines.count(b"\n"))

    def _insert_now(self, topic: Topic, lines: bytes) -> None:
        if self._kept_ip is not None and topic is HITS:
            lines = _with_kept_ips(lines, self._kept_ip)
        insert_lines(self._connected(), topic.table, lines)

    async def _roll(self) -> int:
        """Refresh stale rollups, resting between statements; returns how many hours and days."""
        steps = roll_steps(await asyncio.to_thread(self._connected), _ROLL_HOURS, wide_after_minutes=_WIDE_MINUTES)
        done, began = 0, time.monotonic()
        while (count := await asyncio.to_thread(next, steps, None)) is not None:
            done += count
            await asyncio.sleep((time.monotonic() - began) * (1 / _ROUND_SHARE - 1))
            began = time.monotonic()
        return done

    def _connected(self) -> Client:
        with self._connecting:
            if self._client is None:
                self._client = connect(self._settings)
            return self._client


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


def _with_kept_ips(batch: bytes, kept: Callable[[str], str]) -> bytes:
    """The hits with what is kept of their addresses. What can't be read stays, to be refused and set aside."""
    decode, encode = _DECODERS[HITS].decode, msgspec.json.encode
    lines = []
    for line in filter(None, batch.split(b"\n")):
        try:
            hit: Hit = decode(line)
        except UNREADABLE:
            lines.append(line)
            continue
        lines.append(encode(msgspec.structs.replace(hit, ip=kept(hit.ip))))
    return b"\n".join([*lines, b""])


def _readable(topic: Topic, records: list[Record]) -> tuple[list[PoisonRecord], list[Record]]:
    """The records with a line that can't be decoded, each whole; and all records without such lines."""
    decode = _DECODERS[topic].decode
    dead, good = [], []
    for record in records:
        lines, wrong = [], ""
        for line in filter(None, record.value.split(b"\n")):
            try:
                decode(line)
                lines.append(line)
            except UNREADABLE as error:
                wrong = wrong or str(error)
        if wrong:
            dead.append(PoisonRecord(record, "unreadable", wrong))
        if lines:
            good.append(replace(record, value=b"\n".join(lines)))
    return dead, good
