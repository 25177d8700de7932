"""`/v1`: what a campaign platform calls. Here to have emails sent; the other files have the rest, a noun each.

Answered when Kafka has every record. Whether an email was sent before is decided downstream, by its delivery id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import msgspec
import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from decisions.sending.clip import MAY_BE_CLIPPED, may_be_clipped
from ingest.api.campaigns import FindCampaign, Key, campaign_routes, finder
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.idempotency import Idempotency, derived
from ingest.api.http.problems import MEDIA_TYPE, Problem, described
from ingest.api.requests import (
    MAX_BODY_BYTES,
    MAX_SENDS,
    SendRequest,
    SendsRequest,
    batch_decoder,
    check_send,
    decode_send,
)
from ingest.metrics import IngestMetrics
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.events import Campaign, Pause, Send
from schemas.senders import Senders
from schemas.settings import Settings
from schemas.tokens import delivery_id
from schemas.topics import SENDS
from stream.publisher import Publisher
from stream.state import StateTopic

log = structlog.get_logger()

# How long Kafka may take over a whole batch, in seconds.
_BATCH_SECONDS = 30.0
_SHARE = 20  # sends handled before hits get the loop again: about a millisecond
_SHARE_BYTES = 200_000  # as well: some milliseconds
# What the topic takes, less room for the key and Kafka's envelope.
_RECORD_BYTES = (SENDS.max_record_bytes or 1_000_000) - 1024

_SMALLER = "make html and images smaller, or put the images on a web server and link to them"

_SENDS = {"type": "array", "minItems": 1, "maxItems": MAX_SENDS, "items": openapi.schema(SendRequest)}
# A send's lead and its record.
_Record = tuple[str, bytes]

_decode_sends = batch_decoder("sends", MAX_SENDS)


class AcceptedSend(msgspec.Struct, omit_defaults=True):
    """A send that will be an email: its place in the request, and the id that every event about it carries.

    `warnings`, where there are any: `clipped` is that the HTML may be of more than the 102 kB that Gmail shows once it
    is tracked, so that its end, the unsubscribe link with it, may not be seen.
    """

    index: int
    delivery_id: str
    warnings: list[str] = []


class RejectedSend(msgspec.Struct):
    """A send that won't, and why: `reason` is one word, `detail` says where."""

    index: int
    reason: str
    detail: str


class SendsAnswer(msgspec.Struct):
    """What became of each send of the batch."""

    accepted: int
    deliveries: list[AcceptedSend]
    rejected: list[RejectedSend]


def api_routes(
    settings: Settings,
    senders: Senders,
    publisher: Publisher,
    campaigns: StateTopic[Campaign],
    pauses: StateTopic[Pause],
    metrics: IngestMetrics,
    *others: APIRouter,
) -> APIRouter:
    """The router of `/v1`, with `others` in it."""
    router = APIRouter(
        prefix="/v1",
        tags=["platform"],
        responses={
            **described(401, "The API key is missing or wrong."),
            **described(403, "The API key is not for this, or a page of another site asked."),
            **described(408, "The body came too slowly."),
            **described(413, "The body is too large."),
            **described(415, "The body is not said to be JSON."),
            **described(421, "No API key is set, and the request is for another host than this one."),
            **described(503, "Kafka did not take it; the same request may be sent again."),
        },
    )

    idempotency = Idempotency()
    turn = asyncio.Lock()  # at reading a body of megabytes: hits have the loop after each
    known = finder(campaigns)
    router.include_router(campaign_routes(settings, publisher, campaigns, pauses, idempotency))
    for other in others:
        router.include_router(other)

    @router.post(
        "/sends",
        dependencies=[Depends(caller_of(settings, "sends"))],
        summary="Have emails sent",
        status_code=202,
        max_body_size=MAX_BODY_BYTES,
        openapi_extra=openapi.body(SendsRequest, sends=_SENDS),
        responses={
            202: {
                "description": "At least one was accepted; see `rejected` for the others.",
                **openapi.content(SendsAnswer),
            },
            **described(400, "The body is no batch of 1 to 1,000 sends, or `Idempotency-Key` is no such key."),
            **described(409, "The same request is being worked on."),
            422: {
                "description": "None was accepted; see `rejected`. Or `Idempotency-Key` came with another body before.",
                "content": openapi.content(SendsAnswer)["content"] | {MEDIA_TYPE: {"schema": openapi.PROBLEM}},
            },
        },
    )
    async def send(request: Request, idempotency_key: Key = None) -> Response:
        """Up to 1,000 emails in one request. Each is accepted or rejected by itself.

        Campaign, step and lead make an email: asking for the same three again, in this request or another, never
        mails twice. Links, pixel, unsubscribe footer and headers are added before it leaves; `amp` and `images` leave
        as they are.
        """
        body = await request.body()
        return await idempotency.once(request, body, lambda: taken(body, partial(derived, request)))

    async def taken(body: bytes, request_id: Callable[[str], str]) -> Response:
        try:
            async with turn:
                batch = _decode_sends(body)
        except Reject as error:
            raise Problem(400, str(error), reason=error.reason) from None
        if not 1 <= len(batch) <= MAX_SENDS:
            raise Problem(400, f"A batch has 1 to {MAX_SENDS} sends; this one has {len(batch)}.", reason="batch-size")
        sends, accepted, rejected = await _sort(batch, known, senders, request_id)
        for one in rejected:
            metrics.sends_rejected.labels(one.reason).inc()
        metrics.sends.labels("rejected").inc(len(rejected))
        await _publish_all(publisher, sends)
        metrics.sends.labels("accepted").inc(len(accepted))
        log.info("sends taken", accepted=len(accepted), rejected=len(rejected))
        return openapi.answer(202 if accepted else 422, SendsAnswer(len(accepted), accepted, rejected))

    return router


async def _sort(
    batch: list[msgspec.Raw],
    known: FindCampaign,
    senders: Senders,
    request_id: Callable[[str], str],
) -> tuple[list[_Record], list[AcceptedSend], list[RejectedSend]]:
    """Check every send of the batch; the loop is shared with hits all the while."""
    sends: list[_Record] = []
    accepted: list[AcceptedSend] = []
    rejected: list[RejectedSend] = []
    campaigns: dict[str, Campaign | None] = {}
    first_with: dict[str, int] = {}
    now = _now()
    read = 0  # bytes since hits had the loop
    for index, raw in enumerate(batch):
        size = len(memoryview(raw))
        read += size
        if index % _SHARE == _SHARE - 1 or read > _SHARE_BYTES:
            read = 0
            await asyncio.sleep(0)
        try:
            asked = decode_send(raw)
            if asked.images and size > _SHARE_BYTES:  # its html may be searched for them, escapes and all
                await asyncio.to_thread(check_send, asked)
            else:
                check_send(asked)
            if asked.campaign not in campaigns:
                campaigns[asked.campaign] = await known(asked.campaign)
            campaign = campaigns[asked.campaign]
            if campaign is None:
                raise Reject("campaign-unknown", "declare it with POST /v1/campaigns first")
            if senders.sending(mailbox(asked.sender).address) is None:
                raise Reject("no-account", "no account of senders.toml sends as this sender: add it there, and restart")
            delivery = str(delivery_id(asked.campaign, asked.step, asked.lead))
            if delivery in first_with:
                raise Reject("duplicate", f"same campaign, step and lead as index {first_with[delivery]}")
            fields = {name: getattr(asked, name) for name in SendRequest.__struct_fields__}
            send = Send(request_id=request_id(delivery), delivery_id=delivery, requested_at=now, **fields)
            value = msgspec.json.encode(send)
            if len(value) > _RECORD_BYTES:
                raise Reject("too-large", f"all fields together: at most {_RECORD_BYTES} bytes of JSON; {_SMALLER}")
        except Reject as error:
            rejected.append(RejectedSend(index, error.reason, error.detail))
            continue
        first_with[delivery] = index
        warnings = [MAY_BE_CLIPPED] if may_be_clipped(asked.html, campaign.pixel) else []
        accepted.append(AcceptedSend(index, delivery, warnings))
        sends.append((asked.lead, value))
    return sends, accepted, rejected


async def _publish_all(publisher: Publisher, sends: list[_Record]) -> None:
    """Publish every send, or raise Retry: those that arrived by then are recognised when they are asked for again."""
    answers = []
    for index, (lead, value) in enumerate(sends):
        if index % _SHARE == _SHARE - 1:
            await asyncio.sleep(0)
        answers.append(asyncio.ensure_future(publisher.publish(SENDS, lead, value, _BATCH_SECONDS)))
    await asyncio.gather(*answers)


def _now() -> datetime:
    return datetime.now(UTC)
