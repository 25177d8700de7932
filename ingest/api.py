"""`/v1`: what a campaign platform calls to declare campaigns and to have emails sent.

Answered when Kafka has every record. Whether an email was sent before is decided downstream, by its delivery id.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import Response

from ingest.auth import caller_of
from ingest.idempotency import HEADER, Idempotency, derived
from ingest.metrics import Metrics
from ingest.problems import MEDIA_TYPE, Problem, described
from ingest.publisher import Publisher
from ingest.requests import (
    MAX_BODY_BYTES,
    MAX_SENDS,
    CampaignRequest,
    SendRequest,
    SendsRequest,
    check_campaign,
    check_send,
    decode,
)
from schemas.errors import Reject, Retry
from schemas.events import Campaign, Pause, Send, Time
from schemas.settings import Settings
from schemas.state import StateTopic
from schemas.tokens import delivery_id
from schemas.topics import CAMPAIGNS, SENDS, text_partition

log = structlog.get_logger()

_SMALL_BODY_BYTES = 64 * 1024
# How long a campaign we do not know may take to reach us before it is unknown, in seconds.
_CAMPAIGN_PATIENCE = 2.0
# How long Kafka may take over a whole batch, in seconds.
_BATCH_SECONDS = 30.0
_SHARE = 20  # sends handled before hits get the loop again: about a millisecond
# What the topic takes, less room for the key and Kafka's envelope.
_RECORD_BYTES = (SENDS.max_record_bytes or 1_000_000) - 1024

_Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="Chosen by the caller, up to 255 visible ASCII characters: the same request with the same key is "
        "answered as before, for a day.",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]

# A send's lead and its record.
_Record = tuple[str, bytes]

_decode_campaign = msgspec.json.Decoder(CampaignRequest).decode
_decode_sends = msgspec.json.Decoder(SendsRequest).decode
_decode_send = msgspec.json.Decoder(SendRequest).decode


class CampaignAnswer(Campaign, frozen=True, kw_only=True):
    """A campaign, and whether it is paused: since when, and why (bounces or operator)."""

    paused: bool = False
    paused_at: Time | None = None
    paused_reason: str = ""


class Accepted(msgspec.Struct):
    """A send that will be an email: its place in the request, and the id that every event about it carries."""

    index: int
    delivery_id: str


class Rejected(msgspec.Struct):
    """A send that won't, and why: `reason` is one word, `detail` says where."""

    index: int
    reason: str
    detail: str


class SendsAnswer(msgspec.Struct):
    """What became of each send of the batch."""

    accepted: int
    deliveries: list[Accepted]
    rejected: list[Rejected]


def api_routes(
    settings: Settings,
    publisher: Publisher,
    campaigns: StateTopic[Campaign],
    pauses: StateTopic[Pause],
    metrics: Metrics,
) -> APIRouter:
    """The router of `/v1`."""
    router = APIRouter(
        prefix="/v1",
        tags=["platform"],
        responses={
            **described(401, "The API key is missing or wrong."),
            **described(403, "The API key is not for this."),
            **described(413, "The body is too large."),
            **described(503, "Kafka did not take it; the same request may be sent again."),
        },
    )

    for_campaigns = [Depends(caller_of(settings, "campaigns"))]
    for_sends = [Depends(caller_of(settings, "sends"))]
    idempotency = Idempotency()

    async def known(campaign: str) -> Campaign | None:
        """The campaign, if there is one; raises Retry when that can't be said for sure just now."""
        found = campaigns.get(campaign)
        if found is None:
            current = await campaigns.wait_until_current(time.time(), _CAMPAIGN_PATIENCE)
            found = campaigns.get(campaign)
            if found is None and not current:
                raise Retry("the list of campaigns can't be read right now")
        return found

    @router.post(
        "/campaigns",
        dependencies=for_campaigns,
        summary="Declare a campaign",
        status_code=201,
        max_body_size=_SMALL_BODY_BYTES,
        openapi_extra=_body(CampaignRequest),
        responses={
            200: {"description": "It was there already, and is now as asked for.", **_content(CampaignAnswer)},
            201: {"description": "Declared.", **_content(CampaignAnswer)},
            **described(400, "`Idempotency-Key` is no such key."),
            **described(409, "The id belongs to a campaign of another name; or the same request is being worked on."),
            **described(422, "The body is not as described; or `Idempotency-Key` came with another body before."),
        },
    )
    async def declare(request: Request, idempotency_key: _Key = None) -> Response:
        """Sends name a campaign by its id, and only a declared one. Doing it again is fine; other options replace the
        earlier ones. It neither pauses nor resumes."""
        body = await request.body()
        return await idempotency.once(request, body, lambda: declared(body))

    async def declared(body: bytes) -> Response:
        try:
            asked = decode(_decode_campaign, body)
            check_campaign(asked)
        except Reject as error:
            raise Problem(422, str(error), reason=error.reason) from None
        found = await known(asked.id)
        if found is not None and found.name != asked.name:
            raise Problem(409, "The id belongs to a campaign of another name; its numbers could not be told apart.")
        campaign = Campaign(created_at=found.created_at if found else _now(), **msgspec.structs.asdict(asked))
        if campaign == found:
            return _json(200, answered(found))
        await publisher.publish(
            CAMPAIGNS,
            text_partition(campaign.id, settings.partitions_of(CAMPAIGNS)),
            campaign.id,
            msgspec.json.encode(campaign),
            settings.answer_within_ms / 1000,
        )
        campaigns.put(campaign)
        log.info("campaign declared", campaign=campaign.id, again=found is not None)
        return _json(200 if found else 201, answered(campaign))

    def answered(campaign: Campaign) -> CampaignAnswer:
        pause = pauses.get(campaign.id)
        known = msgspec.structs.asdict(campaign)
        if pause is None or not pause.paused:
            return CampaignAnswer(**known)
        return CampaignAnswer(**known, paused=True, paused_at=pause.at, paused_reason=pause.reason)

    @router.get(
        "/campaigns/{id}",
        dependencies=for_campaigns,
        summary="A campaign, and whether it is paused",
        responses={200: _content(CampaignAnswer), **described(404, "There is none of this id.")},
    )
    async def campaign(id: Annotated[str, Path(examples=["spring-launch"])]) -> Response:
        found = await known(id)
        if found is None:
            raise Problem(404, "There is no campaign of this id.")
        return _json(200, answered(found))

    @router.post(
        "/sends",
        dependencies=for_sends,
        summary="Have emails sent",
        status_code=202,
        max_body_size=MAX_BODY_BYTES,
        openapi_extra=_body(SendsRequest, sends={"type": "array", "minItems": 1, "maxItems": MAX_SENDS}),
        responses={
            202: {"description": "At least one was accepted; see `rejected` for the others.", **_content(SendsAnswer)},
            **described(400, "The body is no batch of 1 to 1,000 sends, or `Idempotency-Key` is no such key."),
            **described(409, "The same request is being worked on."),
            422: {
                "description": "None was accepted; see `rejected`. Or `Idempotency-Key` came with another body before.",
                "content": _content(SendsAnswer)["content"] | {MEDIA_TYPE: {}},
            },
        },
    )
    async def send(request: Request, idempotency_key: _Key = None) -> Response:
        """Up to 1,000 emails in one request. Each is accepted or rejected by itself.

        Campaign, step and lead make an email: asking for the same three again, in this request or another, never
        mails twice. Links, pixel, unsubscribe footer and headers are added before it leaves.
        """
        body = await request.body()
        return await idempotency.once(request, body, lambda: taken(body, partial(derived, request)))

    async def taken(body: bytes, request_id: Callable[[str], str]) -> Response:
        try:
            batch = decode(_decode_sends, body).sends
        except Reject as error:
            raise Problem(400, str(error), reason=error.reason) from None
        if not 1 <= len(batch) <= MAX_SENDS:
            raise Problem(400, f"A batch has 1 to {MAX_SENDS} sends; this one has {len(batch)}.", reason="batch-size")
        sends, accepted, rejected = await _sort(batch, known, request_id)
        for one in rejected:
            metrics.sends_rejected.labels(one.reason).inc()
        metrics.sends.labels("rejected").inc(len(rejected))
        await _publish_all(settings, publisher, sends)
        metrics.sends.labels("accepted").inc(len(accepted))
        log.info("sends taken", accepted=len(accepted), rejected=len(rejected))
        return _json(202 if accepted else 422, SendsAnswer(len(accepted), accepted, rejected))

    return router


async def _sort(
    batch: list[msgspec.Raw],
    known: Callable[[str], Awaitable[Campaign | None]],
    request_id: Callable[[str], str],
) -> tuple[list[_Record], list[Accepted], list[Rejected]]:
    """Check every send of the batch; the loop is shared with hits all the while."""
    sends: list[_Record] = []
    accepted: list[Accepted] = []
    rejected: list[Rejected] = []
    campaigns: dict[str, bool] = {}
    first_with: dict[str, int] = {}
    now = _now()
    for index, raw in enumerate(batch):
        if index % _SHARE == _SHARE - 1:
            await asyncio.sleep(0)
        try:
            asked = decode(_decode_send, raw)
            check_send(asked)
            if asked.campaign not in campaigns:
                campaigns[asked.campaign] = await known(asked.campaign) is not None
            if not campaigns[asked.campaign]:
                raise Reject("campaign-unknown", "declare it with POST /v1/campaigns first")
            delivery = str(delivery_id(asked.campaign, asked.step, asked.lead))
            if delivery in first_with:
                raise Reject("duplicate", f"same campaign, step and lead as index {first_with[delivery]}")
            fields = {name: getattr(asked, name) for name in SendRequest.__struct_fields__}
            send = Send(request_id=request_id(delivery), delivery_id=delivery, requested_at=now, **fields)
            value = msgspec.json.encode(send)
            if len(value) > _RECORD_BYTES:
                raise Reject("too-large", f"html, text and headers together: at most {_RECORD_BYTES} bytes of JSON")
        except Reject as error:
            rejected.append(Rejected(index, error.reason, error.detail))
            continue
        first_with[delivery] = index
        accepted.append(Accepted(index, delivery))
        sends.append((asked.lead, value))
    return sends, accepted, rejected


async def _publish_all(settings: Settings, publisher: Publisher, sends: list[_Record]) -> None:
    """Publish every send, or raise Retry: those that arrived by then are recognised when they are asked for again."""
    partitions = settings.partitions_of(SENDS)
    answers = []
    for index, (lead, value) in enumerate(sends):
        if index % _SHARE == _SHARE - 1:
            await asyncio.sleep(0)
        partition = text_partition(lead, partitions)
        answers.append(asyncio.ensure_future(publisher.publish(SENDS, partition, lead, value, _BATCH_SECONDS)))
    await asyncio.gather(*answers)


def _now() -> datetime:
    return datetime.now(UTC)


def _json(status: int, body: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The struct's JSON Schema, with what it refers to written out in place."""
    (schema,), parts = msgspec.json.schema_components([struct], ref_template="{name}")

    def written_out(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return written_out(parts[node["$ref"]])
            return {key: written_out(value) for key, value in node.items()}
        return [written_out(item) for item in node] if isinstance(node, list) else node

    found: dict[str, Any] = written_out(schema)
    return found


def _content(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": _schema(struct)}}}


def _body(struct: type[msgspec.Struct], **lists: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI description of a body that we decode ourselves."""
    content = _content(struct)
    properties = content["content"]["application/json"]["schema"]["properties"]
    for name, shape in lists.items():
        properties[name] = {**shape, "items": _schema(SendRequest)}
    return {"requestBody": {"required": True, **content}}
