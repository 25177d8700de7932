"""Campaigns of `/v1`: declared by the platform, paused and resumed by operators, and what they are now.

Answered when Kafka has every record.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import structlog
from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import Response

from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.idempotency import HEADER, Idempotency
from ingest.api.http.problems import Problem, described
from ingest.api.requests import CampaignRequest, check_campaign, decode
from schemas.errors import Reject, Retry
from schemas.events import Campaign, CampaignPaused, CampaignResumed, Pause, Time, lines
from schemas.settings import Settings
from schemas.state.pauses import paused, resumed
from schemas.topics import CAMPAIGNS, EVENTS, PAUSES
from stream.publisher import Publisher
from stream.state import StateTopic

log = structlog.get_logger()

_SMALL_BODY_BYTES = 64 * 1024
# How long what we read may take to be current, in seconds, before "there is none" can't be said.
_PATIENCE = 2.0

Key = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="Chosen by the caller, up to 255 visible ASCII characters: the same request with the same key is "
        "answered as before, for a day.",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]
_Id = Annotated[str, Path(examples=["spring-launch"])]
FindCampaign = Callable[[str], Awaitable[Campaign | None]]

_decode = msgspec.json.Decoder(CampaignRequest).decode


class CampaignAnswer(Campaign, frozen=True, kw_only=True):
    """A campaign, and whether it is paused: since when, and why (bounces or operator)."""

    paused: bool = False
    paused_at: Time | None = None
    paused_reason: str = ""


def finder(campaigns: StateTopic[Campaign]) -> FindCampaign:
    """A look-up of campaigns; it raises Retry when it can't be said for sure just now that there is none."""

    async def known(campaign: str) -> Campaign | None:
        found = campaigns.get(campaign)
        if found is None:
            current = await campaigns.wait_until_current(time.time(), _PATIENCE)
            found = campaigns.get(campaign)
            if found is None and not current:
                raise Retry("the list of campaigns can't be read right now")
        return found

    return known


def campaign_routes(
    settings: Settings,
    publisher: Publisher,
    campaigns: StateTopic[Campaign],
    pauses: StateTopic[Pause],
    idempotency: Idempotency,
) -> APIRouter:
    """The router of `/v1/campaigns`."""
    router = APIRouter(
        prefix="/campaigns",
        dependencies=[Depends(caller_of(settings, "campaigns"))],
    )
    known = finder(campaigns)
    within = settings.answer_within_ms / 1000

    @router.post(
        "",
        summary="Declare a campaign",
        status_code=201,
        max_body_size=_SMALL_BODY_BYTES,
        openapi_extra=openapi.body(CampaignRequest),
        responses={
            200: {"description": "It was there already, and is now as asked for.", **openapi.content(CampaignAnswer)},
            201: {"description": "Declared.", **openapi.content(CampaignAnswer)},
            **described(400, "`Idempotency-Key` is no such key."),
            **described(409, "The id belongs to a campaign of another name; or the same request is being worked on."),
            **described(422, "The body is not as described; or `Idempotency-Key` came with another body before."),
        },
    )
    async def declare(request: Request, idempotency_key: Key = None) -> Response:
        """Sends name a campaign by its id, and only a declared one. Doing it again is fine; other options replace the
        earlier ones. It neither pauses nor resumes."""
        body = await request.body()
        return await idempotency.once(request, body, lambda: declared(body))

    async def declared(body: bytes) -> Response:
        try:
            asked = decode(_decode, body)
            check_campaign(asked)
        except Reject as error:
            raise Problem(422, str(error), reason=error.reason) from None
        found = await known(asked.id)
        if found is not None and found.name != asked.name:
            raise Problem(409, "The id belongs to a campaign of another name; its numbers could not be told apart.")
        campaign = Campaign(created_at=found.created_at if found else _now(), **msgspec.structs.asdict(asked))
        if campaign == found:
            return answered(200, found)
        await publisher.publish(CAMPAIGNS, campaign.id, msgspec.json.encode(campaign), within)
        campaigns.put(campaign)
        log.info("campaign declared", campaign=campaign.id, again=found is not None)
        return answered(200 if found else 201, campaign)

    def answered(status: int, campaign: Campaign) -> Response:
        pause = pauses.get(campaign.id)
        fields = msgspec.structs.asdict(campaign)
        if pause is not None and pause.paused:
            fields |= {"paused": True, "paused_at": pause.at, "paused_reason": pause.reason}
        return openapi.answer(status, CampaignAnswer(**fields))

    @router.get(
        "/{id}",
        summary="A campaign, and whether it is paused",
        responses={200: openapi.content(CampaignAnswer), **described(404, "There is none of this id.")},
    )
    async def campaign(id: _Id) -> Response:
        return answered(200, await found_or_404(id))

    changed: dict[int | str, dict[str, object]] = {
        200: {"description": "It is so now, or was so already.", **openapi.content(CampaignAnswer)},
        **described(400, "`Idempotency-Key` is no such key."),
        **described(404, "There is none of this id."),
        **described(409, "The same request is being worked on."),
        **described(422, "`Idempotency-Key` came with another body before."),
    }

    @router.post("/{id}/pause", summary="Pause a campaign", responses=changed)
    async def pause(id: _Id, request: Request, idempotency_key: Key = None) -> Response:
        """Nothing more of it is sent until it is resumed, from a second later at the latest. Sends that are asked for
        meanwhile are skipped, with the reason; ask for them again when it is resumed. Needs no body."""
        return await idempotency.once(request, await request.body(), lambda: set_paused(id, True))

    @router.post("/{id}/resume", summary="Resume a paused campaign", responses=changed)
    async def resume(id: _Id, request: Request, idempotency_key: Key = None) -> Response:
        """It sends again. If it was paused for its bounces, those of emails sent until now are not counted any more.
        Needs no body."""
        return await idempotency.once(request, await request.body(), lambda: set_paused(id, False))

    async def set_paused(id: str, wanted: bool) -> Response:
        found = await found_or_404(id)
        if not await pauses.wait_until_current(time.time(), _PATIENCE):
            raise Retry("whether campaigns are paused can't be read right now")
        before = pauses.get(id)
        if before is not None and before.paused and not wanted:
            await publish(*resumed(before, _now()))
        elif wanted and (before is None or not before.paused):
            await publish(*paused(id, before, _now(), "operator"))
        return answered(200, found)

    async def publish(event: CampaignPaused | CampaignResumed, pause: Pause) -> None:
        await publisher.publish(EVENTS, pause.campaign, lines([event]), within)
        await publisher.publish(PAUSES, pause.campaign, msgspec.json.encode(pause), within)
        pauses.put(pause)
        log.info("campaign paused" if pause.paused else "campaign resumed", campaign=pause.campaign)

    async def found_or_404(id: str) -> Campaign:
        found = await known(id)
        if found is None:
            raise Problem(404, "There is no campaign of this id.")
        return found

    return router


def _now() -> datetime:
    return datetime.now(UTC)
