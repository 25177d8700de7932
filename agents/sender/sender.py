"""Sends batches of emails. Each passes the same steps: gate, prepare, gate again, attempt; the first that gives an
outcome ends it.

Knows neither Kafka nor Faust: the caller publishes the outcomes and acknowledges the requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import structlog

from agents.runtime.metrics import SENDER_OUTCOMES
from agents.sender.accounts import MakeTransport, Route, Routes
from agents.sender.announced_links import AnnouncedLinks
from agents.sender.attempt_runner import AttemptRunner
from agents.sender.outage import Outage, WaitInterrupted
from agents.sender.outcome import SendOutcome, SendTask, set_aside, unfinished
from agents.sender.preparation import EmailPreparer, PreparedEmail
from agents.sender.sender_state import SenderState
from decisions.sending.answers import attempted, skipped
from decisions.sending.gate import AcceptedUnrecorded, OutcomeUnknown, PriorSend, Proceed, Replay, Skip
from decisions.sending.tracking import account_urls
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.events import Link, Send
from schemas.senders import Senders
from schemas.settings import Settings
from schemas.state.attempts import Wait
from stream.keyed_lock import KeyedLock

log = structlog.get_logger()

_counter_of = cache(SENDER_OUTCOMES.labels)  # by an outcome's word

Settled = Callable[[SendOutcome], Awaitable[None]]


class Sender:
    """Sends batches over the accounts' routes. A process never sends the same delivery twice.

    `chance` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        settings: Settings,
        senders: Senders,
        known: SenderState,
        *,
        already_sent: Callable[[list[str]], Awaitable[Mapping[str, PriorSend]]],
        publish_links: Callable[[list[Link]], Awaitable[None]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
        outage_seconds: tuple[float, float] = (0.25, 15.0),
        transport: MakeTransport | None = None,
    ) -> None:
        self._keyring = settings.keyring
        self._sender_state = known
        self._already_sent = already_sent
        self._clock = clock
        self._stopping = asyncio.Event()

        def outage(what: str) -> Outage:
            return Outage(what, self._stopping, first=outage_seconds[0], longest=outage_seconds[1])

        self.routes = Routes(
            senders, connections=settings.smtp_connections, clock=clock, outage=outage, transport=transport
        )
        self._attempts_topic, self._store, self._views = map(outage, ("attempts", "store", "state"))
        links = AnnouncedLinks(publish_links, outage("links"))
        self._preparation = EmailPreparer(settings, account_urls(senders), known, links, self._views, clock)
        self._attempt_runner = AttemptRunner(known, self.routes.limits, self._attempts_topic, clock, chance)
        self.in_flight = KeyedLock()
        self._since = clock().timestamp()
        self._withdrawals = 0
        self._leaving: set[int] = set()  # requests whose email is at the mail server, or whose outcome is not published
        self._none_leaving = asyncio.Event()
        self._none_leaving.set()

    async def send(self, batch: Sequence[Send], settled: Settled | None = None) -> list[SendOutcome]:
        """Carry the requests out, as many at once as there are connections; outcomes in the batch's order.

        `settled` is awaited with each outcome as soon as there is one, which is when its delivery record is wanted:
        another email of the batch may wait for minutes. Returns when every email has its answer or waits for its next
        attempt (`SendOutcome.waiting`), or `stop` was called. Raises only what `settled` raises, once all is done.
        Cancelling may leave an email at the server unanswered.
        """
        return await self._run([SendTask(send) for send in batch], settled)

    async def again(self, due: Sequence[tuple[Wait, Send]], settled: Settled | None = None) -> list[SendOutcome]:
        """The next attempt of emails that waited; as `send`."""
        return await self._run([SendTask(send, wait) for wait, send in due], settled)

    async def _run(self, requests: list[SendTask], settled: Settled | None) -> list[SendOutcome]:
        withdrawals = self._withdrawals
        earlier: Mapping[str, PriorSend] | None = None
        try:
            await self._until_current(requests)
            earlier = await self._sent_earlier(requests)
        except WaitInterrupted:
            log.debug("stopped before anything was sent")
        if earlier is None or withdrawals != self._withdrawals:
            return [unfinished(request) for request in requests]
        settling = [self._settle(request, earlier.get(request.send.delivery_id), settled) for request in requests]
        outcomes = []
        for outcome in await asyncio.gather(*settling, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
            outcomes.append(outcome)
        return outcomes

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
            log.warning("emails still at the mail server, others will hold them unanswered", emails=len(self._leaving))

    def stop(self) -> None:
        """End every wait: what has not been sent comes back `unfinished`. Emails at the server are seen through."""
        self._stopping.set()

    async def close(self) -> None:
        """Stop, and close the connections."""
        self.stop()
        await self.routes.close()

    async def _settle(self, request: SendTask, earlier: PriorSend | None, settled: Settled | None) -> SendOutcome:
        withdrawals = self._withdrawals
        try:
            async with self.in_flight.of(request.send.delivery_id):
                outcome = await self._counted(request, earlier, withdrawals)
            if settled is not None:
                await settled(outcome)
            return outcome
        finally:
            self._left(request)

    async def _counted(self, request: SendTask, earlier: PriorSend | None, withdrawals: int) -> SendOutcome:
        """The outcome, whatever goes wrong, with the end of an earlier wait."""
        try:
            outcome = await self._carry_out(request, earlier, withdrawals)
        except WaitInterrupted:
            return unfinished(request)
        except Reject as error:
            outcome = set_aside(request, error)
        except Exception as error:
            log.exception("send request set aside", delivery=request.send.delivery_id)
            outcome = set_aside(request, Reject("unexpected", repr(error)))
        _counter_of(outcome.word).inc()
        waiting = self._attempt_runner.settled(outcome)
        return outcome if waiting is outcome.waiting else replace(outcome, waiting=waiting)

    async def _carry_out(self, request: SendTask, earlier: PriorSend | None, withdrawals: int) -> SendOutcome:
        """Take one request to its end or its next wait. Raises WaitInterrupted, and Reject if it can't be sent."""
        route = self._route(request.send)
        prepared: PreparedEmail | None = None
        outcome: SendOutcome | None = None
        while outcome is None:
            async with route.slots:
                if route.outage.away and not self.routes.alone:
                    return self._attempt_runner.wait(request, "away", self._clock())
                await route.outage.wait()
                await self._attempts_topic.wait()
                self._check_not_withdrawn(withdrawals)
                if prepared is None and (outcome := await self._gated(request, earlier)) is not None:
                    return outcome
                prepared = await self._preparation.prepare(request.send, route, prepared)
                # Again, right before it goes: a pause or an unsubscribe counts at once.
                if (outcome := await self._gated(request, earlier)) is not None:
                    return outcome
                self._check_not_withdrawn(withdrawals)
                outcome = await self._attempt_runner.attempt(
                    request, route, prepared.mail, lambda: self._leaves(request)
                )
                if outcome is None:
                    self._left(request)
        return outcome

    def _check_not_withdrawn(self, withdrawals: int) -> None:
        """Raises WaitInterrupted when the partitions went meanwhile."""
        if withdrawals != self._withdrawals:
            raise WaitInterrupted

    async def _gated(self, request: SendTask, earlier: PriorSend | None) -> SendOutcome | None:
        """None to go on; else the outcome without an attempt."""
        send, known, keyring = request.send, self._sender_state, self._keyring
        decision = known.gate(send, keyring, earlier, request.waited, self._clock())
        if decision == Skip("unknown-campaign"):
            await known.show(self._clock().timestamp(), self._views)  # it may be on its way here
            decision = known.gate(send, keyring, earlier, request.waited, self._clock())
        match decision:
            case Proceed():
                return None
            case Replay():
                return SendOutcome(request, "replayed")
            case AcceptedUnrecorded(attempt, at):
                log.warning("an email was taken and its worker died: told again", of=attempt.message_id)
                mail = attempted(send, attempt, keyring)
                return self._attempt_runner.tell_again(request, mail, attempt, at)
            case OutcomeUnknown(attempt):
                log.warning("an attempt without an outcome: an operator decides", of=attempt.message_id)
                return self._attempt_runner.hold(request, attempt)
            case Skip(reason):
                return SendOutcome(request, f"skipped-{reason}", [skipped(send, reason, self._clock())])

    def _leaves(self, request: SendTask) -> None:
        """From now on it may be at the mail server."""
        self._leaving.add(id(request))
        self._none_leaving.clear()

    def _left(self, request: SendTask) -> None:
        """It is not at the mail server, and there is nothing of it left to publish."""
        self._leaving.discard(id(request))
        if not self._leaving:
            self._none_leaving.set()

    def _route(self, send: Send) -> Route:
        sender = mailbox(send.sender).address
        route = self.routes.of(sender)
        if route is None:
            raise Reject("no-account", f"no account of senders.toml sends as {sender}: add it, then replay")
        return route

    async def _until_current(self, requests: Sequence[SendTask]) -> None:
        """Wait until the views show what was written before the newest request was made. Raises WaitInterrupted."""
        requested_at = max((request.send.requested_at.timestamp() for request in requests), default=0.0)
        await self._sender_state.show(max(self._since, min(requested_at, self._clock().timestamp())), self._views)

    async def _sent_earlier(self, requests: Sequence[SendTask]) -> Mapping[str, PriorSend]:
        """Ask the store about deliveries nobody here remembers. Raises WaitInterrupted."""
        unknown = [
            r.send.delivery_id for r in requests if self._sender_state.already(r.send.delivery_id, r.waited) is None
        ]
        ids = list(dict.fromkeys(unknown))
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
