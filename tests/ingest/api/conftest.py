"""An ingest whose ClickHouse holds the known week of tests/dashboards/data.py; a module may put more into `database`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from clickhouse.store import connect
from schemas.events import Campaign
from schemas.settings import Settings
from schemas.topics import CAMPAIGNS
from tests.dashboards.data import PICK_AT, insert_known_week
from tests.ingest.room import Room, put, running


@pytest.fixture(scope="module")
def database(own_database: Settings) -> Settings:
    """The known week."""
    with connect(own_database) as client:
        insert_known_week(client)
    return own_database


@pytest.fixture
def asked(settings: Settings, database: Settings) -> Settings:
    """The settings of an ingest that asks `database`."""
    where = {"clickhouse_url": database.clickhouse_url, "clickhouse_database": database.clickhouse_database}
    return settings.model_copy(update=where)


@pytest.fixture
async def week(asked: Settings) -> AsyncIterator[Room]:
    """It runs, and knows two campaigns, one of which sent nothing."""
    for id_, name in (("spring", "Spring sale"), ("quiet", "Quiet")):
        put(asked, CAMPAIGNS, id_, Campaign(id=id_, name=name, created_at=PICK_AT))
    async with running(asked) as room:
        await room.until_ready()
        yield room
