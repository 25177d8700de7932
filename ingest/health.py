"""Whether the process lives, whether hits are safe with it, what is degraded, and what it has counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from ingest.api.http.auth import caller_of
from ingest.api.http.problems import described
from ingest.hits.commit import GroupCommit
from ingest.hits.spool import Spool
from ingest.metrics import IngestMetrics
from schemas.settings import Settings
from stream.publisher import Publisher
from stream.state import StateTopic

# An answer about a state topic takes some milliseconds; one that is so late has lost its broker. In seconds.
_STALE_SECONDS = 5.0
# How long a process that has just started may read its maps before it is asked to take part without them.
_START_SECONDS = 30.0


class Readiness:
    """Ready means: a hit is safe here, in Kafka or on this machine's disk. All else is only told.

    So a broker that is away takes no ingest out of its load balancer. One that starts waits until it is whole, unless
    Kafka can't be reached, which would be so for the others as well.
    """

    def __init__(
        self,
        publisher: Publisher,
        commit: GroupCommit,
        spool: Spool,
        states: Sequence[StateTopic[Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publisher = publisher
        self._commit = commit
        self._spool = spool
        self._states = states
        self._clock = clock
        self._began: float | None = None
        self._was_whole = False

    async def now(self) -> tuple[bool, dict[str, list[str]]]:
        """Whether it is ready, and what is degraded, by part, a sentence each."""
        kafka, maps, spool = self._kafka(), self._maps(), await self._spool.problem()
        if self._began is None:
            self._began = self._clock()
        self._was_whole = self._was_whole or not (self._publisher.problem or maps)
        degraded = {
            "kafka": kafka,
            "maps": maps,
            "limits": self._publisher.limits.too_small,
            "spool": [f"the spool takes no hits: {spool}"] if spool else [],
        }
        safe = not spool or not kafka
        return safe and (self._was_whole or self._has_waited(self._began)), degraded

    def _kafka(self) -> list[str]:
        problem, away = self._publisher.problem, self._commit.away
        found = [f"kafka: {problem}"] if problem else []
        return found or ([f"kafka: partitions {away} of hits do not answer"] if away else [])

    def _maps(self) -> list[str]:
        found = []
        for state in self._states:
            if not state.ready:
                found.append(f"{state.topic}: not read to the end yet")
            elif state.silent_for > _STALE_SECONDS:
                found.append(f"{state.topic}: Kafka has not answered for {state.silent_for:.0f} s")
        return found

    def _has_waited(self, began: float) -> bool:
        """Whether it has started as far as it can: what is set wrong is not to take part."""
        if self._publisher.problem is None:
            return self._clock() - began > _START_SECONDS
        return self._publisher.unreachable


def health_routes(settings: Settings, readiness: Readiness, metrics: IngestMetrics) -> APIRouter:
    """The router of `/healthz`, `/readyz` and `/metrics`, which recipients can reach; the last needs a key."""
    router = APIRouter(tags=["operation"])

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.head("/readyz", include_in_schema=False)
    @router.get(
        "/readyz",
        summary="Are hits safe here?",
        responses={503: {"description": "Not now: `reasons` says why. Hits are answered all the same."}},
    )
    async def readyz() -> Response:
        """Ready means: a hit is safe here, in Kafka or on this machine's disk. `degraded` says what does not work."""
        ready, degraded = await readiness.now()
        told = [sentence for sentences in degraded.values() for sentence in sentences]
        if not ready:
            return JSONResponse({"status": "not ready", "reasons": told}, 503, {"Retry-After": "1"})
        return JSONResponse({"status": "ready", "degraded": told})

    @router.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=Response,
        dependencies=[Depends(caller_of(settings, "metrics"))],
        responses={
            **described(401, "The API key is missing or wrong."),
            **described(403, "The API key is not for this."),
        },
    )
    async def read_metrics() -> Response:
        metrics.readiness(*await readiness.now())
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
