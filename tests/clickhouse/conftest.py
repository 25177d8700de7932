"""One embedded ClickHouse for the whole session, and a client with a table of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.client import Client

from schemas.settings import Settings
from tests.support.processes import ClickHouseProcess, start_clickhouse

READER = "grafana"
READER_PASSWORD = "reads-only"


@pytest.fixture(scope="session")
def embedded_clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    path = tmp_path_factory.mktemp("clickhouse") / "data"
    process = start_clickhouse(path, readonly_user=READER, readonly_password=READER_PASSWORD)
    yield process
    assert process.stop() == 0, process.output()


def fresh_database(server: ClickHouseProcess) -> Iterator[Settings]:
    """The name of a database that is not there yet. It goes with its test: tables that nobody asks still take time."""
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, clickhouse_url=server.url, clickhouse_database=f"m_{uuid.uuid4().hex}"
    )
    yield settings
    with clickhouse_connect.get_client(host="127.0.0.1", port=server.port) as connected:
        connected.command(f"DROP DATABASE IF EXISTS {settings.clickhouse_database} SYNC")


@pytest.fixture
def client(embedded_clickhouse: ClickHouseProcess) -> Iterator[Client]:
    with clickhouse_connect.get_client(host="127.0.0.1", port=embedded_clickhouse.port) as connected:
        yield connected


@pytest.fixture
def reader(embedded_clickhouse: ClickHouseProcess) -> Iterator[Client]:
    with clickhouse_connect.get_client(
        host="127.0.0.1", port=embedded_clickhouse.port, username=READER, password=READER_PASSWORD
    ) as connected:
        yield connected


@pytest.fixture
def http(embedded_clickhouse: ClickHouseProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=embedded_clickhouse.url, timeout=30) as connected:
        yield connected


@pytest.fixture
def table() -> str:
    return f"t_{uuid.uuid4().hex}"
