"""Viewers who leave, and viewers who ask much, keep nobody waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from clickhouse.queries import Query
from clickhouse.query_client import QueryClient
from clickhouse.store import connect
from dashboards.page.page import router
from schemas.settings import Settings
from tests.support.served import served
from tests.support.waiting import until, wait_until

ENDLESS = Query("endless", "SELECT sum(cityHash64(number)) AS many FROM numbers(1000000000000)", "Endless.")
RUNNING = "SELECT count() FROM system.processes WHERE query LIKE '%FROM numbers(1000000000000)%' AND query NOT LIKE '%system.processes%'"


@pytest.fixture
def running(client: Client) -> Callable[[], int]:
    """How many endless queries ClickHouse is at."""
    return lambda: int(str(client.command(RUNNING)))


async def test_a_question_that_nobody_waits_for_is_cancelled_in_clickhouse_too(
    full: Settings, running: Callable[[], int]
) -> None:
    reader = QueryClient(lambda: connect(full))
    asked = [asyncio.create_task(reader.answers(n, [ENDLESS, ENDLESS], {})) for n in range(5)]

    async def begun() -> bool:
        return await asyncio.to_thread(running) == 2

    await until(begun, what="two of them")
    for task in asked:
        task.cancel()
    answer = await asyncio.wait_for(reader.answers("one", [Query("one", "SELECT 1 AS one", "One.")], {}), 8)
    assert answer["one"]["rows"] == [{"one": 1}]  # sooner than the 10 s in which they would have ended by themselves
    assert await asyncio.to_thread(running) <= 1
    reader.close()


class Gate:
    """A client whose queries wait until they may go; it notes their order."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.asked: list[str] = []
        self.open = threading.Event()

    def query(self, sql: str, **more: Any) -> Any:
        self.asked.append(sql)
        assert self.open.wait(20)
        return self._client.query(sql, **more)

    def close(self) -> None:
        self._client.close()


async def test_viewers_take_turns(full: Settings) -> None:
    gate = Gate(connect(full))
    reader = QueryClient(lambda: gate)  # type: ignore[arg-type,return-value]

    def question(name: str) -> list[Query]:
        return [Query(f"{name}{n}", f"SELECT '{name}{n}' AS said", "Said.") for n in range(3)]

    greedy = [asyncio.create_task(reader.answers(n, question(f"greedy-{n}-"), {}, "greedy")) for n in range(4)]

    async def busy() -> bool:
        return len(gate.asked) == 2

    await until(busy, what="both places taken")
    others = [asyncio.create_task(reader.answers(name, question(name), {}, name)) for name in ("ann-", "bob-")]
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(*greedy, *others)
    order = [sql.split("'")[1].split("-")[0] for sql in gate.asked]
    assert order[:2] == ["greedy", "greedy"]
    assert sorted(order[2:11].count(name) for name in ("ann", "bob", "greedy")) == [3, 3, 3]
    reader.close()


def test_pages_that_hung_up_keep_nobody_waiting(full: Settings, running: Callable[[], int]) -> None:
    """40 loads of a page that were left, and then one that is not: it took minutes."""
    app = FastAPI()
    app.include_router(router(full))
    with served(app) as url:
        address = urlsplit(url)
        loads = []
        for n in range(40):
            load = socket.create_connection((str(address.hostname), int(address.port or 0)))
            load.sendall(
                f"GET /boards/overview.json?since=now-{40 + n}d HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
            )
            loads.append(load)
        for load in loads:
            load.close()
        assert httpx.get(url + "/boards/overview.json", timeout=15).status_code == 200
    wait_until(lambda: running() == 0, 20, "the end of all")
