"""Ingest with its page on a real broker, called in process or served over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx

from dashboards.page.page import router
from ingest.app import create_app
from schemas import senders
from schemas.settings import Settings
from tests.ingest.conftest import settings_in
from tests.ingest.room import Room, running
from tests.support.broker import Broker, create_topics, drop_topics
from tests.support.processes import free_port
from tests.support.served import served
from tests.support.waiting import wait_until

KEY = "a-key-for-everything-here"
BEARER = {"Authorization": f"Bearer {KEY}"}


def settings_of(folder: Path, broker: Broker, **more: object) -> Settings:
    """Settings with topics of their own, and a ClickHouse that is away."""
    away = f"http://127.0.0.1:{free_port()}"
    settings = settings_in(folder, broker.bootstrap, clickhouse_url=away, **more)
    create_topics(settings)
    return settings


@asynccontextmanager
async def room(folder: Path, broker: Broker, **more: object) -> AsyncIterator[Room]:
    """Called in process; the client is 192.0.2.7."""
    settings = settings_of(folder, broker, **more)
    async with running(settings, router(settings)) as there:
        await there.until_ready()
        yield there
    drop_topics(settings)


@contextmanager
def over_http(settings: Settings) -> Iterator[str]:
    """Served on loopback; yields its URL."""
    with served(create_app(settings, senders.load(settings), router(settings))) as url:
        wait_until(lambda: httpx.get(f"{url}/readyz").status_code == 200, 20, "ingest to be ready")
        yield url
