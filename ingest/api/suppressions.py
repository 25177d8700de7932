"""Suppressions of `/v1`: who gets no mail, from whatever made it known. Written to the topic `leads`, which the sender
obeys at once; read from ClickHouse, which has it a second or two later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
import structlog
from fastapi import APIRouter, Depends, Request
from fastapi import Query as Parameter
from fastapi.responses import Response
from msgspec import Meta, Struct

from clickhouse.queries import Query, get
from clickhouse.query_client import QueryClient
from decisions.effects.suppression_list import MAX_SOURCE, REASONS, Entry, Of, Reason, fact_of, known_as
from ingest.api.batches import Record, RejectedItem, batch, publish
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import MEDIA_TYPE, Problem, described
from ingest.api.http.query_route import QueryRoute
from ingest.api.named_queries import ASKED_OTHERWISE, UNANSWERED, Cursor, cursor_of, mark_of, read
from ingest.api.requests import batch_decoder, decode
from ingest.metrics import IngestMetrics
from schemas.errors import Misconfigured, Reject, Retry
from schemas.events import Lead, Time, lead_key, to_ms
from schemas.settings import Settings
from schemas.topics import LEADS
from stream.facts import ActiveFacts
from stream.publisher import Publisher

log = structlog.get_logger()

MAX_ENTRIES = 5_000
MAX_ROWS = 1_000
_BODY_BYTES = 4_000_000
_PATIENCE = 10.0  # seconds; the first request of a process reads all facts, some 50,000 a second
_SHARE = 50  # entries handled before hits get the loop again: about a millisecond
_AT_ONCE = 500  # records that Kafka is given before hits get the loop again

_List = Annotated[str, Meta(description="Who: a lead's id, or the keyed hash of an address or a domain.")]


class SuppressionRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """Who is to get no mail: one of `address`, `domain` and `lead`. A domain stands for those below it too."""

    address: Annotated[str, Meta(max_length=1_000, examples=["ada@example.com"])] = ""
    domain: Annotated[str, Meta(max_length=255, examples=["example.org"])] = ""
    lead: Annotated[str, Meta(max_length=64, examples=["lead-4711"])] = ""
    reason: Annotated[Reason, Meta(description="A domain is `suppressed`, whatever the reason was.")] = "suppressed"
    source: Annotated[
        str, Meta(max_length=MAX_SOURCE, description="Who says so. Without it `api`, and the name of the key.")
    ] = ""
    since: Annotated[Time | None, Meta(description="Since when. Without it, now.")] = None
    until: Annotated[Time | None, Meta(description="When a `snoozed` ends, which needs it.")] = None


class SuppressionsRequest(Struct, forbid_unknown_fields=True):
    """A batch of suppressions, each decoded by itself."""

    suppressions: list[msgspec.Raw]


class Suppression(Struct, frozen=True, kw_only=True):
    """Somebody who gets no mail, or none of a list, and why. Of addresses and domains only a keyed hash is kept, which
    is the `id`."""

    of: Literal["address", "domain", "lead", "hashed-lead"]
    id: _List
    reason: Literal["suppressed", "unsubscribed", "invalid", "complained", "snoozed", "erased", "left"]
    list: Annotated[str, Meta(description="Of `left`, the list: emails of others are sent. Else empty.")]
    source: Annotated[str, Meta(description="What made it known: bounce, complaint, page, one-click, mail, api, ...")]
    since: Time
    until: Annotated[Time | None, Meta(description="When it ends by itself; null for never.")]


class SuppressionsAnswer(Struct, frozen=True):
    """A page of the list, in the order of ids, and where the next one begins, if there is one."""

    suppressions: list[Suppression]
    next: str | None


class SuppressedAnswer(Struct, frozen=True):
    """How many were new, how many were on the list already, and what was not taken."""

    added: int
    already: int
    rejected: list[RejectedItem]


class RemovedSuppression(Struct, frozen=True):
    """A reason that held and holds no more."""

    of: Of
    id: _List
    reason: Reason


class RemovedAnswer(Struct, frozen=True):
    """What was taken back."""

    removed: list[RemovedSuppression]


class _Mark(Struct, frozen=True, array_like=True):
    """Where the page before ended."""

    id: Annotated[str, Meta(max_length=300)]
    reason: Annotated[str, Meta(max_length=20)]
    of: Annotated[str, Meta(max_length=20)]
    list: Annotated[str, Meta(max_length=300)] = ""


_Address = Annotated[str, Parameter(max_length=1_000, description="An address.", examples=["ada@example.com"])]
_Domain = Annotated[str, Parameter(max_length=255, description="A domain.", examples=["example.org"])]
_Lead = Annotated[str, Parameter(max_length=64, description="A lead's id.")]
_Id = Annotated[str, Parameter(max_length=64, description="The `id` that the list has for an address or a domain.")]

_decode_entries = batch_decoder("suppressions", MAX_ENTRIES)
_decode_entry = msgspec.json.Decoder(SuppressionRequest).decode
_ENTRIES = {"type": "array", "minItems": 1, "maxItems": MAX_ENTRIES, "items": openapi.schema(SuppressionRequest)}
_PAGE, _LEADS = get("suppressions"), get("suppressed_leads_of")


def suppression_routes(
    settings: Settings, publisher: Publisher, facts: ActiveFacts, reader: QueryClient, metrics: IngestMetrics
) -> APIRouter:
    """The router of `/v1/suppressions`."""
    keyring = settings.keyring
    router = APIRouter(
        route_class=QueryRoute,
        prefix="/suppressions",
        dependencies=[Depends(caller_of(settings, "suppressions"))],
    )
    one_at_a_time = asyncio.Lock()

    @router.post(
        "",
        summary="Suppress addresses, domains or leads",
        max_body_size=_BODY_BYTES,
        openapi_extra=openapi.body(SuppressionsRequest, suppressions=_ENTRIES),
        responses={
            200: {
                "description": "At least one is on the list; see `rejected` for the others.",
                **openapi.content(SuppressedAnswer),
            },
            **described(400, f"The body is no batch of 1 to {MAX_ENTRIES:,} suppressions."),
            422: {
                "description": "None was taken; see `rejected`.",
                "content": openapi.content(SuppressedAnswer)["content"] | {MEDIA_TYPE: {"schema": openapi.PROBLEM}},
            },
        },
    )
    async def add(request: Request) -> Response:
        """Who is on the list gets no email of any campaign, from when this is answered: a send to them is `skipped`
        for the reason. Doing it again is fine; who is on it for that reason already stays as they are."""
        body = await request.body()
        asked = batch(lambda: _decode_entries(body), MAX_ENTRIES)
        source = ":".join(filter(None, ("api", request.state.caller)))
        now = datetime.now(UTC)
        new: dict[str, Lead] = {}
        already, rejected = 0, list[RejectedItem]()
        async with one_at_a_time:
            await current()
            for index, raw in enumerate(asked):
                if index % _SHARE == _SHARE - 1:
                    await asyncio.sleep(0)
                try:
                    one = decode(_decode_entry, raw)
                    fact = fact_of(_entry(one, source), keyring, now)
                except Reject as error:
                    rejected.append(RejectedItem(index, error.reason, error.detail))
                    metrics.suppressions.labels(error.reason).inc()
                    continue
                if fact.key in new or ((held := facts.get(fact.key)) and held.until == fact.until):
                    already += 1
                else:
                    new[fact.key] = fact
            await write(list(new.values()))
        metrics.suppressions.labels("added").inc(len(new))
        metrics.suppressions.labels("already").inc(already)
        log.info("suppressions added", added=len(new), already=already, rejected=len(rejected))
        status = 200 if new or already else 422
        return openapi.answer(status, SuppressedAnswer(len(new), already, rejected))

    @router.get(
        "",
        summary="Who gets no mail, and why",
        responses={200: openapi.content(SuppressionsAnswer), **ASKED_OTHERWISE, **UNANSWERED},
    )
    async def listed(
        address: _Address = "",
        domain: _Domain = "",
        lead: _Lead = "",
        id: _Id = "",
        of: Annotated[Literal["", "address", "domain", "lead"], Parameter(description="Of these alone.")] = "",
        reason: Annotated[
            Literal["", "suppressed", "unsubscribed", "invalid", "complained", "snoozed", "erased", "left"],
            Parameter(description="For this reason alone."),
        ] = "",
        source: Annotated[str, Parameter(max_length=MAX_SOURCE, description="From this source alone.")] = "",
        limit: Annotated[int, Parameter(ge=1, le=MAX_ROWS, description="Rows of a page.")] = 100,
        cursor: Cursor = "",
    ) -> Response:
        """What unsubscribes, hard bounces and complaints made known, and what was suppressed here. With `address`,
        `domain`, `lead` or `id`: why that one gets no mail. A domain that is asked for is looked up as it is; one above
        it may be on the list too. Who `left` one list gets the emails of others."""
        mark = mark_of(cursor, _Mark) if cursor else _Mark("", "", "")
        names: dict[Of, list[str]] = {}
        if address or domain or lead or id:
            names = known_as(keyring, address=address, domain=domain, lead=lead, id=id)
        kinds = [kind for kind in names if of in ("", kind)] if names else [of] if of else []
        if names and not kinds:
            raise Problem(422, f"of={of} fits none of {', '.join(names)}.", reason="parameter-invalid")
        asked = {
            "ids": sorted({name for found in names.values() for name in found}),
            "of": kinds,
            "reason": reason,
            "source": source,
            "after_id": mark.id,
            "after_reason": mark.reason,
            "after_of": mark.of,
            "after_list": mark.list,
            "limit": limit + 1,
        }
        rows = read(await ask(_PAGE, asked), Suppression)
        last = rows[limit - 1] if len(rows) > limit else None
        following = cursor_of(_Mark(last.id, last.reason, last.of, last.list)) if last else None
        return openapi.answer(200, SuppressionsAnswer(rows[:limit], following))

    @router.delete(
        "",
        summary="Let somebody get mail again",
        responses={
            200: openapi.content(RemovedAnswer),
            **described(404, "Nothing of the kind is on the list."),
            **described(409, "The person was erased on request, and stays so."),
            **ASKED_OTHERWISE,
            **UNANSWERED,
        },
    )
    async def remove(
        request: Request, address: _Address = "", domain: _Domain = "", lead: _Lead = "", id: _Id = ""
    ) -> Response:
        """Takes back every reason for which one of `address`, `domain`, `lead` and `id` gets no mail; of an address,
        also those of the leads that were mailed at it. Do it only when the person asked for it. A list that the person
        `left` stays left: its own page takes that back."""
        names = known_as(keyring, address=address, domain=domain, lead=lead, id=id)
        hashes = names.get("address", [])
        if hashes:
            names["lead"] = [str(row["lead"]) for row in await ask(_LEADS, {"addresses": hashes})]
        now, source = datetime.now(UTC), ":".join(filter(None, ("api", request.state.caller)))
        async with one_at_a_time:
            await current()
            if any(map(erased, names.get("address", []))) or any(map(lead_erased, names.get("lead", []))):
                raise Problem(409, "The person was erased on request: nobody may mail them again.", reason="erased")
            held = [
                Lead(lead=name, fact=reason, of=of, at=to_ms(now), holds=False, source=source)
                for of, found in names.items()
                for name in found
                for reason in REASONS
                if facts.get(lead_key(name, reason, of=of))
            ]
            if not held:
                raise Problem(404, "Nothing of the kind is on the list.")
            await write(held)
        metrics.suppressions.labels("removed").inc(len(held))
        log.info("suppressions removed", removed=len(held))
        removed = [RemovedSuppression(fact.of, fact.lead, fact.fact) for fact in held]  # type: ignore[arg-type]
        return openapi.answer(200, RemovedAnswer(removed))

    def erased(address: str) -> bool:
        return facts.get(lead_key(address, "erased", of="address")) is not None

    def lead_erased(lead: str) -> bool:
        return any(facts.get(lead_key(hashed, "erased", of="hashed-lead")) for hashed in keyring.lead_ids(lead))

    async def current() -> None:
        if not await facts.wait_until_current(time.time(), _PATIENCE):
            raise Retry("who gets no mail can't be read right now")

    async def write(found: Sequence[Lead]) -> None:
        for at in range(0, len(found), _AT_ONCE):
            some = found[at : at + _AT_ONCE]
            records: list[Record] = [(LEADS, fact.key, msgspec.json.encode(fact)) for fact in some]
            await publish(publisher, records)
            for fact in some:
                facts.put(fact)

    async def ask(query: Query, values: dict[str, object]) -> list[dict[str, object]]:
        key = (query.name, msgspec.json.encode(values))
        try:
            answer = (await reader.answers(key, [query], values))[query.name]
        except Misconfigured as error:
            raise Retry(f"ClickHouse can't be asked: {error}") from error
        if "error" in answer:
            raise Retry(f"ClickHouse can't answer: {answer['error']}")
        rows: list[dict[str, object]] = answer["rows"]
        return rows

    return router


def _entry(one: SuppressionRequest, source: str) -> Entry:
    return Entry(
        address=one.address,
        domain=one.domain,
        lead=one.lead,
        reason=one.reason,
        source=one.source or source,
        since=one.since,
        until=one.until,
    )
