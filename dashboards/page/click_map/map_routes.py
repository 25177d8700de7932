"""`/click-map.json`, the links of a variant and who clicked them, and `/click-map.html`, the same drawn on its HTML.

The HTML is a stranger's. It is answered for a frame without rights of any kind, and says so itself: no script, form or
popup, no way to our page, and nothing from any host, so that looking at it is nobody's open.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from clickhouse.exports.packing import packed
from clickhouse.queries import get
from clickhouse.query_client import QueryClient
from dashboards.page import plain_words
from dashboards.page.answer_headers import HEADERS, RETRY
from dashboards.page.board_question import BoardQuestion, asked, viewer_of, while_there
from dashboards.page.click_map.drawing import ClickMap, LinkClicks, draw
from decisions.sending.utm import tags_of
from schemas.errors import Misconfigured, Retry
from schemas.events import Campaign

_PREVIEW, _LINKS = get("preview_html"), get("variant_links")
_NO_STORE = {"Cache-Control": "no-store"}
_FRAME_HEADERS = {
    **_NO_STORE,
    # `sandbox` holds where the address is opened by itself, out of the page's frame.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'; sandbox"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def map_routes(reader: QueryClient) -> APIRouter:
    """Both take a board's period and one campaign, step and variant."""
    routes = APIRouter()

    @routes.get("/click-map.json")
    async def links(request: Request, question: Annotated[BoardQuestion, Depends(asked)]) -> Response:
        drawn = await _drawn(reader, request, question)
        ones = question.parameters
        narrowed = {"campaign_id": ones.campaigns[0], "step": ones.steps[0], "variant": ones.variants[0]}
        rows = [asdict(link) | narrowed for link in drawn.links]
        return await packed(request, JSONResponse({"rows": rows}, headers=HEADERS | _NO_STORE))

    @routes.get("/click-map.html")
    async def frame(request: Request, question: Annotated[BoardQuestion, Depends(asked)]) -> Response:
        drawn = await _drawn(reader, request, question)
        return await packed(request, Response(drawn.document, headers=_FRAME_HEADERS, media_type="text/html"))

    return routes


async def _drawn(reader: QueryClient, request: Request, question: BoardQuestion) -> ClickMap:
    """The map. Raises HTTPException: 422 unless one variant is chosen, 404 where none is declared, 503."""
    ones = question.parameters
    if not len(ones.campaigns) == len(ones.steps) == len(ones.variants) == 1:
        raise HTTPException(422, "Name one campaign, one step and one variant.")
    asking = reader.answers(("click-map", question.same), [_PREVIEW, _LINKS], ones.parameters(), viewer_of(request))
    try:
        answers = await while_there(request, asking)
    except (Retry, Misconfigured) as error:
        raise HTTPException(503, plain_words.of_board(error), RETRY) from error
    for name, answer in answers.items():
        if "error" in answer:
            raise HTTPException(503, plain_words.of_panel(name, answer["error"]), RETRY)
    found: list[dict[str, Any]] = answers[_PREVIEW.name]["rows"]
    if not found or not found[0]["html"]:
        raise HTTPException(404, "The platform has declared no HTML for this variant, or has taken it back.")
    tagging = {name: value for name, value in found[0].items() if name.startswith("utm_")}
    campaign = Campaign(id=ones.campaigns[0], name="", created_at=datetime.now(UTC), **tagging)
    followed = [LinkClicks(**row) for row in answers[_LINKS.name]["rows"]]
    # Of 512 kB it takes tens of milliseconds, and the loop answers hits.
    return await asyncio.to_thread(draw, found[0]["html"], tags_of(campaign, ones.steps[0], ones.variants[0]), followed)
