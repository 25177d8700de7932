"""The webhook stage: events in, payloads out over HTTP; a call that fails is kept and retried.

An event is acknowledged when every endpoint subscribed to it has accepted it, or when the calls left over are on the
topic `calls`. A failing endpoint is probed with one call only: the others wait until it accepts one again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from heapq import nsmallest
from typing import Any

import msgspec
import structlog

from agents.runtime.metrics import WEBHOOK_CALLS, WEBHOOK_ENDPOINTS
from agents.webhooks.http import EndpointClient, EndpointResponse
from agents.webhooks.recipient_lookup import RecipientLookup
from clickhouse.ask import StageQueries
from decisions.effects.chat_messages import CHAT_ID, chat_endpoint, chat_message
from decisions.effects.webhook_messages import LONGEST, WebhookMessage, next_attempt, report, signed
from schemas.errors import UNREADABLE, Reject, Retry
from schemas.events import WebhookDisabled, lines, to_ms
from schemas.settings import Settings
from schemas.state.webhook_calls import Call, Endpoint
from schemas.tokens import event_id
from schemas.topics import CALLS, EVENTS, WEBHOOKS
from stream.endpoints_view import endpoints_view
from stream.records import Handler, HandleResult, OutRecord, Record, Write, poison
from stream.state import StateTopic

log = structlog.get_logger()

_LOOK_SECONDS = 0.3
_AT_ONCE = 50  # calls of one endpoint that are tried again together
_VIEW_PATIENCE = 5.0


class WebhookCaller(Handler):
    """Calls the endpoints for each event, and retries the waiting calls of the partitions assigned to it."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._luck = luck
        self._endpoints = endpoints_view(settings)
        self._recipients = RecipientLookup(StageQueries(settings))
        self._calls = StateTopic(settings, CALLS, Call, key=lambda call: call.key, over=_is_past)
        self._down: dict[str, datetime] = {}  # endpoints that did not answer, and when to ask again
        self._owned: set[int] = set()
        self._owned_since = clock().timestamp()
        self._stopping = asyncio.Event()
        self._again: asyncio.Task[None] | None = None
        chat = settings.pause_webhook
        self._chat = chat_endpoint(chat, to_ms(clock())) if chat else None
        for state in ("enabled", "disabled"):
            WEBHOOK_ENDPOINTS.labels(state).set_function(partial(self._count, state))

    def _count(self, state: str) -> int:
        return sum(1 for endpoint in self._endpoints if endpoint.state == state)

    async def start(self, write: Write) -> None:
        self._write = write
        self._http = EndpointClient(private=self._settings.webhooks_private, ca_file=self._settings.ca_file)
        # The operator named the chat, which may well be on a private network.
        self._chat_http = EndpointClient(private=True, ca_file=self._settings.ca_file)
        self._endpoints.start()
        self._calls.start()
        self._again = asyncio.create_task(self._try_again(), name="webhooks-again")

    def assigned(self, partitions: Collection[tuple[str, int]]) -> None:
        self._owned = {number for topic, number in partitions if topic == EVENTS.name}
        self._owned_since = self._clock().timestamp()

    async def revoked(self) -> None:
        self._owned = set()

    def interrupt(self) -> None:
        self._stopping.set()

    async def stop(self) -> None:
        self._stopping.set()
        if self._again is not None:
            await asyncio.wait([self._again])
        await asyncio.gather(self._http.close(), self._chat_http.close())
        self._recipients.close()
        self._endpoints.stop()
        self._calls.stop()

    async def handle(self, records: Sequence[Record]) -> HandleResult:
        """Tell every endpoint of every event it wants. Raises Retry while Kafka does not answer."""
        # An endpoint gets events from the moment it was added, not from when this process learned of it.
        if not await self._endpoints.wait_until_current(max(one.written_at for one in records), _VIEW_PATIENCE):
            raise Retry("the list of endpoints is not up to date")
        handled = HandleResult()
        if not len(self._endpoints) and self._chat is None:
            return handled
        read: list[tuple[WebhookMessage, int]] = []
        for record in records:
            for line in filter(None, record.value.split(b"\n")):
                try:
                    read.append((report(line), record.partition))
                except UNREADABLE as error:
                    handled.dead.append(poison(record, Reject("unreadable", str(error))))
                    break
        recipients = await self._recipients_of([told for told, _ in read])
        telling = [
            self._tell(one, told, recipients.get(told.delivery, "") if one.with_to else None, partition)
            for told, partition in read
            for one in self._endpoints
            if one.wants(told.kind)
        ]
        telling += await self._telling_chat(read)
        handled.out += self._kept([call for call in await asyncio.gather(*telling) if call is not None])
        return handled

    async def _telling_chat(self, read: Sequence[tuple[WebhookMessage, int]]) -> list[Coroutine[Any, Any, Call | None]]:
        """The calls to the chat. What is kept of a call, taken or not, says that its event was told already.

        Raises Retry until the calls of the worker that had the partition before are known.
        """
        chat = self._chat
        news = [(told, partition) for told, partition in read if chat and chat.wants(told.kind) and self._is_news(told)]
        if chat is None or not news:
            return []
        if not await self._calls.wait_until_current(self._owned_since, _VIEW_PATIENCE):
            raise Retry("it is not known yet what the chat was told")
        unique = {told.id: (told, partition) for told, partition in news}
        return [
            self._tell(chat, told, None, partition)
            for told, partition in unique.values()
            if self._calls.get(f"{chat.id}/{told.id}") is None
        ]

    def _is_news(self, told: WebhookMessage) -> bool:
        return self._clock() - datetime.fromisoformat(told.data["at"]) < LONGEST

    async def _recipients_of(self, read: Sequence[WebhookMessage]) -> dict[str, str]:
        """To whom the emails went, where an endpoint asks for it. Raises Retry while that may still be learned."""
        if not self._settings.webhooks_to:
            return {}
        self._recipients.remember(read)
        asking = [endpoint for endpoint in self._endpoints if endpoint.with_to]
        return await self._recipients.of([told for told in read if any(one.wants(told.kind) for one in asking)])

    async def _tell(self, endpoint: Endpoint, told: WebhookMessage, to: str | None, partition: int) -> Call | None:
        """Hand it over; else what is left to do. `to` for an endpoint that asks for it."""
        now = self._clock()
        call = Call(
            endpoint=endpoint.id,
            event=told.id,
            kind=told.kind,
            partition=partition,
            attempt=0,
            first_at=to_ms(now),
            due_at=to_ms(now),
            body=self._body(endpoint, told, to).decode(),
        )
        if endpoint.id in self._down:
            return msgspec.structs.replace(call, due_at=max(to_ms(now), to_ms(self._down[endpoint.id])))
        after = await self._attempt(endpoint, call)
        return None if after.state == "taken" and endpoint is not self._chat else after

    def _body(self, endpoint: Endpoint, told: WebhookMessage, to: str | None) -> bytes:
        if endpoint is self._chat:
            return chat_message(told.data, self._settings.pause_webhook_form, self._settings.public_url)
        return told.body(to)

    async def _attempt(self, endpoint: Endpoint, call: Call) -> Call:
        """Try once; the call as it then stands."""
        body = call.body.encode()
        if endpoint is self._chat:
            answer = await self._chat_http.post(endpoint.url, {}, body)
        else:
            headers = signed(self._settings.keyring.webhook_secrets(endpoint.id), call.event, self._clock(), body)
            answer = await self._http.post(endpoint.url, headers, body)
        now, attempt = self._clock(), call.attempt + 1
        if answer.taken:
            self._down.pop(endpoint.id, None)
            return self._settled(call, "taken", attempt=attempt)
        due = None if answer.gone else next_attempt(attempt, call.first_at, now, self._luck(), answer.asked)
        said = f"{answer.status or ''} {answer.words}".strip()[:200]
        if due is None:
            return self._settled(call, "given-up", attempt=attempt, answer=said)
        WEBHOOK_CALLS.labels("failed").inc()
        if _is_down(answer):
            self._down[endpoint.id] = due
        return msgspec.structs.replace(call, attempt=attempt, due_at=to_ms(due), answer=said)

    def _settled(self, call: Call, state: str, **changes: object) -> Call:
        WEBHOOK_CALLS.labels(state).inc()
        return msgspec.structs.replace(call, state=state, body="", **changes)

    async def _try_again(self) -> None:
        """Until the stage stops: what is due, of the partitions that are ours."""
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):  # wait_for makes a task each time
                    await self._stopping.wait()
                return
            try:
                # What another worker has settled must be seen before its partitions are ours.
                if await self._calls.wait_until_current(self._owned_since, _VIEW_PATIENCE):
                    await self._round()
            except Retry as error:
                log.warning("webhooks wait for Kafka", why=str(error)[:200])
            except Exception:
                log.exception("webhooks could not be tried again")

    async def _round(self) -> None:
        now = self._clock()
        due: dict[str, list[Call]] = {}
        for call in self._calls:
            down = self._down.get(call.endpoint)
            if (
                call.state == "waiting"
                and call.due_at <= now
                and call.partition in self._owned
                and (down is None or down <= now)
            ):
                due.setdefault(call.endpoint, []).append(call)
        for id_, calls in due.items():
            endpoint = self._chat if id_ == CHAT_ID else self._endpoints.get(id_)
            if endpoint is None or endpoint.state != "enabled":
                await self._write(self._kept([self._settled(call, "dropped") for call in calls]))
            else:
                # An endpoint that failed gets one call at a time until it accepts one.
                some = nsmallest(1 if id_ in self._down else _AT_ONCE, calls, key=lambda call: call.first_at)
                await self._write(self._kept(await asyncio.gather(*(self._attempt(endpoint, call) for call in some))))

    def _kept(self, calls: Iterable[Call]) -> list[OutRecord]:
        """The records of the calls' state. An endpoint that accepted nothing for 24 hours, or is gone, is disabled."""
        out = []
        for call in calls:
            out.append(call_record(self._settings, call))
            endpoint = self._endpoints.get(call.endpoint)
            if call.state == "given-up" and endpoint is not None and endpoint.state == "enabled":
                out += self._disabled(endpoint, call)
            if call.state == "given-up" and call.endpoint == CHAT_ID:
                log.warning("a chat was not told of a pause: it took nothing for 24 hours", answer=call.answer)
            self._calls.put(call)
        return out

    def _disabled(self, endpoint: Endpoint, call: Call) -> list[OutRecord]:
        now = to_ms(self._clock())
        disabled = msgspec.structs.replace(endpoint, state="disabled", since=call.first_at, reason=call.answer)
        self._endpoints.put(disabled)
        log.warning(
            "webhook disabled: it is gone, or took nothing for 24 hours", endpoint=endpoint.id, answer=call.answer
        )
        event = WebhookDisabled(
            id=str(event_id(call.event, f"webhook_disabled\x1f{endpoint.id}")),
            at=now,
            endpoint=endpoint.id,
            reason=call.answer,
        )
        return [
            endpoint_record(self._settings, disabled),
            OutRecord.keyed(self._settings, EVENTS, endpoint.id, lines([event])),
        ]


def _is_past(call: Call) -> bool:
    """Whether a call need not be remembered. Of the chat all are: it can't recognise a repeat by itself."""
    return call.state != "waiting" and call.endpoint != CHAT_ID


def call_record(settings: Settings, call: Call) -> OutRecord:
    return OutRecord.keyed(settings, CALLS, call.key, msgspec.json.encode(call))


def endpoint_record(settings: Settings, endpoint: Endpoint) -> OutRecord:
    return OutRecord.keyed(settings, WEBHOOKS, endpoint.id, msgspec.json.encode(endpoint))


def _is_down(answer: EndpointResponse) -> bool:
    """Whether the response is about the endpoint as a whole, not about this one event."""
    return answer.status == 0 or answer.status == 429 or answer.status >= 500
