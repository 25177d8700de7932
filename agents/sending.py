"""The sender at work: send requests in, and what waited; deliveries, events, links and what waits anew out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from agents.attempts import Attempts, attempts_view
from agents.decisions.gate import Already
from agents.due import Due
from agents.known import Known
from agents.metrics import DEAD_LETTERS
from agents.records import Handled, Handler, Out, Record, Write, dead_letter, poison
from agents.result import Result
from agents.sender import Sender
from agents.waiting import Waits, waits_view
from clickhouse.store import connect
from schemas.attempts import Attempt
from schemas.errors import Reject, Retry
from schemas.events import Campaign, Delivery, Lead, Link, Pause, Send, lines
from schemas.senders import load as load_senders
from schemas.settings import Settings
from schemas.state import StateTopic
from schemas.topics import (
    ATTEMPTS,
    CAMPAIGNS,
    DEAD,
    DELIVERIES,
    EVENTS,
    LEADS,
    LINKS,
    PAUSES,
    RETRIES,
    SENDS,
    Topic,
)

log = structlog.get_logger()

STAGE = "sender"

# As long as the topic has them: the store may lag by hours, and what it has not stored ClickHouse can't know of.
_RECENT = DELIVERIES.retention_ms / 1000

_WRITE_AGAIN_SECONDS = 0.5
_LONGEST_WITHDRAWAL = 30.0  # half of what the group waits for one that leaves (Faust's broker_rebalance_timeout, 60 s)

# What the topic has forgotten. Of newer ones the topic knows more than the store has inserted.
_OPEN_FOR_LONG = """
SELECT toString(delivery_id), toString(request_id), attempt, at, sender, message_id
FROM attempts FINAL
WHERE delivery_id IN {deliveries:Array(UUID)} AND outcome = '' AND at < now() - INTERVAL 2 DAY
"""

_ALREADY_SENT = """
SELECT toString(delivery_id), any(request_id)
FROM events
WHERE kind = 'sent' AND delivery_id IN {deliveries:Array(UUID)}
GROUP BY delivery_id
"""


class Sending(Handler):
    """Joins the sender with Kafka's state topics and with ClickHouse's memory of what was sent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._senders = load_senders(settings)
        self._campaigns = StateTopic(settings, CAMPAIGNS, Campaign, key=lambda campaign: campaign.id)
        self._pauses = StateTopic(settings, PAUSES, Pause, key=lambda pause: pause.campaign)
        self._leads = StateTopic(settings, LEADS, Lead, key=lambda lead: lead.key)
        self._deliveries = StateTopic(
            settings, DELIVERIES, Delivery, key=lambda delivery: delivery.delivery_id, forget_after=_RECENT
        )
        self._waiting = waits_view(settings)
        self._decode = msgspec.json.Decoder(Send).decode
        self._client: Client | None = None

    async def start(self, write: Write) -> None:
        self._write = write
        self._attempts = attempts_view(self._settings, lambda attempt: self._sender.outlets.limits.saw(attempt))
        self._waits = Waits(self._settings, self._waiting)
        self._sender = Sender(
            self._settings,
            self._senders,
            Known(
                self._campaigns,
                self._pauses,
                self._leads,
                self._deliveries,
                self._waiting,
                Attempts(self._attempts, self._publish_attempt),
            ),
            already_sent=self._already_sent,
            publish_links=self._publish_links,
        )
        self._due = Due(self._sender, self._waits, self._publish)
        for view in self._views:
            view.start()
        self._due.start()

    @property
    def _views(self) -> Sequence[StateTopic[Any]]:
        return self._campaigns, self._pauses, self._leads, self._deliveries, self._waiting, self._attempts

    def assigned(self, partitions: Collection[tuple[str, int]]) -> None:
        self._sender.partitions_assigned()
        self._due.owned = frozenset(number for name, number in partitions if name == SENDS.name)

    async def revoked(self) -> None:
        self._due.owned = frozenset()
        await self._sender.withdraw(_LONGEST_WITHDRAWAL)

    async def rest(self) -> None:
        await self._due.rest()

    def interrupt(self) -> None:
        self._sender.stop()

    async def stop(self) -> None:
        await self._sender.close()
        for view in self._views:
            view.stop()
        await asyncio.to_thread(self._waits.close)
        if self._client is not None:
            self._client.close()

    async def handle(self, records: Sequence[Record]) -> Handled:
        """Send what may be sent. What came of an email is written at once, not when its batch is done: the judge
        waits for its delivery's time."""
        handled = Handled()
        readable: list[tuple[Record, Send]] = []
        for record in records:
            try:
                readable.append((record, self._decode(record.value)))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                handled.dead.append(poison(record, Reject("unreadable", str(error))))
        results = await self._sender.send([send for _, send in readable], self._publish)
        if any(result.unfinished for result in results):
            raise Retry("stopped before every email was sent")
        for (record, _), result in zip(readable, results, strict=True):
            if result.dead is not None:
                handled.dead.append(poison(record, result.dead))
        return handled

    async def _publish(self, result: Result) -> None:
        """Write what came of an email, however long that takes: it can't be found out again. That its attempt has
        ended, and how it waits, comes last: a worker that finds those looks for nothing else."""
        if result.unfinished:
            return
        await self._insist(self._records(result))
        await self._insist(self._last_records(result))

    async def _insist(self, records: list[Out]) -> None:
        while records:
            try:
                await self._write(records)
                return
            except Retry as error:
                log.warning("an email's events wait for Kafka", why=str(error)[:200])
                await asyncio.sleep(_WRITE_AGAIN_SECONDS)

    def _records(self, result: Result) -> list[Out]:
        out = []
        if result.delivery is not None:
            self._deliveries.put(result.delivery)
            id_ = result.delivery.delivery_id
            out.append(self._out(DELIVERIES, id_, msgspec.json.encode(result.delivery)))
        if result.events:
            out.append(self._out(EVENTS, result.events[0].delivery_id, lines(result.events)))
        if result.dead is not None and result.waited is not None:
            out.append(Out(DEAD, 0, STAGE.encode(), self._letter(result, result.dead)))
        return out

    def _last_records(self, result: Result) -> list[Out]:
        out = []
        for topic, record in ((ATTEMPTS, result.attempt), (RETRIES, result.waiting)):
            if record is not None:
                out.append(self._out(topic, result.send.delivery_id, msgspec.json.encode(record)))
        return out

    def _letter(self, result: Result, dead: Reject) -> bytes:
        """The dead letter of an email that waited. It holds the request, as if that had just come."""
        send = result.send
        number = self._settings.partition_of(SENDS, send.lead)
        record = Record(SENDS, number, -1, send.lead.encode(), msgspec.json.encode(send), 0.0)
        DEAD_LETTERS.labels(STAGE, dead.reason).inc()
        log.error("an email that waited is set aside in topic dead", delivery=send.delivery_id, reason=dead.reason)
        return dead_letter(STAGE, poison(record, dead), datetime.now(UTC))

    async def _publish_attempt(self, attempt: Attempt) -> None:
        await self._write([self._out(ATTEMPTS, attempt.delivery_id, msgspec.json.encode(attempt))])

    def _out(self, topic: Topic, key: str, value: bytes) -> Out:
        return Out.keyed(self._settings, topic, key, value)

    async def _publish_links(self, links: Sequence[Link]) -> None:
        await self._write([self._out(LINKS, link.link_id, msgspec.json.encode(link)) for link in links])

    async def _already_sent(self, deliveries: Sequence[str]) -> dict[str, Already]:
        """Which of these were sent before, and by which request. Raises Retry while nobody can say."""
        return await asyncio.to_thread(self._already_sent_now, deliveries)

    def _already_sent_now(self, deliveries: Sequence[str]) -> dict[str, Already]:
        if self._client is None:
            self._client = connect(self._settings)
        try:
            asked = {"deliveries": list(deliveries)}
            rows = self._client.query(_ALREADY_SENT, parameters=asked).result_rows
            for row in self._client.query(_OPEN_FOR_LONG, parameters=asked).result_rows:
                delivery, request, number, at, sender, message = row
                self._attempts.put(
                    Attempt(
                        delivery_id=delivery, request_id=request, attempt=number, at=at.replace(tzinfo=UTC),
                        sender=sender, message_id=message,
                    )
                )  # fmt: skip
        except ClickHouseError as error:
            raise Retry(f"ClickHouse can't say what was sent before: {str(error)[:200]}") from error
        return {str(delivery): Already(str(request) or None) for delivery, request in rows}
