"""Senders of `/v1`: how healthy each is. Asked of ClickHouse, which alone knows all that their emails met."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from fastapi.responses import Response
from msgspec import Meta

from clickhouse.queries import get
from clickhouse.query_client import QueryClient
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.query_route import QueryRoute
from ingest.api.named_queries import read
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

_KEEP_SECONDS = 5.0  # an answer is given again for so long: it takes all emails to work it out

_Count = Annotated[int, Meta(ge=0)]


class SenderStats(msgspec.Struct, frozen=True, kw_only=True):
    """A sender's mailbox, its health now, and what became of all its emails."""

    sender: str
    health: Annotated[int, Meta(ge=0, le=100, description="100 is untouched, 0 is as bad as it gets.")]
    sent: _Count
    hard_bounced: _Count
    soft_bounced: _Count
    blocked: _Count


class SendersAnswer(msgspec.Struct, frozen=True):
    """Every sender that ever sent, the least healthy first."""

    senders: list[SenderStats]


def sender_routes(settings: Settings, reader: QueryClient) -> APIRouter:
    """The router of `/v1/senders`."""
    router = APIRouter(route_class=QueryRoute)
    asking = asyncio.Lock()
    kept: tuple[float, Response | None] = (0.0, None)

    @router.get(
        "/senders",
        dependencies=[Depends(caller_of(settings, "campaigns"))],
        summary="Senders and their health",
        responses={200: openapi.content(SendersAnswer)},
    )
    async def senders() -> Response:
        """A sender starts at 100. An email that bounces hard costs it 15; one that bounces for another reason, is
        blocked, or is put off for a reason that says something of it, costs 5. 20 emails in a row that meet nothing
        give 1 back."""
        nonlocal kept
        async with asking:
            until, answer = kept
            if answer is None or until < time.monotonic():
                answer = openapi.answer(200, SendersAnswer(await _senders(reader)))
                kept = time.monotonic() + _KEEP_SECONDS, answer
        return answer

    return router


async def _senders(reader: QueryClient) -> list[SenderStats]:
    query = get("sender_health")
    try:
        answer = (await reader.answers(query.name, [query], {}))[query.name]
    except Misconfigured as error:
        raise Retry(f"ClickHouse can't say how senders are: {error}") from error
    if "error" in answer:
        raise Retry(f"ClickHouse can't say how senders are: {answer['error']}")
    return read(answer["rows"], SenderStats)
