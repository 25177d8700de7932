"""`POST /v1/instrument` at work: emails for a system that is not ours, or why their leads must not get them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import msgspec
import structlog
from fastapi import Request
from fastapi.responses import Response

from ingest import openapi
from ingest.batches import Rejected, batch, declared, publish
from ingest.campaigns import Known
from ingest.idempotency import derived
from ingest.metrics import Metrics
from ingest.publisher import Publisher
from ingest.requests import MAX_INSTRUMENTED, InstrumentRequest, SendsRequest, check_send, decode
from schemas.errors import Reject, Retry
from schemas.events import Link, Pause, Send
from schemas.facts import Facts
from schemas.ownsystem import OwnSystem, Withheld
from schemas.state import StateTopic
from schemas.tokens import delivery_id
from schemas.topics import LINKS

log = structlog.get_logger()

_PATIENCE = 10.0  # seconds; the first request of a process reads all facts, some 50,000 a second

_decode_sends = msgspec.json.Decoder(SendsRequest).decode
_decode_send = msgspec.json.Decoder(InstrumentRequest).decode


class Email(msgspec.Struct):
    """An email to send as it is: `headers` beside your own, `return_path` as its envelope's sender (MAIL FROM)."""

    index: int
    delivery_id: str
    html: str
    text: str
    headers: dict[str, str]
    return_path: str


class Skipped(msgspec.Struct):
    """An email that this lead must not get: unsubscribed, invalid, complained, erased, replied or paused."""

    index: int
    delivery_id: str
    reason: str


class InstrumentAnswer(msgspec.Struct):
    """What became of each email of the batch."""

    emails: list[Email]
    skipped: list[Skipped]
    rejected: list[Rejected]


class Instrumenting:
    """Makes the emails of one request after the other."""

    def __init__(
        self,
        own: OwnSystem,
        publisher: Publisher,
        known: Known,
        pauses: StateTopic[Pause],
        facts: Facts,
        links: StateTopic[Link],
        metrics: Metrics,
    ) -> None:
        self._own = own
        self._publisher = publisher
        self._known = known
        self._pauses = pauses
        self._facts = facts
        self._links = links
        self._metrics = metrics

    async def answer(self, request: Request, body: bytes) -> Response:
        asked = batch(lambda: decode(_decode_sends, body).sends, MAX_INSTRUMENTED)
        await self._views_show(time.time())
        answer, made = InstrumentAnswer([], [], []), dict[str, Link]()
        for index, raw in enumerate(asked):
            try:
                await self._instrument(index, raw, partial(derived, request), answer, made)
            except Reject as error:
                answer.rejected.append(Rejected(index, error.reason, error.detail))
                self._metrics.instrumented.labels(error.reason).inc()
        await self._announce(made)
        for skipped in answer.skipped:
            self._metrics.instrumented.labels(skipped.reason).inc()
        self._metrics.instrumented.labels("instrumented").inc(len(answer.emails))
        counts = {"emails": len(answer.emails), "skipped": len(answer.skipped), "rejected": len(answer.rejected)}
        log.info("emails instrumented", **counts)
        return openapi.answer(200 if answer.emails or answer.skipped else 422, answer)

    async def _instrument(
        self,
        index: int,
        raw: msgspec.Raw,
        request_id: Callable[[str], str],
        answer: InstrumentAnswer,
        made: dict[str, Link],
    ) -> None:
        asked = decode(_decode_send, raw).as_send()
        check_send(asked)
        campaign = await declared(self._known, asked.campaign)
        delivery = str(delivery_id(asked.campaign, asked.step, asked.lead))
        now = datetime.now(UTC)
        send = Send(
            request_id=request_id(delivery), delivery_id=delivery, requested_at=now, **msgspec.structs.asdict(asked)
        )
        pause = self._pauses.get(asked.campaign)
        # Not on the loop: megabytes of HTML take longer than hits may wait.
        email = await asyncio.to_thread(self._own.instrument, send, campaign, pause, self._facts.get, now)
        if isinstance(email, Withheld):
            answer.skipped.append(Skipped(index, delivery, email.reason))
            return
        made |= {link.link_id: link for link in email.links}
        answer.emails.append(Email(index, delivery, email.html, email.text, email.headers, email.return_path))

    async def _views_show(self, moment: float) -> None:
        """Raises Retry while who has unsubscribed until now can't be said."""
        for what, view in (("who gets no mail", self._facts), ("which campaigns are paused", self._pauses)):
            if not await view.wait_until_current(moment, _PATIENCE):
                raise Retry(f"{what} can't be read right now")

    async def _announce(self, made: dict[str, Link]) -> None:
        """Return when every link would be followed. Those that are known are on the topic."""
        new = [link for link in made.values() if self._links.get(link.link_id) is None]
        await publish(self._publisher, [(LINKS, link.link_id, msgspec.json.encode(link)) for link in new])
        for link in new:
            self._links.put(link)
