"""`GET /v1/ab/{campaign}`: whether a variant does better than another, or only seems to. The A/B board's own query."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from fastapi import Query as Parameter
from fastapi.responses import Response
from msgspec import Meta, Struct

from clickhouse.columns import ABOUT
from clickhouse.queries import get
from clickhouse.query_parameters import DEFAULT_SINCE, DEFAULT_UNTIL, MAX_CHOSEN, read_parameters
from ingest.api.campaigns import FindCampaign
from ingest.api.http import openapi
from ingest.api.http.auth import caller_of
from ingest.api.http.problems import Problem, described
from ingest.api.http.query_route import QueryRoute
from ingest.api.named_queries import ASKED_OTHERWISE, UNANSWERED, NamedQueries, Since, Until, read, utc_now
from schemas.events import Time
from schemas.settings import Settings


class Comparison(Struct, frozen=True, kw_only=True):
    """A variant of a step beside its baseline, by one metric. What can't be said is null: of the baseline itself every
    comparison, of too few emails the rest."""

    step: Annotated[int, Meta(ge=0, le=255)]
    variant: str
    metric: Annotated[Literal["reply", "click", "open"], Meta(description=ABOUT["metric"])]
    baseline: Annotated[str, Meta(description=ABOUT["baseline"])]
    delivered: Annotated[int, Meta(ge=0, description=ABOUT["delivered"])]
    reached: Annotated[int, Meta(ge=0, description=ABOUT["reached"])]
    rate: Annotated[float | None, Meta(description=ABOUT["rate"])]
    lift: Annotated[float | None, Meta(description=ABOUT["lift"])]
    difference: Annotated[float | None, Meta(description=ABOUT["difference"])]
    low: Annotated[float | None, Meta(description=ABOUT["low"])]
    high: Annotated[float | None, Meta(description=ABOUT["high"])]
    p_value: Annotated[float | None, Meta(description=ABOUT["p_value"])]
    corrected_p: Annotated[float | None, Meta(description=ABOUT["corrected_p"])]
    needed: Annotated[int | None, Meta(description=ABOUT["needed"])]
    missing: Annotated[int | None, Meta(description=ABOUT["missing"])]
    outcome: Annotated[Literal["baseline", "short", "better", "worse", "none"], Meta(description=ABOUT["outcome"])]
    finding: Annotated[str, Meta(description=ABOUT["finding"])]


class AbAnswer(Struct, frozen=True, kw_only=True):
    """Every variant of every step that was sent in at least two, by metric: replies, which decide, clicks and opens."""

    campaign: str
    name: str
    since: Time
    until: Time
    comparisons: list[Comparison]


_AB = get("ab")
_EXAMPLE = {
    **{"campaign": "spring-launch", "name": "Spring launch"},
    **{"since": "2026-03-02T00:00:00Z", "until": "2026-03-09T00:00:00Z"},
    "comparisons": [
        {
            **{"step": 1, "variant": "B", "metric": "reply", "baseline": "A", "delivered": 2400, "reached": 120},
            **{"rate": 0.05, "lift": 0.4285714, "difference": 0.015, "low": 0.0035, "high": 0.0266},
            **{"p_value": 0.0101, "corrected_p": 0.0101, "needed": 1900, "missing": 0},
            **{"outcome": "better", "finding": "B is better than A"},
        }
    ],
}


def ab_routes(settings: Settings, named_queries: NamedQueries, known: FindCampaign) -> APIRouter:
    """The router of `/v1/ab`."""
    router = APIRouter(route_class=QueryRoute, tags=["numbers"], dependencies=[Depends(caller_of(settings, "read"))])

    @router.get(
        "/ab/{campaign}",
        summary="A campaign's A/B tests",
        responses={
            200: openapi.content(AbAnswer, _EXAMPLE),
            **described(404, "There is no campaign of this id."),
            **ASKED_OTHERWISE,
            **UNANSWERED,
        },
    )
    async def ab(
        campaign: Annotated[str, Path(examples=["spring-launch"])],
        since: Since = DEFAULT_SINCE,
        until: Until = DEFAULT_UNTIL,
        step: Annotated[
            list[str] | None,
            Parameter(description=f"Of these steps alone, at most {MAX_CHOSEN}; none: all.", examples=[["1"]]),
        ] = None,
    ) -> Response:
        """`outcome` is `better` or `worse` only when there is data enough and chance alone would hardly give as much;
        until then it is `short`, and `missing` says how many emails it takes. A step of one variant is no test."""
        asked = read_parameters(since, until, [campaign], "UTC", utc_now(), steps=step or [])
        found = await known(campaign)
        if found is None:
            raise Problem(404, "There is no campaign of this id.")
        rows = await named_queries.rows([_AB], asked)
        comparisons = read(rows[_AB.name], Comparison)
        return openapi.answer(
            200,
            AbAnswer(campaign=campaign, name=found.name, since=asked.since, until=asked.until, comparisons=comparisons),
        )

    return router
