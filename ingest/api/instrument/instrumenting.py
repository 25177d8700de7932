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

from decisions.providers.passing import ApiFields, api_fields_for, headers_for, passed_text
from decisions.sending.own_system import withheld
from ingest.api.batches import RejectedItem, batch, declared, publish
from ingest.api.campaigns import FindCampaign
from ingest.api.http import openapi
from ingest.api.http.idempotency import derived
from ingest.api.instrument.instrument_pool import InstrumentPool
from ingest.api.requests import MAX_INSTRUMENTED, InstrumentRequest, batch_decoder, check_send, decode
from ingest.metrics import IngestMetrics
from schemas.addresses import mailbox
from schemas.errors import Reject, Retry
from schemas.events import Link, Pause, Send
from schemas.tokens import Keyring, delivery_id
from schemas.topics import LINKS
from stream.facts import ActiveFacts
from stream.publisher import Publisher
from stream.state import StateTopic

log = structlog.get_logger()

_PATIENCE = 10.0  # seconds; the first request of a process reads all facts, some 50,000 a second

_LINKS_AT_ONCE = 200  # that are announced before hits get the loop again: some milliseconds

_decode_sends = batch_decoder("sends", MAX_INSTRUMENTED)
_decode_send = msgspec.json.Decoder(InstrumentRequest).decode


class InstrumentedItem(msgspec.Struct, omit_defaults=True):
    """An email to send as it is: `headers` beside your own, `return_path` as its envelope's sender (MAIL FROM).

    `api_fields`, where a `provider` was named: into the request if the email is given to its HTTP API, in place of the
    header that does the same by SMTP. `warnings`, where there are any: `pixel-clipped` or `unsubscribe-clipped`, which
    stand behind the 102 kB of HTML that Gmail shows.
    """

    index: int
    delivery_id: str
    html: str
    text: str
    headers: dict[str, str]
    return_path: str
    api_fields: ApiFields | None = None
    warnings: list[str] = []


class SkippedItem(msgspec.Struct):
    """An email that this lead must not get: unsubscribed, invalid, complained, suppressed, snoozed, erased, replied or
    paused."""

    index: int
    delivery_id: str
    reason: str


class InstrumentAnswer(msgspec.Struct):
    """What became of each email of the batch."""

    emails: list[InstrumentedItem]
    skipped: list[SkippedItem]
    rejected: list[RejectedItem]


class InstrumentHandler:
    """Makes the emails of one request after the other."""

    def __init__(
        self,
        keyring: Keyring,
        pool: InstrumentPool,
        publisher: Publisher,
        known: FindCampaign,
        pauses: StateTopic[Pause],
        facts: ActiveFacts,
        links: StateTopic[Link],
        metrics: IngestMetrics,
    ) -> None:
        self._keyring = keyring
        self._pool = pool
        self._publisher = publisher
        self._known = known
        self._pauses = pauses
        self._facts = facts
        self._links = links
        self._metrics = metrics
        # Megabytes of JSON take tens of milliseconds: one request reads or writes them, then hits have the loop.
        self._turn = asyncio.Lock()

    async def answer(self, request: Request, body: bytes) -> Response:
        async with self._turn:
            asked = batch(lambda: _decode_sends(body), MAX_INSTRUMENTED)
        await self._views_show(time.time())
        answer, made = InstrumentAnswer([], [], []), dict[str, Link]()
        for index, raw in enumerate(asked):
            try:
                await self._instrument(index, raw, partial(derived, request), answer, made)
            except Reject as error:
                answer.rejected.append(RejectedItem(index, error.reason, error.detail))
                self._metrics.instrumented.labels(error.reason).inc()
        await self._announce(made)
        for skipped in answer.skipped:
            self._metrics.instrumented.labels(skipped.reason).inc()
        self._metrics.instrumented.labels("instrumented").inc(len(answer.emails))
        counts = {"emails": len(answer.emails), "skipped": len(answer.skipped), "rejected": len(answer.rejected)}
        log.info("emails instrumented", **counts)
        async with self._turn:
            return openapi.answer(200 if answer.emails or answer.skipped else 422, answer)

    async def _instrument(
        self,
        index: int,
        raw: msgspec.Raw,
        request_id: Callable[[str], str],
        answer: InstrumentAnswer,
        made: dict[str, Link],
    ) -> None:
        async with self._turn:
            request = decode(_decode_send, raw)
            asked = request.as_send()
            check_send(asked)
        campaign = await declared(self._known, asked.campaign)
        delivery = str(delivery_id(asked.campaign, asked.step, asked.lead))
        now = datetime.now(UTC)
        send = Send(
            request_id=request_id(delivery), delivery_id=delivery, requested_at=now, **msgspec.structs.asdict(asked)
        )
        pause = self._pauses.get(asked.campaign)
        if (no := withheld(send, campaign, pause, self._facts.get, keyring=self._keyring, now=now)) is not None:
            answer.skipped.append(SkippedItem(index, delivery, no.reason))
            return
        email = await self._pool.make(send, campaign, now)
        api_fields = None
        if request.provider is not None:
            token = email.headers["Message-ID"].removeprefix("<").partition("@")[0]
            passed = passed_text(token, mailbox(send.sender).address)
            email.headers.update(headers_for(request.provider, passed))
            api_fields = api_fields_for(request.provider, passed)
        made |= {link.link_id: link for link in email.links}
        answer.emails.append(
            InstrumentedItem(
                index,
                delivery,
                email.html,
                email.text,
                email.headers,
                email.return_path,
                api_fields=api_fields,
                warnings=email.warnings,
            )
        )

    async def _views_show(self, moment: float) -> None:
        """Raises Retry while who has unsubscribed until now can't be said."""
        for what, view in (("who gets no mail", self._facts), ("which campaigns are paused", self._pauses)):
            if not await view.wait_until_current(moment, _PATIENCE):
                raise Retry(f"{what} can't be read right now")

    async def _announce(self, made: dict[str, Link]) -> None:
        """Return when every link would be followed. Those that are known are on the topic."""
        new = [link for link in made.values() if self._links.get(link.link_id) is None]
        for at in range(0, len(new), _LINKS_AT_ONCE):
            some = new[at : at + _LINKS_AT_ONCE]
            await publish(self._publisher, [(LINKS, link.link_id, msgspec.json.encode(link)) for link in some])
            for link in some:
                self._links.put(link)
