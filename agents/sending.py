"""The sender at work: send requests in; deliveries, events and links out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import msgspec
import structlog
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from agents.decisions.gate import Already
from agents.records import Handled, Handler, Out, Record, Write, poison
from agents.sender import Result, Sender
from clickhouse.store import connect
from schemas.errors import Reject, Retry
from schemas.events import Campaign, Delivery, Lead, Link, Pause, Send, lines
from schemas.settings import Settings
from schemas.state import StateTopic
from schemas.topics import (
    CAMPAIGNS,
    DELIVERIES,
    EVENTS,
    LEADS,
    LINKS,
    PAUSES,
    Topic,
    delivery_partition,
    text_partition,
)

log = structlog.get_logger()

# As long as the topic has them: the store may lag by hours, and what it has not stored ClickHouse can't know of.
_RECENT = DELIVERIES.retention_ms / 1000

_WRITE_AGAIN_SECONDS = 0.5
_LONGEST_WITHDRAWAL = 30.0  # half of what the group waits for one that leaves (Faust's broker_rebalance_timeout, 60 s)

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
        self._campaigns = StateTopic(settings, CAMPAIGNS, Campaign, key=lambda campaign: campaign.id)
        self._pauses = StateTopic(settings, PAUSES, Pause, key=lambda pause: pause.campaign)
        self._leads = StateTopic(settings, LEADS, Lead, key=lambda lead: lead.key)
        self._deliveries = StateTopic(
            settings, DELIVERIES, Delivery, key=lambda delivery: delivery.delivery_id, forget_after=_RECENT
        )
        self._decode = msgspec.json.Decoder(Send).decode
        self._client: Client | None = None

    async def start(self, write: Write) -> None:
        self._write = write
        for view in (self._campaigns, self._pauses, self._leads, self._deliveries):
            view.start()
        self._sender = Sender(
            self._settings,
            campaigns=self._campaigns,
            pauses=self._pauses,
            leads=self._leads,
            deliveries=self._deliveries,
            already_sent=self._already_sent,
            publish_links=self._publish_links,
        )

    def assigned(self, partitions: Collection[tuple[str, int]]) -> None:
        self._sender.partitions_assigned()

    async def revoked(self) -> None:
        await self._sender.withdraw(_LONGEST_WITHDRAWAL)

    def interrupt(self) -> None:
        self._sender.stop()

    async def stop(self) -> None:
        await self._sender.close()
        for view in (self._campaigns, self._pauses, self._leads, self._deliveries):
            view.stop()
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
        """Write what came of an email, however long that takes: it can't be found out again."""
        records = self._records(result)
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
        return out

    def _out(self, topic: Topic, key: str, value: bytes) -> Out:
        count = self._settings.partitions_of(topic)
        by_delivery = topic in (DELIVERIES, EVENTS)
        partition = delivery_partition(key, count) if by_delivery else text_partition(key, count)
        return Out(topic, partition, key.encode(), value)

    async def _publish_links(self, links: Sequence[Link]) -> None:
        await self._write([self._out(LINKS, link.link_id, msgspec.json.encode(link)) for link in links])

    async def _already_sent(self, deliveries: Sequence[str]) -> dict[str, Already]:
        """Which of these were sent before, and by which request. Raises Retry while nobody can say."""
        return await asyncio.to_thread(self._already_sent_now, deliveries)

    def _already_sent_now(self, deliveries: Sequence[str]) -> dict[str, Already]:
        if self._client is None:
            self._client = connect(self._settings)
        try:
            rows = self._client.query(_ALREADY_SENT, parameters={"deliveries": list(deliveries)}).result_rows
        except ClickHouseError as error:
            raise Retry(f"ClickHouse can't say what was sent before: {str(error)[:200]}") from error
        return {str(delivery): Already(str(request) or None) for delivery, request in rows}
