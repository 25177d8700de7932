"""Sends emails: gate, instrument, announce the links, put them to the mail server, and say what came of each.

Knows neither Kafka nor Faust: whoever calls it publishes the results and acknowledges the requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog

from agents.accounts import Outlet, Outlets
from agents.announced import AnnouncedLinks
from agents.decisions.answers import Accepted, Refused, bounced, deferred, delivered, skipped, unanswered
from agents.decisions.gate import Already, Go, Replay, Skip, Unclear
from agents.decisions.instrument import Instrumented, instrument
from agents.decisions.mime import mailbox
from agents.decisions.retry import retry
from agents.known import Known
from agents.metrics import SENDER_DEFERRED, SENDER_OUTCOMES, SENDER_UNANSWERED
from agents.outage import Outage, Stopped
from agents.result import Result
from agents.sinks.smtp import Dropped, NotPrepared
from agents.turns import Turns
from agents.waiting import waiting
from schemas.attempts import Attempt, Wait, WaitState
from schemas.errors import Reject, Retry
from schemas.events import Link, Send, to_ms
from schemas.senders import Senders
from schemas.settings import Settings

log = structlog.get_logger()

# A view is renewed several times a second. One older than this may hide an unsubscribe, or that the broker has given
# our partitions to another worker, which it does after 6 s of silence at the earliest.
STALE_SECONDS = 3.0
# Half of what the judge allows from a token's minting to the mail server's yes (agents/judging.py).
FRESH = timedelta(minutes=5)


Settled = Callable[[Result], Awaitable[None]]


class Sender:
    """Sends batches over the accounts' outlets. The same delivery never goes out twice from one process, whoever asks.

    `chance` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        settings: Settings,
        senders: Senders,
        known: Known,
        *,
        already_sent: Callable[[list[str]], Awaitable[Mapping[str, Already]]],
        publish_links: Callable[[list[Link]], Awaitable[None]],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
        outage_seconds: tuple[float, float] = (0.25, 15.0),
    ) -> None:
        self._settings = settings
        self._known = known
        self._already_sent = already_sent
        self._clock = clock
        self._chance = chance
        self._stopping = asyncio.Event()

        def outage(what: str) -> Outage:
            return Outage(what, self._stopping, first=outage_seconds[0], longest=outage_seconds[1])

        self.outlets = Outlets(senders, connections=settings.smtp_connections, clock=clock, outage=outage)
        self._kafka, self._store, self._views = map(outage, ("attempts", "store", "state"))
        self._links = AnnouncedLinks(publish_links, outage("links"))
        self.turns = Turns()
        self._since = clock().timestamp()
        self._withdrawals = 0
        self._leaving: set[int] = set()  # results of emails at the mail server, or not yet published
        self._none_leaving = asyncio.Event()
        self._none_leaving.set()

    async def send(self, batch: Sequence[Send], settled: Settled | None = None) -> list[Result]:
        """Carry the requests out, as many at once as there are connections; results in the batch's order.

        `settled` is awaited with each result as soon as there is one, which is when its delivery record is wanted:
        another email of the batch may wait for minutes. Returns when every email has its answer or waits for its next
        attempt (`Result.waiting`), or `stop` was called. Raises only what `settled` raises, once all is done.
        Cancelling may leave an email at the server unanswered.
        """
        return await self._run([Result(send) for send in batch], settled)

    async def again(self, due: Sequence[tuple[Wait, Send]], settled: Settled | None = None) -> list[Result]:
        """The next attempt of emails that waited; as `send`."""
        return await self._run([Result(send, wait) for wait, send in due], settled)

    async def _run(self, results: list[Result], settled: Settled | None) -> list[Result]:
        withdrawals = self._withdrawals
        earlier: Mapping[str, Already] | None = None
        try:
            await self._until_current(results)
            earlier = await self._sent_earlier(results)
        except Stopped:
            log.debug("stopped before anything was sent")
        if earlier is None or withdrawals != self._withdrawals:
            for result in results:
                result.unfinished = True
            return results
        settling = [self._settle(result, earlier.get(result.send.delivery_id), settled) for result in results]
        for outcome in await asyncio.gather(*settling, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
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
            log.warning("emails still at the mail server, others will hold them unanswered", emails=len(self._leaving))

    def stop(self) -> None:
        """End every wait: what has not been sent comes back `unfinished`. Emails at the server are seen through."""
        self._stopping.set()

    async def close(self) -> None:
        """Stop, and close the connections."""
        self.stop()
        await self.outlets.close()

    async def _settle(self, result: Result, earlier: Already | None, settled: Settled | None) -> None:
        withdrawals = self._withdrawals
        try:
            async with self.turns.of(result.send.delivery_id):
                try:
                    SENDER_OUTCOMES.labels(await self._carry_out(result, earlier, withdrawals)).inc()
                except Stopped:
                    result.unfinished = True
                except Exception as error:
                    if not isinstance(error, Reject):
                        log.exception("send request set aside", delivery=result.send.delivery_id)
                    result.dead = error if isinstance(error, Reject) else Reject("unexpected", repr(error))
                    SENDER_OUTCOMES.labels("rejected").inc()
                if not result.unfinished:
                    self._waits_no_more(result)
            if settled is not None:
                await settled(result)
        finally:
            self._left(result)

    async def _carry_out(self, result: Result, earlier: Already | None, withdrawals: int) -> str:
        """Take one request to its end or its next wait, filling `result`; return the outcome in a word."""
        outlet = self._outlet(result.send)
        made: _Made | None = None
        while True:
            async with outlet.slots:
                if outlet.outage.away and not self.outlets.alone:
                    return self._wait(result, "away", self._clock())
                await outlet.outage.wait()
                await self._kafka.wait()
                if withdrawals != self._withdrawals:
                    raise Stopped
                if made is None and (not_sent := await self._gated(result, earlier)) is not None:
                    return not_sent
                made = await self._ready(result.send, outlet, made)
                # Again, right before it goes: a pause or an unsubscribe counts at once.
                if (not_sent := await self._gated(result, earlier)) is not None:
                    return not_sent
                if withdrawals != self._withdrawals:
                    raise Stopped
                outcome = await self._leave(result, outlet, made.mail)
            if outcome is not None:
                return outcome

    async def _leave(self, result: Result, outlet: Outlet, mail: Instrumented) -> str | None:
        """Put the email to its mail server; the outcome in a word, None to try again at once."""
        send, limits = result.send, self.outlets.limits
        number, now = result.attempts + 1, self._clock()
        opens = limits.take(outlet.account, send.delivery_id, number, now.timestamp())
        if opens is not None:
            return self._wait(result, "over-limit", datetime.fromtimestamp(opens, UTC))
        attempt = Attempt(
            delivery_id=send.delivery_id,
            request_id=send.request_id,
            attempt=number,
            at=to_ms(now),
            sender=mail.sender,
            message_id=mail.message_id,
        )
        self._leaving.add(id(result))
        self._none_leaving.clear()
        known = self._known
        try:
            answer = await outlet.pool.deliver(
                mail.envelope_from, mail.envelope_to, mail.message, lambda: known.attempts.begin(attempt)
            )
        except Dropped as dropped:
            outlet.outage.over()
            if dropped.whole:
                log.warning("no answer to a whole email: an operator decides", message_id=mail.message_id)
                return self._hold(result, attempt)
            # 4.4.2, bad connection (RFC 3463, 3.5)
            why = f"no answer: {dropped}"
            answer = Refused(dropped.started_at, self._clock(), False, 421, "4.4.2", why, dropped.stage)
        except Retry as away:
            known.attempts.void(attempt)
            limits.give_back(outlet.account, send.delivery_id, number)
            self._left(result)
            (self._kafka if isinstance(away, NotPrepared) else outlet.outage).failed(away)
            return None
        outlet.outage.over()
        self._kafka.over()
        if isinstance(answer, Accepted):
            known.settle(send)
            events, result.delivery = delivered(send, mail, answer, number)
            result.events += events
            result.attempt = known.attempts.end(attempt, "delivered")
            return "delivered"
        first_at = result.first_at(now)
        due_at = None
        if not answer.permanent:
            due_at = retry(number, answer.diagnostic, first_at, answer.at, self._chance())
        if due_at is None:
            known.settle(send)
            result.events += bounced(send, mail, answer, number)
            result.attempt = known.attempts.end(attempt, "bounce")
            return "bounced"
        SENDER_DEFERRED.inc()
        limits.give_back(outlet.account, send.delivery_id, number)
        result.events.append(deferred(send, mail, answer, number))
        result.attempt = known.attempts.end(attempt, "deferred")
        return self._wait(result, "deferred", due_at, attempt=number, first_at=first_at)

    def _wait(
        self,
        result: Result,
        state: WaitState,
        due_at: datetime,
        *,
        attempt: int | None = None,
        first_at: datetime | None = None,
        message_id: str = "",
    ) -> str:
        now, waited = self._clock(), result.waited
        if waited is not None and waited.state == state != "deferred":
            raise Stopped  # as it did: it stays as it is
        result.waiting = waiting(
            result.send,
            mailbox(result.send.sender).address,
            state,
            attempt=result.attempts if attempt is None else attempt,
            first_at=first_at or result.first_at(now),
            due_at=due_at,
            now=now,
            message_id=message_id,
        )
        self._known.wait(result.waiting)
        return state

    def _hold(self, result: Result, attempt: Attempt) -> str:
        """Nobody knows whether it went out: an operator decides."""
        SENDER_UNANSWERED.inc()
        result.events.append(unanswered(result.send, attempt))
        result.attempt = self._known.attempts.end(attempt, "unanswered")
        at, id_ = attempt.at, attempt.message_id
        return self._wait(result, "unanswered", at, attempt=attempt.attempt, message_id=id_)

    def _waits_no_more(self, result: Result) -> None:
        """An email that waited and has come to its end is settled. One that waits anew is not."""
        wait = self._known.waits.get(result.send.delivery_id)
        if result.waiting is None and wait is not None and wait.request_id == result.send.request_id:
            if result.waited is None and result.attempt is None:
                return  # the same request again, while it waits
            now = self._clock()
            result.waiting = waiting(
                result.send, wait.sender, "settled",
                attempt=wait.attempt, first_at=wait.first_at, due_at=now, now=now,
            )  # fmt: skip
            self._known.wait(result.waiting)

    def _left(self, result: Result) -> None:
        """It is not at the mail server, and there is nothing of it left to publish."""
        self._leaving.discard(id(result))
        if not self._leaving:
            self._none_leaving.set()

    def _outlet(self, send: Send) -> Outlet:
        sender = mailbox(send.sender).address
        outlet = self.outlets.of(sender)
        if outlet is None:
            raise Reject("no-account", f"no account of senders.toml sends as {sender}: add it, then replay")
        return outlet

    async def _ready(self, send: Send, outlet: Outlet, made: _Made | None) -> _Made:
        """The email, its links announced and the state it is judged by up to date. Made anew when all that took long:
        the judge knows by a token's age that an email can't have been delivered yet. Raises Stopped."""
        while True:
            if made is None or self._clock() - made.at > FRESH:
                now = self._clock()
                mail = self._instrument(send, outlet, now)
                if outlet.sign is not None:  # in a thread: dkimpy takes some 20 ms, and others need the loop
                    mail = replace(mail, message=await asyncio.to_thread(outlet.sign, mail.message))
                made = _Made(mail, now)
            await self._links.announce(made.mail.links)
            await self._known.show(self._clock().timestamp() - STALE_SECONDS, self._views)
            if self._clock() - made.at <= FRESH:
                return made

    async def _gated(self, result: Result, earlier: Already | None) -> str | None:
        """None to go on; else why not, in a word, with the event for it in `result`."""
        send, known, keyring = result.send, self._known, self._settings.keyring
        decision = known.gate(send, keyring, earlier, result.waited)
        if decision == Skip("unknown-campaign"):
            await known.show(self._clock().timestamp(), self._views)  # it may be on its way here
            decision = known.gate(send, keyring, earlier, result.waited)
        match decision:
            case Go():
                return None
            case Replay():
                return "replayed"
            case Unclear(attempt):
                log.warning("put to its mail server by a worker that died: an operator decides", of=attempt.message_id)
                return self._hold(result, attempt)
            case Skip(reason):
                result.events.append(skipped(send, reason, self._clock()))
                return f"skipped-{reason}"

    def _instrument(self, send: Send, outlet: Outlet, now: datetime) -> Instrumented:
        settings, campaign = self._settings, self._known.campaigns.get(send.campaign)
        if campaign is None:
            raise Reject("unknown-campaign", send.campaign)
        return instrument(
            send,
            settings.keyring,
            public_url=settings.public_url,
            envelope_domain=outlet.account.envelope_domain,
            now=now,
            honeypot=settings.honeypot,
            track_opens=campaign.track_opens,
            track_clicks=campaign.track_clicks,
            wrap_text_links=campaign.wrap_text_links,
        )

    async def _until_current(self, results: Sequence[Result]) -> None:
        """Wait until the views show what was written before the newest request was made. Raises Stopped."""
        requested_at = max((result.send.requested_at.timestamp() for result in results), default=0.0)
        await self._known.show(max(self._since, min(requested_at, self._clock().timestamp())), self._views)

    async def _sent_earlier(self, results: Sequence[Result]) -> Mapping[str, Already]:
        """Ask the store about deliveries nobody here remembers. Raises Stopped."""
        unknown = [r.send.delivery_id for r in results if self._known.already(r.send.delivery_id, r.waited) is None]
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


@dataclass(frozen=True, slots=True)
class _Made:
    """An email ready to go, and when its tokens were minted."""

    mail: Instrumented
    at: datetime
