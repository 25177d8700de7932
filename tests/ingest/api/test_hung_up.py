"""A question of `/v1` that nobody waits for any more is cancelled, in ClickHouse too."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from clickhouse.queries import Query
from clickhouse.query_client import QueryClient
from clickhouse.query_parameters import read_parameters
from clickhouse.store import connect
from ingest.api.ab import ab_routes
from ingest.api.campaign_list import campaign_list_routes
from ingest.api.http.query_route import QueryRoute, while_there
from ingest.api.named_queries import NamedQueries
from ingest.api.recipient_list import recipient_routes
from ingest.api.senders import sender_routes
from ingest.api.stats import stats_routes
from ingest.api.timeline import timeline_routes
from schemas.events import Campaign
from schemas.settings import Settings
from tests.support.served import served
from tests.support.waiting import wait_until

ENDLESS = Query("endless", "SELECT sum(cityHash64(number)) AS many FROM numbers(1000000000000)", "Endless.")
RUNNING = "SELECT count() FROM system.processes WHERE query LIKE '%FROM numbers(1000000000000)%' AND query NOT LIKE '%system.processes%'"
WEEK = read_parameters("2026-03-02", "2026-03-09", [], "UTC", datetime(2026, 3, 9, tzinfo=UTC))


async def known(campaign: str) -> Campaign:
    return Campaign(id=campaign, name=campaign, created_at=WEEK.since)


@pytest.fixture
def reader(own_database: Settings) -> QueryClient:
    return QueryClient(lambda: connect(own_database))


def test_every_question_of_v1_is_one_that_is_cancelled(own_database: Settings, reader: QueryClient) -> None:
    named_queries = NamedQueries(reader)
    routers = [
        *(stats_routes(own_database, named_queries, known), ab_routes(own_database, named_queries, known)),
        *(make(own_database, named_queries) for make in (campaign_list_routes, recipient_routes, timeline_routes)),
        sender_routes(own_database, reader),
    ]
    asked = [route for router in routers for route in router.routes]
    assert len(asked) >= len(routers)
    assert [route for route in asked if not isinstance(route, QueryRoute)] == []


def asked_and_left(url: str, request: str, body: str = "") -> socket.socket:
    address = urlsplit(url)
    asked = socket.create_connection((str(address.hostname), int(address.port or 0)))
    asked.sendall(f"{request} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    return asked


def test_who_hangs_up_keeps_nobody_waiting(own_database: Settings, reader: QueryClient) -> None:
    """Twenty-one endless questions, each of which would take the 10 s of its place, and then one that is not."""
    named_queries, routes = NamedQueries(reader), APIRouter(route_class=QueryRoute)

    @routes.get("/endless/{number}")
    async def endless(number: int) -> Response:
        await named_queries.rows([replace(ENDLESS, name=f"endless{number}")], WEEK)
        return Response()

    @routes.post("/found")
    async def found(request: Request) -> Response:
        await request.body()
        await while_there(request, named_queries.rows([replace(ENDLESS, name="found")], WEEK))
        return Response()

    @routes.get("/one")
    async def one() -> Response:
        return Response(str(await named_queries.rows([Query("one", "SELECT 1 AS one", "One.")], WEEK)))

    app = FastAPI()
    app.include_router(routes)
    with connect(own_database) as client, served(app) as url:

        def running() -> int:
            return int(str(client.command(RUNNING)))

        loads = [asked_and_left(url, "POST /found", "lead")]
        loads += [asked_and_left(url, f"GET /endless/{number}") for number in range(20)]
        wait_until(lambda: running() == 2, 20, "two of them run")
        for load in loads:
            load.close()
        assert httpx.get(f"{url}/one", timeout=60).text == "{'one': [{'one': 1}]}"
        wait_until(lambda: running() == 0, 9, "the end of all")
    reader.close()
