"""One attempt: hands a prepared email to its transport, and derives the request's outcome from the answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from agents.runtime.metrics import SENDER_DEFERRED, SENDER_UNANSWERED
from agents.sender.account_limits import AccountLimits
from agents.sender.accounts import Route
from agents.sender.outage import Outage, WaitInterrupted
from agents.sender.outcome import SendOutcome, SendTask
from agents.sender.sender_state import SenderState
from agents.sender.wait_queue import waiting_record
from agents.transport.transport import ConnectionDropped, NotPrepared
from decisions.sending.answers import (
    PastAttempt,
    SmtpAccepted,
    SmtpRefused,
    bounced,
    deferred,
    delivered,
    is_final,
    unanswered,
)
from decisions.sending.instrument import Instrumented
from decisions.sending.retry import retry
from schemas.addresses import mailbox
from schemas.errors import Retry
from schemas.events import to_ms
from schemas.state.attempts import Attempt, Waiting, WaitState

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _NoResponse:
    """The whole email was handed over, and no answer came."""


@dataclass(frozen=True, slots=True)
class _NotHandedOver:
    """Nothing was handed over. `outage` is that of what was away."""

    why: Retry
    outage: Outage


_AttemptResult = SmtpAccepted | SmtpRefused | _NoResponse | _NotHandedOver


class AttemptRunner:
    """`attempts_topic` is the outage of the topic that each attempt is written to before it is made."""

    def __init__(
        self,
        sender_state: SenderState,
        limits: AccountLimits,
        attempts_topic: Outage,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._sender_state = sender_state
        self._limits = limits
        self._attempts_topic = attempts_topic
        self._clock = clock
        self._chance = chance

    async def attempt(
        self, request: SendTask, route: Route, mail: Instrumented, leaving: Callable[[], None]
    ) -> SendOutcome | None:
        """Hand the email over; None when nothing left, so that it is tried again at once. `leaving` is called when it
        may be at its mail server from now on. Raises WaitInterrupted when it waits as before."""
        send, number, now = request.send, request.attempts + 1, self._clock()
        opens = self._limits.take(route.account, send.delivery_id, number, now.timestamp())
        if opens is not None:
            return self.wait(request, "over-limit", datetime.fromtimestamp(opens, UTC))
        attempt = Attempt(
            delivery_id=send.delivery_id,
            request_id=send.request_id,
            attempt=number,
            at=to_ms(now),
            sender=mail.sender,
            message_id=mail.message_id,
            pixel=mail.pixel,
            wrapped_links=mail.wrapped_links,
        )
        leaving()
        match await self._hand_over(route, mail, attempt):
            case _NotHandedOver(why, outage):
                self._sender_state.attempts.void(attempt)
                self._limits.give_back(route.account, send.delivery_id, number)
                outage.failed(why)
                return None
            case _NoResponse():
                log.warning("no answer to a whole email: an operator decides", message_id=mail.message_id)
                return self.hold(request, attempt)
            case SmtpAccepted() as yes:
                self._sender_state.settle(send)
                # At the attempt's time: who tells it again has no other.
                taken = SmtpAccepted(attempt.at, yes.at, yes.response)
                events, delivery = delivered(send, mail, taken, number)
                ended = self._sender_state.attempts.end(attempt, "delivered")
                return SendOutcome(request, "delivered", events, delivery, attempt=ended)
            case SmtpRefused() as no:
                return self._refused(request, route, mail, no, attempt)

    async def _hand_over(self, route: Route, mail: Instrumented, attempt: Attempt) -> _AttemptResult:
        attempts = self._sender_state.attempts
        try:
            answer = await route.transport.deliver(
                mail.envelope_from, mail.envelope_to, mail.message, lambda: attempts.begin(attempt)
            )
        except ConnectionDropped as dropped:
            route.outage.over()
            if dropped.whole:
                return _NoResponse()
            # 4.4.2, bad connection (RFC 3463, 3.5)
            why = f"no answer: {dropped}"
            return SmtpRefused(dropped.started_at, self._clock(), False, 421, "4.4.2", why, dropped.stage)
        except Retry as away:
            return _NotHandedOver(away, self._attempts_topic if isinstance(away, NotPrepared) else route.outage)
        route.outage.over()
        self._attempts_topic.over()
        return answer

    def _refused(
        self, request: SendTask, route: Route, mail: Instrumented, answer: SmtpRefused, attempt: Attempt
    ) -> SendOutcome:
        """The end of it, or the wait for the next attempt."""
        send, number, first_at = request.send, attempt.attempt, request.first_at(attempt.at)
        due_at = None
        if not is_final(answer):
            due_at = retry(number, answer.diagnostic, first_at, answer.at, self._chance())
        if due_at is None:
            self._sender_state.settle(send)
            ended = self._sender_state.attempts.end(attempt, "bounce")
            return SendOutcome(request, "bounced", bounced(send, mail, answer, number), attempt=ended)
        SENDER_DEFERRED.inc()
        self._limits.give_back(route.account, send.delivery_id, number)
        ended = self._sender_state.attempts.end(attempt, "deferred")
        waits = self._waiting(request, "deferred", due_at, attempt=number, first_at=first_at)
        return SendOutcome(request, "deferred", [deferred(send, mail, answer, number)], attempt=ended, waiting=waits)

    def tell_again(self, request: SendTask, mail: PastAttempt, attempt: Attempt, at: datetime) -> SendOutcome:
        """Its server took it `at` that moment in that attempt, but its events may not have been written: write them
        again."""
        self._sender_state.settle(request.send)
        events, _ = delivered(request.send, mail, SmtpAccepted(attempt.at, at, ""), attempt.attempt)
        return SendOutcome(request, "told-again", events, attempt=self._sender_state.attempts.end(attempt, "delivered"))

    def hold(self, request: SendTask, attempt: Attempt) -> SendOutcome:
        """The outcome of that attempt is unknown: the email waits for an operator."""
        SENDER_UNANSWERED.inc()
        events = [unanswered(request.send, attempt)]
        ended = self._sender_state.attempts.end(attempt, "unanswered")
        waits = self._waiting(request, "unanswered", attempt.at, attempt=attempt.attempt, message_id=attempt.message_id)
        return SendOutcome(request, "unanswered", events, attempt=ended, waiting=waits)

    def wait(self, request: SendTask, state: WaitState, due_at: datetime) -> SendOutcome:
        """It waits, without an attempt. Raises WaitInterrupted when it waited in this state before: nothing changes."""
        return SendOutcome(request, state, waiting=self._waiting(request, state, due_at))

    def settled(self, outcome: SendOutcome) -> Waiting | None:
        """The record that ends the wait of a settled email; None when it did not wait, or waits again."""
        request, send = outcome.request, outcome.send
        wait = self._sender_state.waits.get(send.delivery_id)
        if outcome.waiting is not None or wait is None or wait.request_id != send.request_id:
            return outcome.waiting
        if request.waited is None and outcome.attempt is None:
            return None  # the same request again, while it waits
        now = self._clock()
        ended = waiting_record(
            send, wait.sender, "settled", attempt=wait.attempt, first_at=wait.first_at, due_at=now, now=now
        )  # fmt: skip
        self._sender_state.wait(ended)
        return ended

    def _waiting(
        self,
        request: SendTask,
        state: WaitState,
        due_at: datetime,
        *,
        attempt: int | None = None,
        first_at: datetime | None = None,
        message_id: str = "",
    ) -> Waiting:
        now, waited = self._clock(), request.waited
        if waited is not None and waited.state == state != "deferred":
            raise WaitInterrupted
        waits = waiting_record(
            request.send,
            mailbox(request.send.sender).address,
            state,
            attempt=request.attempts if attempt is None else attempt,
            first_at=first_at or request.first_at(now),
            due_at=due_at,
            now=now,
            message_id=message_id,
        )
        self._sender_state.wait(waits)
        return waits
