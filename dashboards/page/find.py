"""Finding a lead: by its id, or by an email address, which is looked up by its keyed hash."""

from __future__ import annotations

import json

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from clickhouse.queries import get
from clickhouse.query_client import QueryClient
from clickhouse.query_parameters import MAX_ADDRESS
from dashboards.page import plain_words
from dashboards.page.answer_headers import HEADERS, RETRY
from dashboards.page.board_question import viewer_of, while_there
from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

_BODY_BYTES = 4096
_QUERIES = [get("leads_by_id"), get("leads_by_address")]


def find_routes(settings: Settings, reader: QueryClient) -> APIRouter:
    """`POST /leads/find` with `{"text": ...}`: `{"leads": [{"lead", "last_sent_at"}]}`, that of the id first.

    By POST, so that an address stands in no log.
    """
    routes = APIRouter()

    @routes.post("/leads/find")
    async def find(request: Request) -> Response:
        text = _text(await request.body())
        values = {"lead": text, "addresses": list(settings.keyring.address_ids(text)) if "@" in text else []}
        try:
            answers = await while_there(request, reader.answers(("find", text), _QUERIES, values, viewer_of(request)))
        except (Retry, Misconfigured) as error:
            raise HTTPException(503, plain_words.of_board(error), RETRY) from error
        rows = [row for query in _QUERIES for row in answers[query.name].get("rows", [])]
        leads = list({row["lead"]: row for row in rows}.values())
        return JSONResponse({"leads": leads}, headers=HEADERS | {"Cache-Control": "no-store"})

    return routes


def _text(body: bytes) -> str:
    try:
        text = json.loads(body[:_BODY_BYTES])["text"].strip()
        if 0 < len(text) <= MAX_ADDRESS:
            return str(text)
    except (ValueError, TypeError, LookupError, AttributeError):
        pass
    raise HTTPException(422, f'Send {{"text": "..."}}, a lead\'s id or an address of at most {MAX_ADDRESS} characters.')
