"""`POST /v1/leads/find`: the leads behind an email address, which is looked up by its keyed hash."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from msgspec import Meta, Struct

from clickhouse.queries import get
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, read_parameters
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem, described
from ingest.api.http.query_route import while_there
from ingest.api.named_queries import UNANSWERED, NamedQueries, read, utc_now
from ingest.api.requests import decode
from schemas.addresses import mailbox
from schemas.errors import Reject
from schemas.events import Time
from schemas.settings import Settings


class FindRequest(Struct, forbid_unknown_fields=True):
    """Whom to look for."""

    email: Annotated[str, Meta(max_length=400, description="An address, a name before it or not.")]


class FoundLead(Struct, frozen=True, kw_only=True):
    """A lead that was mailed at the address."""

    lead: Annotated[str, Meta(description="The lead's id, as the platform calls it.")]
    last_sent_at: Annotated[Time | None, Meta(description="When an email was last sent to it.")]


class FoundLeads(Struct, frozen=True, kw_only=True):
    """The leads, the one that was last mailed first; at most 50."""

    leads: list[FoundLead]


_QUERY = get("leads_by_address")
_BODY_BYTES = 4096
_EXAMPLE = {"leads": [{"lead": "lead-4711", "last_sent_at": "2026-03-02T09:00:00Z"}]}
_decode = msgspec.json.Decoder(FindRequest).decode


def lead_routes(settings: Settings, named_queries: NamedQueries) -> APIRouter:
    """The router of `POST /v1/leads/find`."""
    router = APIRouter(tags=["numbers"], dependencies=[Depends(caller_of(settings, "read"))])

    @router.post(
        "/leads/find",
        summary="The leads of an email address",
        max_body_size=_BODY_BYTES,
        openapi_extra=openapi.body(FindRequest),
        responses={
            200: openapi.content(FoundLeads, _EXAMPLE),
            **described(422, "`email` is no address."),
            **UNANSWERED,
        },
    )
    async def find(request: Request) -> Response:
        """Stored with an email is a hash of its address alone, by the token keys: it is found whole, in any case. By
        POST, so that it stands in no log of requests. A lead may have been mailed at several addresses."""
        try:
            address = mailbox(decode(_decode, await request.body()).email).address
        except Reject as reject:
            raise Problem(422, str(reject), reason=reject.reason) from None
        asked = read_parameters(DEFAULT_SINCE, DEFAULT_UNTIL, [], "UTC", utc_now())
        hashes = {"addresses": list(settings.keyring.address_ids(address))}
        rows = (await while_there(request, named_queries.rows([_QUERY], asked, hashes)))[_QUERY.name]
        return openapi.answer(200, FoundLeads(leads=read(rows, FoundLead)))

    return router
