"""The sender at work: send requests in; deliveries, events and links out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from agents.records import Handled, Out, Record, Write, poison
from agents.sender import Result, Sender
from clickhouse.store import connect
from schemas.errors import Reject, Retry
from schemas.events import Campaign, Delivery, Lead, Link, Send, lines
from schemas.settings import Settings
from schemas.state import StateTopic
from schemas.topics import CAMPAIGNS, DELIVERIES, EVENTS, LEADS, LINKS, Topic, delivery_partition, text_partition

_VIEW_PATIENCE = 30.0
_RECENT = 3600.0  # what ClickHouse has not stored yet is younger than this, or the stage has long been waiting for it

# Asked by campaign as well, because that is how events are sorted.
_ALREADY_SENT = """
SELECT toString(delivery_id), any(request_id)
FROM events
WHERE kind = 'sent' AND campaign IN {campaigns:Array(String)} AND delivery_id IN {deliveries:Array(UUID)}
GROUP BY delivery_id
"""


class Sending:
    """Joins the sender with Kafka's state topics and with ClickHouse's memory of what was sent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._campaigns = StateTopic(settings, CAMPAIGNS, Campaign, key=lambda campaign: campaign.id)
        self._leads = StateTopic(settings, LEADS, Lead, key=lambda lead: lead.lead)
        self._deliveries = StateTopic(
            settings, DELIVERIES, Delivery, key=lambda delivery: delivery.delivery_id, forget_after=_RECENT
        )
        self._decode = msgspec.json.Decoder(Send).decode
        self._client: Client | None = None

    async def start(self, write: Write) -> None:
        self._write = write
        for view in (self._campaigns, self._leads, self._deliveries):
            view.start()
        self._sender = Sender(
            self._settings,
            campaigns=self._campaigns,
            leads=self._leads,
            deliveries=self._deliveries,
            already_sent=self._already_sent,
            publish_links=self._publish_links,
            clock=time.time,
        )
        await self._sender.start()

    async def stop(self) -> None:
        await self._sender.stop()
        for view in (self._campaigns, self._leads, self._deliveries):
            view.stop()
        if self._client is not None:
            self._client.close()

    async def handle(self, records: Sequence[Record]) -> Handled:
        """Send what may be sent. Raises Retry until the state topics have been read once."""
        for view in (self._campaigns, self._leads, self._deliveries):
            if not view.ready and not await view.wait_until_current(0.001, _VIEW_PATIENCE):
                raise Retry(f"the topic {view.topic} has not been read to its end yet")
        handled = Handled()
        readable: list[tuple[Record, Send]] = []
        for record in records:
            try:
                readable.append((record, self._decode(record.value)))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                handled.dead.append(poison(record, Reject("unreadable", str(error))))
        results = await self._sender.send([send for _, send in readable])
        for (record, _), result in zip(readable, results, strict=True):
            handled.out += self._records(result)
            if result.dead is not None:
                handled.dead.append(poison(record, result.dead))
        return handled

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

    async def _already_sent(self, sends: Sequence[Send]) -> dict[str, str]:
        """The request id of each delivery that was sent before, by delivery id. Raises Retry while nobody can say."""
        return await asyncio.to_thread(self._already_sent_now, sends)

    def _already_sent_now(self, sends: Sequence[Send]) -> dict[str, str]:
        if self._client is None:
            self._client = connect(self._settings)
        parameters = {
            "campaigns": sorted({send.campaign for send in sends}),
            "deliveries": sorted({send.delivery_id for send in sends}),
        }
        try:
            rows = self._client.query(_ALREADY_SENT, parameters=parameters).result_rows
        except ClickHouseError as error:
            raise Retry(f"ClickHouse can't say what was sent before: {str(error)[:200]}") from error
        return {str(delivery): str(request) for delivery, request in rows}
