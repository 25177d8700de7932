"""Health, metrics, docs and composition."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from fastapi import APIRouter

from schemas.settings import Settings
from tests.ingest.room import Room, running


@pytest.mark.every_broker
async def test_a_ready_room_says_so(room: Room) -> None:
    assert (await room.client.get("/healthz")).json() == {"status": "alive"}
    assert (await room.client.get("/readyz")).json() == {"status": "ready", "degraded": []}


async def test_metrics_are_in_prometheus_text(room: Room) -> None:
    answer = await room.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    for metric in ("sendlens_hits_in_flight", "sendlens_ack_seconds_bucket", "sendlens_batch_hits_count"):
        assert f"\n{metric}" in answer.text


async def test_the_docs_page_asks_no_outside_host(room: Room) -> None:
    page = await room.client.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        assert not path.startswith(("http", "//"))
        assert (await room.client.get(f"/{path}")).status_code == 200


async def test_the_openapi_document_describes_what_a_platform_sends(room: Room) -> None:
    document = (await room.client.get("/openapi.json")).json()
    assert {"/v1/campaigns", "/v1/sends", "/u/{token}", "/healthz", "/readyz", "/metrics"} <= set(document["paths"])
    body = document["paths"]["/v1/sends"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body.keys() == {"$ref"}, "generators name their classes by it"
    named = document["components"]["schemas"]
    items = named[body["$ref"].rpartition("/")[2]]["properties"]["sends"]["items"]
    send = named[items["$ref"].rpartition("/")[2]]
    assert set(send["required"]) == {"campaign", "step", "lead", "to", "sender", "subject"}
    assert send["properties"]["to"]["description"]


async def test_routers_of_other_rooms_are_served_beside_our_own(settings: Settings) -> None:
    router = APIRouter()

    @router.get("/")
    async def home() -> dict[str, str]:
        return {"page": "home"}

    async with running(settings, router) as room:
        assert (await room.client.get("/")).json() == {"page": "home"}
        assert (await room.client.get("/healthz")).status_code == 200


async def test_an_unknown_path_is_a_problem(room: Room) -> None:
    answer = await room.client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_ingest_knows_neither_the_agents_nor_the_boards() -> None:
    for path in Path("ingest").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not any(name.split(".")[0] in ("agents", "dashboards", "sendlens") for name in names), path
