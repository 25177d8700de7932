"""Senders of `/v1`: how healthy each is. Asked of ClickHouse, which alone knows all that their emails met."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError
from fastapi import APIRouter, Depends
from fastapi.responses import Response
from msgspec import Meta

from clickhouse.queries import get
from clickhouse.store import connect
from ingest import openapi
from ingest.auth import caller_of
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

_KEEP_SECONDS = 5.0  # an answer is given again for so long: it takes all emails to work it out
_QUERY_SECONDS = 20

_Count = Annotated[int, Meta(ge=0)]


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """A sender's mailbox, its health now, and what became of all its emails."""

    sender: str
    health: Annotated[int, Meta(ge=0, le=100, description="100 is untouched, 0 is as bad as it gets.")]
    sent: _Count
    hard_bounced: _Count
    soft_bounced: _Count
    blocked: _Count


class SendersAnswer(msgspec.Struct, frozen=True):
    """Every sender that ever sent, the least healthy first."""

    senders: list[Sender]


def sender_routes(settings: Settings) -> APIRouter:
    """The router of `/v1/senders`."""
    router = APIRouter()
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
                answer = openapi.answer(200, SendersAnswer(await asyncio.to_thread(_ask, settings)))
                kept = time.monotonic() + _KEEP_SECONDS, answer
        return answer

    return router


def _ask(settings: Settings) -> list[Sender]:
    query = get("sender_health")
    try:
        with connect(settings) as client:
            rows = client.query(query.sql, settings={"readonly": 1, "max_execution_time": _QUERY_SECONDS})
            names = rows.column_names
            found = [dict(zip(names, row, strict=True)) for row in rows.result_rows]
    except (ClickHouseError, Retry, Misconfigured) as error:
        raise Retry(f"ClickHouse can't say how senders are: {str(error)[:200]}") from error
    return [Sender(**{name: row[name] for name in Sender.__struct_fields__}) for row in found]
