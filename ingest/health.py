"""Whether the process lives, whether it can do its work, and what it has counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from ingest.metrics import Metrics
from ingest.publisher import Publisher
from schemas.state import StateTopic

# A view of a state topic is renewed several times a second; one this old has lost its broker. In seconds.
_STALE_SECONDS = 5.0


def health_routes(publisher: Publisher, states: Sequence[StateTopic[Any]], metrics: Metrics) -> APIRouter:
    """The routers of `/healthz`, `/readyz` and `/metrics`."""
    router = APIRouter(tags=["operation"])

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", summary="Is the process alive?")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.head("/readyz", include_in_schema=False)
    @router.get(
        "/readyz",
        summary="Can it do its work?",
        responses={503: {"description": "Not now: `reasons` says why. Hits are answered all the same."}},
    )
    async def readyz() -> Response:
        """Ready means: Kafka answers, and the links and campaigns have been read to the end."""
        reasons = list(_reasons(publisher, states))
        if reasons:
            return JSONResponse({"status": "not ready", "reasons": reasons}, 503, {"Retry-After": "1"})
        return JSONResponse({"status": "ready", "reasons": []})

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def read_metrics() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


def _reasons(publisher: Publisher, states: Sequence[StateTopic[Any]]) -> list[str]:
    reasons = [f"kafka: {publisher.problem}"] if publisher.problem else []
    for state in states:
        if not state.ready:
            reasons.append(f"{state.topic}: not read to the end yet")
        elif (age := time.time() - state.current_at) > _STALE_SECONDS:
            reasons.append(f"{state.topic}: Kafka has not answered for {age:.0f} s")
    return reasons
