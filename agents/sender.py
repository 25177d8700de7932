"""Sends emails: gate, instrument, announce the links, put them to the mail server, and say what came of each.

Knows neither Kafka nor Faust: whoever calls it publishes the results and acknowledges the requests.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

import structlog

from agents.announced import AnnouncedLinks
from agents.decisions.answers import Accepted, Refused, bounced, deferred, delivered, skipped
from agents.decisions.gate import Already, Go, Replay, Skip, gate
from agents.decisions.instrument import Instrumented, instrument
from agents.decisions.mime import mailbox
from agents.metrics import SENDER_DEFERRED, SENDER_OUTCOMES, SENDER_UNANSWERED
from agents.outage import Outage, Stopped, pause
from agents.sinks.smtp import Dropped, SmtpPool
from schemas.errors import Reject, Retry
from schemas.events import Campaign, Delivery, EmailEvent, Lead, Link, Pause, Send
from schemas.settings import Settings

log = structlog.get_logger()
T_co = TypeVar("T_co", covariant=True)

RETRY_SECONDS = (1.0, 2.0, 4.0)
REMEMBERED = 100_000  # deliveries this process has settled, until the topic and ClickHouse show them
VIEW_PATIENCE_SECONDS = 5.0
# A view is renewed several times a second. One older than this may hide an unsubscribe, or that the broker has given
# our partitions to another worker, which it does after 6 s of silence at the earliest.
STALE_SECONDS = 3.0
# Half of what the judge allows from a token's minting to the mail server's yes (agents/judging.py).
FRESH = timedelta(minutes=5)


class View(Protocol[T_co]):
    """What the sender asks of a StateTopic."""

    def get(self, key: str) -> T_co | None: ...

    async def wait_until_current(self, moment: float, patience: float) -> bool: ...


@dataclass(slots=True)
class Result:
    """What came of one request: events and the delivery record to publish, or a reason to set the request aside.

    `unfinished` means that the program stops and the request has not been carried out: don't acknowledge it.
    """

    send: Send
    events: list[EmailEvent] = field(default_factory=list)
    delivery: Delivery | None = None
    dead: Reject | None = None
    unfinished: bool = False


class Sender:
    """Sends batches over one SMTP pool. The same delivery never goes out twice from one process, whoever asks."""

    def __init__(
        self,
        settings: Settings,
        *,
        campaigns: View[Campaign],
        pauses: View[Pause],
        leads: View[Lead],
        deliveries: View[Delivery],
        already_sent: Callable[[list[str]], Awaitable[Mapping[str, Already]]],
        publish_links: Callable[[list[Link]], Awaitable[None]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        smtp: SmtpPool | None = None,
        retry_seconds: Sequence[float] = RETRY_SECONDS,
        view_patience: float = VIEW_PATIENCE_SECONDS,
        outage_seconds: tuple[float, float] = (0.25, 15.0),
    ) -> None:
        self.smtp = smtp or SmtpPool(settings, clock=clock)
        self._settings = settings
        self._campaigns = campaigns
        self._pauses = pauses
        self._leads = leads
        self._deliveries = deliveries
        self._already_sent = already_sent
        self._clock = clock
        self._retry_seconds = tuple(retry_seconds)
        self._view_patience = view_patience
        self._stopping = asyncio.Event()
        first, longest = outage_seconds
        self._server, kafka, self._store, self._views = (
            Outage(what, self._stopping, first=first, longest=longest) for what in ("smtp", "links", "store", "state")
        )
        self._links = AnnouncedLinks(publish_links, kafka)
        # Twice the connections, so that an email is ready whenever one becomes free, and no more are held in memory.
        self._slots = asyncio.Semaphore(2 * settings.smtp_connections)
        self._turns: dict[str, _Turn] = {}
        self._since = clock().timestamp()
        self._settled: OrderedDict[str, Already] = OrderedDict()
        self._withdrawals = 0
        self._leaving: set[int] = set()  # results of emails at the mail server, or not yet published
        self._none_leaving = asyncio.Event()
        self._none_leaving.set()

    async def send(
        self, batch: Sequence[Send], settled: Callable[[Result], Awaitable[None]] | None = None
    ) -> list[Result]:
        """Send them all, as many at once as there are connections; results in the batch's order.

        `settled` is awaited with each result as soon as there is one, which is when its delivery record is wanted:
        another email of the batch may wait for minutes. Returns when every email is settled, or `stop` was called.
        Raises only what `settled` raises, once all is done. Cancelling may leave an email at the server unanswered.
        """
        withdrawals = self._withdrawals
        try:
            await self._until_current(batch)
            earlier = await self._sent_earlier(batch)
        except Stopped:
            return [Result(send, unfinished=True) for send in batch]
        if withdrawals != self._withdrawals:
            return [Result(send, unfinished=True) for send in batch]
        settling = [self._settle(send, earlier.get(send.delivery_id), settled) for send in batch]
        results: list[Result] = []
        for outcome in await asyncio.gather(*settling, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            results.append(outcome)
        return results

    def partitions_assigned(self) -> None:
        """Requests of another worker may come next: first see what it has sent until now."""
        self._since = self._clock().timestamp()

    async def withdraw(self, patience: float) -> None:
        """Another worker is about to get these requests: send none that has not left, so that it comes back
        `unfinished`, and wait up to `patience` seconds until what became of the others is published."""
        self._withdrawals += 1
        try:
            await asyncio.wait_for(self._none_leaving.wait(), patience)
        except TimeoutError:
            log.warning(
                "emails still at the mail server, another worker may send them again", emails=len(self._leaving)
            )

    def stop(self) -> None:
        """End every wait: what has not been sent comes back `unfinished`. Emails at the server are seen through."""
        self._stopping.set()

    async def close(self) -> None:
        """Stop, and close the connections."""
        self.stop()
        await self.smtp.close()

    async def _settle(
        self, send: Send, earlier: Already | None, settled: Callable[[Result], Awaitable[None]] | None
    ) -> Result:
        result, withdrawals = Result(send), self._withdrawals
        try:
            async with self._turn(send.delivery_id):
                try:
                    outcome = await self._carry_out(result, earlier, withdrawals)
                    SENDER_OUTCOMES.labels(outcome).inc()
                except Stopped:
                    result.unfinished = True
                except Exception as error:
                    if not isinstance(error, Reject):
                        log.exception("send request set aside", delivery=send.delivery_id)
                    result.dead = error if isinstance(error, Reject) else Reject("unexpected", repr(error))
                    SENDER_OUTCOMES.labels("rejected").inc()
            if settled is not None:
                await settled(result)
        finally:
            self._left(result)
        return result

    async def _carry_out(self, result: Result, earlier: Already | None, withdrawals: int) -> str:
        """Take one request to its end, filling `result`; return the outcome in a word."""
        send = result.send
        made: _Made | None = None
        attempt = 1
        while True:
            async with self._slots:
                await self._server.wait()
                if withdrawals != self._withdrawals:
                    raise Stopped
                if made is None and (not_sent := await self._gated(result, earlier)) is not None:
                    return not_sent
                made = await self._ready(send, made)
                # Again, right before it goes: a pause or an unsubscribe counts at once.
                if (not_sent := await self._gated(result, earlier)) is not None:
                    return not_sent
                if withdrawals != self._withdrawals:
                    raise Stopped
                mail = made.mail
                self._leaving.add(id(result))
                self._none_leaving.clear()
                try:
                    answer = await self._put(mail)
                except Retry as away:
                    self._left(result)
                    self._server.failed(away)
                    continue
            self._server.over()
            if isinstance(answer, Accepted):
                self._remember(send)
                events, result.delivery = delivered(send, mail, answer, attempt)
                result.events += events
                return "delivered"
            if answer.permanent or attempt > len(self._retry_seconds):
                self._remember(send)
                result.events += bounced(send, mail, answer, attempt)
                return "bounced"
            self._left(result)
            SENDER_DEFERRED.inc()
            result.events.append(deferred(send, mail, answer, attempt))
            await pause(self._retry_seconds[attempt - 1], self._stopping)
            attempt += 1

    def _left(self, result: Result) -> None:
        """It is not at the mail server, and there is nothing of it left to publish."""
        self._leaving.discard(id(result))
        if not self._leaving:
            self._none_leaving.set()

    async def _ready(self, send: Send, made: _Made | None) -> _Made:
        """The email, its links announced and the state it is judged by up to date. Made anew when all that took long:
        the judge knows by a token's age that an email can't have been delivered yet. Raises Stopped."""
        while True:
            if made is None or self._clock() - made.at > FRESH:
                now = self._clock()
                made = _Made(self._instrument(send, now), now)
            await self._links.announce(made.mail.links)
            await self._views_show(self._clock().timestamp() - STALE_SECONDS)
            if self._clock() - made.at <= FRESH:
                return made

    async def _gated(self, result: Result, earlier: Already | None) -> str | None:
        """None to go on; else why not, in a word, with the event for it in `result`."""
        send = result.send
        decision = self._gate(send, earlier)
        if decision == Skip("unknown-campaign"):
            await self._views_show(self._clock().timestamp())  # it may be on its way here
            decision = self._gate(send, earlier)
        match decision:
            case Go():
                return None
            case Replay():
                return "replayed"
            case Skip(reason):
                result.events.append(skipped(send, reason, self._clock()))
                return f"skipped-{reason}"

    def _gate(self, send: Send, earlier: Already | None) -> Go | Skip | Replay:
        already = self._already(send.delivery_id) or earlier
        return gate(
            send,
            self._campaigns.get(send.campaign),
            self._pauses.get(send.campaign),
            self._leads.get,
            self._settings.keyring.address_ids(mailbox(send.to).address),
            already,
        )

    def _already(self, delivery_id: str) -> Already | None:
        """What is known here of an earlier send."""
        if delivery_id in self._settled:
            return self._settled[delivery_id]
        delivery = self._deliveries.get(delivery_id)
        return None if delivery is None else Already(delivery.request_id)

    def _instrument(self, send: Send, now: datetime) -> Instrumented:
        settings = self._settings
        return instrument(
            send,
            settings.keyring,
            public_url=settings.public_url,
            envelope_domain=settings.envelope_domain,
            now=now,
            honeypot=settings.honeypot,
        )

    async def _put(self, mail: Instrumented) -> Accepted | Refused:
        """Put it to the server. A server that falls silent in the middle has said not now. Raises Retry."""
        try:
            return await self.smtp.deliver(mail.envelope_from, mail.envelope_to, mail.message)
        except Dropped as dropped:
            if dropped.stage == "data":
                SENDER_UNANSWERED.inc()
                log.warning("no answer to a whole email, a second copy may follow", message_id=mail.message_id)
            # 4.4.2, bad connection (RFC 3463, 3.5)
            return Refused(
                dropped.started_at, self._clock(), False, 421, "4.4.2", f"no answer: {dropped}", dropped.stage
            )

    def _remember(self, send: Send) -> None:
        self._settled[send.delivery_id] = Already(send.request_id)
        if len(self._settled) > REMEMBERED:
            self._settled.popitem(last=False)

    async def _until_current(self, batch: Sequence[Send]) -> None:
        """Wait until the views show what was written before the newest request was made. Raises Stopped."""
        requested_at = max((send.requested_at.timestamp() for send in batch), default=0.0)
        await self._views_show(max(self._since, min(requested_at, self._clock().timestamp())))

    async def _views_show(self, moment: float) -> None:
        for view in (self._campaigns, self._pauses, self._leads, self._deliveries):
            while not await view.wait_until_current(moment, self._view_patience):
                self._views.failed("a state topic is behind")
                await self._views.wait()
        self._views.over()

    async def _sent_earlier(self, batch: Sequence[Send]) -> Mapping[str, Already]:
        """Ask the store about deliveries nobody here remembers. Raises Stopped."""
        ids = list(dict.fromkeys(send.delivery_id for send in batch if self._already(send.delivery_id) is None))
        while ids:
            await self._store.wait()
            try:
                known = await self._already_sent(ids)
            except Exception as error:  # nothing may be sent without an answer, whatever is wrong
                self._store.failed(repr(error))
            else:
                self._store.over()
                return known
        return {}

    @asynccontextmanager
    async def _turn(self, delivery_id: str) -> AsyncIterator[None]:
        """One request of a delivery at a time, in the order they came."""
        turn = self._turns.setdefault(delivery_id, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[delivery_id]


@dataclass(frozen=True, slots=True)
class _Made:
    """An email ready to go, and when its tokens were minted."""

    mail: Instrumented
    at: datetime


class _Turn:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0
