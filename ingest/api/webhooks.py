"""Webhooks of `/v1`: who is told of events. As `sendlens webhooks`; answered when Kafka has the record."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
import structlog
from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import Response
from msgspec import Meta
from msgspec.structs import replace

from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem, described
from ingest.api.requests import decode
from schemas.errors import Reject, Retry
from schemas.events import Time
from schemas.settings import Settings
from schemas.state.endpoints import KINDS, new_endpoint, secret
from schemas.state.webhook_calls import Endpoint
from schemas.topics import WEBHOOKS
from stream.publisher import Publisher
from stream.state import StateTopic

log = structlog.get_logger()

_BODY_BYTES = 16 * 1024
# How long the list may take to be current, in seconds, before it can't be said what is on it.
_PATIENCE = 2.0
_KINDS = {"type": "array", "items": {"enum": list(KINDS)}, "description": "Kinds of events. All when there are none."}

_Id = Annotated[str, Path(examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"])]


class WebhookRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An address to be told of events."""

    url: Annotated[
        str,
        Meta(min_length=1, max_length=2000, description="As https://host/path.", examples=["https://crm.example/in"]),
    ]
    kinds: list[str] = []
    with_to: Annotated[
        bool,
        Meta(description="Tell it `to`, the address that an email went to, too. SENDLENS_WEBHOOKS_TO must allow it."),
    ] = False


class WebhookAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint. `state` holds since `since`; `reason` is what it answered last, when it was disabled for that."""

    id: str
    url: str
    kinds: tuple[str, ...]
    created_at: Time
    state: Literal["enabled", "disabled", "removed"]
    since: Time
    reason: str
    with_to: bool = False


class NewWebhookAnswer(WebhookAnswer, frozen=True, kw_only=True):
    """An endpoint, and the secret that it verifies signatures with (Standard Webhooks)."""

    secret: str


class WebhooksAnswer(msgspec.Struct, frozen=True):
    """Every endpoint that was not removed, the oldest first."""

    webhooks: list[WebhookAnswer]


_decode = msgspec.json.Decoder(WebhookRequest).decode


def webhook_routes(settings: Settings, publisher: Publisher, endpoints: StateTopic[Endpoint]) -> APIRouter:
    """The router of `/v1/webhooks`."""
    router = APIRouter(prefix="/webhooks", dependencies=[Depends(caller_of(settings, "webhooks"))])
    one_at_a_time = asyncio.Lock()

    @router.post(
        "",
        summary="Have an address told of events",
        status_code=201,
        max_body_size=_BODY_BYTES,
        openapi_extra=openapi.body(WebhookRequest, kinds=_KINDS),
        responses={
            200: {"description": "It was told of the same kinds already.", **openapi.content(NewWebhookAnswer)},
            201: {"description": "It is told from now on.", **openapi.content(NewWebhookAnswer)},
            **described(422, "The body is not as described, or the address is none of the open internet."),
        },
    )
    async def add(request: Request) -> Response:
        """Each event is posted as JSON and signed (Standard Webhooks). What is not taken is tried again for 24 hours.
        The secret is shown here and by `sendlens webhooks list --secrets`, and nowhere else. Doing it again is fine:
        an address that is told of the same kinds already stays the one it is."""
        try:
            asked = decode(_decode, await request.body())
            endpoint = new_endpoint(settings, asked.url, asked.kinds, datetime.now(UTC), with_to=asked.with_to)
        except Reject as error:
            raise Problem(422, str(error), reason=error.reason) from None
        async with one_at_a_time:
            await read_to_the_end()
            same = [one for one in endpoints if _what(one) == _what(endpoint)]
            if same:
                endpoint = min(same, key=_age)
            else:
                await publish(endpoint)
                log.info("webhook added", endpoint=endpoint.id)
        fields = msgspec.structs.asdict(endpoint)
        answer = NewWebhookAnswer(**fields, secret=secret(settings, endpoint.id))
        return openapi.answer(200 if same else 201, answer)

    @router.get(
        "",
        summary="Who is told of events",
        responses={200: openapi.content(WebhooksAnswer)},
    )
    async def listed() -> Response:
        """Without their secrets."""
        await read_to_the_end()
        found = sorted(endpoints, key=_age)
        return openapi.answer(200, WebhooksAnswer([WebhookAnswer(**msgspec.structs.asdict(one)) for one in found]))

    @router.delete(
        "/{id}",
        summary="Have an address told no more",
        status_code=204,
        responses={
            204: {"description": "It is told nothing more, also of what it has not taken yet."},
            **described(404, "There is none of this id."),
        },
    )
    async def remove(id: _Id) -> Response:
        await read_to_the_end()
        endpoint = endpoints.get(id)
        if endpoint is None:
            raise Problem(404, "There is no webhook of this id.")
        now = datetime.now(UTC)
        await publish(replace(endpoint, state="removed", since=now, reason=""))
        log.info("webhook removed", endpoint=id)
        return Response(status_code=204)

    async def read_to_the_end() -> None:
        if not await endpoints.wait_until_current(time.time(), _PATIENCE):
            raise Retry("the list of webhooks can't be read right now")

    async def publish(endpoint: Endpoint) -> None:
        value = msgspec.json.encode(endpoint)
        await publisher.publish(WEBHOOKS, endpoint.id, value, settings.answer_within_ms / 1000)
        endpoints.put(endpoint)

    return router


def _what(endpoint: Endpoint) -> tuple[str, tuple[str, ...], str, bool]:
    return endpoint.url, endpoint.kinds, endpoint.state, endpoint.with_to


def _age(endpoint: Endpoint) -> tuple[datetime, str]:
    return endpoint.created_at, endpoint.id
