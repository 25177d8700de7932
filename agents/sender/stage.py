"""The sender stage: send requests and due retries in; deliveries, events, links and new retries out."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from agents.runtime.metrics import DEAD_LETTERS
from agents.sender.attempt_log import AttemptLog, attempts_view
from agents.sender.due_poller import DuePoller
from agents.sender.outcome import SendOutcome
from agents.sender.sender import Sender
from agents.sender.sender_state import SenderState
from agents.sender.wait_queue import WaitQueue, waits_view
from clickhouse.ask import Questions, StageQueries
from decisions.sending.answers import with_recipient
from decisions.sending.gate import PriorSend
from oauth2.renewal import load_senders
from schemas.errors import UNREADABLE, Reject, Retry
from schemas.events import Campaign, Delivery, Lead, Link, Pause, Send, lines
from schemas.settings import Settings
from schemas.state.attempts import Attempt, Waiting
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
from stream.records import Handler, HandleResult, OutRecord, Record, Write, dead_letter, poison
from stream.state import StateTopic

log = structlog.get_logger()

STAGE = "sender"

# As long as the topic has them: the store may lag by hours, and what it has not stored ClickHouse can't know of.
_RECENT = DELIVERIES.retention_ms / 1000

_WRITE_AGAIN_SECONDS = 0.5
_LONGEST_WITHDRAWAL = 30.0  # half of what the group waits for one that leaves (Faust's broker_rebalance_timeout, 60 s)


class SenderStage(Handler):
    """Joins the sender with Kafka's state topics and with ClickHouse's memory of what was sent."""

    def __init__(self, settings: Settings, queries: Questions | None = None) -> None:
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
        self._queries = queries or StageQueries(settings)

    async def start(self, write: Write) -> None:
        self._write = write
        self._attempts = attempts_view(self._settings, lambda attempt: self._sender.routes.limits.saw(attempt))
        self._waits = WaitQueue(self._settings, self._waiting)
        self._sender = Sender(
            self._settings,
            self._senders,
            SenderState(
                self._campaigns,
                self._pauses,
                self._leads,
                self._deliveries,
                self._waiting,
                AttemptLog(self._attempts, self._publish_attempt),
            ),
            already_sent=self._already_sent,
            publish_links=self._publish_links,
        )
        self._due = DuePoller(self._sender, self._waits, self._publish)
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
        self._queries.close()

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        """Send what may be sent. What came of an email is written at once, not when its batch is done: the judge
        waits for its delivery's time."""
        handled = HandleResult()
        readable: list[tuple[Record, Send]] = []
        for record in records:
            try:
                readable.append((record, self._decode(record.value)))
            except UNREADABLE as error:
                handled.dead.append(poison(record, Reject("unreadable", str(error))))
        outcomes = await self._sender.send([send for _, send in readable], self._publish)
        if any(outcome.unfinished for outcome in outcomes):
            raise Retry("stopped before every email was sent")
        for (record, _), outcome in zip(readable, outcomes, strict=True):
            if outcome.dead is not None:
                handled.dead.append(poison(record, outcome.dead))
        return handled

    async def _publish(self, outcome: SendOutcome) -> None:
        """Write what came of an email, however long that takes: it can't be found out again. Each step is there for
        good before the next, so that after a crash the next worker knows how far it came.

        First what decides: that the server took it (its delivery), or that it did not (the end of the attempt). Then
        what is told of it, and how the email waits. Last that this was done: the end of an attempt that the server
        took, or may have taken. One that is still open is told again where the server took it; else nobody knows, and
        an operator decides.
        """
        if outcome.unfinished:
            return
        for step in (self._decided(outcome), self._told(outcome), self._waits_as(outcome), self._done(outcome)):
            await self._insist(step)

    async def _insist(self, records: list[OutRecord]) -> None:
        while records:
            try:
                await self._write(records)
                return
            except Retry as error:
                log.warning("an email's events wait for Kafka", why=str(error)[:200])
                await asyncio.sleep(_WRITE_AGAIN_SECONDS)

    def _decided(self, outcome: SendOutcome) -> list[OutRecord]:
        out = []
        if outcome.delivery is not None:
            self._deliveries.put(outcome.delivery)
            out.append(self._out(DELIVERIES, outcome.delivery.delivery_id, msgspec.json.encode(outcome.delivery)))
        if outcome.refused:
            out += self._of(ATTEMPTS, outcome, outcome.attempt)
        return out

    def _told(self, outcome: SendOutcome) -> list[OutRecord]:
        out = []
        if outcome.events:
            events = outcome.events
            if self._settings.webhooks_to:
                events = with_recipient(events, outcome.send.to)
            out.append(self._out(EVENTS, events[0].delivery_id, lines(events)))
        if outcome.dead is not None and outcome.waited is not None:
            out.append(OutRecord(DEAD, 0, STAGE.encode(), self._letter(outcome, outcome.dead)))
        return out

    def _waits_as(self, outcome: SendOutcome) -> list[OutRecord]:
        return self._of(RETRIES, outcome, outcome.waiting)

    def _done(self, outcome: SendOutcome) -> list[OutRecord]:
        return [] if outcome.refused else self._of(ATTEMPTS, outcome, outcome.attempt)

    def _of(self, topic: Topic, outcome: SendOutcome, record: Attempt | Waiting | None) -> list[OutRecord]:
        return [] if record is None else [self._out(topic, outcome.send.delivery_id, msgspec.json.encode(record))]

    def _letter(self, outcome: SendOutcome, dead: Reject) -> bytes:
        """The dead letter of an email that waited. It holds the request, as if that had just come."""
        send = outcome.send
        number = self._settings.partition_of(SENDS, send.lead)
        record = Record(SENDS, number, -1, send.lead.encode(), msgspec.json.encode(send), 0.0)
        DEAD_LETTERS.labels(STAGE, dead.reason).inc()
        log.error("an email that waited is set aside in topic dead", delivery=send.delivery_id, reason=dead.reason)
        return dead_letter(STAGE, poison(record, dead), datetime.now(UTC))

    async def _publish_attempt(self, attempt: Attempt) -> None:
        await self._write([self._out(ATTEMPTS, attempt.delivery_id, msgspec.json.encode(attempt))])

    def _out(self, topic: Topic, key: str, value: bytes) -> OutRecord:
        return OutRecord.keyed(self._settings, topic, key, value)

    async def _publish_links(self, links: Sequence[Link]) -> None:
        await self._write([self._out(LINKS, link.link_id, msgspec.json.encode(link)) for link in links])

    async def _already_sent(self, deliveries: Sequence[str]) -> dict[str, PriorSend]:
        """Which of these were sent before, and by which request. Raises Retry while ClickHouse does not answer."""
        sent = await self._queries.ask("already_sent", deliveries=list(deliveries))
        for row in await self._queries.ask("attempts_open_for_long", deliveries=list(deliveries)):
            delivery, request, number, at, sender, message = row
            self._attempts.put(
                Attempt(
                    delivery_id=delivery, request_id=request, attempt=number, at=at, sender=sender, message_id=message
                )
            )  # fmt: skip
        return {str(delivery): PriorSend(str(request) or None) for delivery, request in sent}
