"""A migrated ClickHouse over HTTP for the whole session, and databases of its own for each set of data."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.migrate import migrate
from clickhouse.store import connect
from schemas.errors import Retry
from schemas.settings import Settings, load
from tests.dashboards.data import insert_known_week

READY_WITHIN = 60.0


@pytest.fixture(scope="session")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("clickhouse")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "clickhouse.embedded", "--port", str(port), "--path", str(folder / "data")],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + READY_WITHIN
            while True:
                try:
                    connect(settings_for(url, "default"), database="").close()
                    break
                except Retry:
                    if server.poll() is not None or time.monotonic() > deadline:
                        pytest.fail((folder / "log").read_text())
                    time.sleep(0.05)
            yield url
        finally:
            server.terminate()
            server.wait(timeout=30)


def settings_for(url: str, database: str) -> Settings:
    return load(clickhouse_url=url, clickhouse_database=database, token_keys="1:0123456789abcdef0123456789abcdef")


@pytest.fixture(scope="session")
def full(clickhouse_url: str) -> Settings:
    """A database with the known week in it."""
    settings = settings_for(clickhouse_url, "full")
    migrate(settings)
    with connect(settings) as client:
        insert_known_week(client)
    return settings


@pytest.fixture(scope="session")
def empty(clickhouse_url: str) -> Settings:
    """A migrated database with nothing in it."""
    settings = settings_for(clickhouse_url, "empty")
    migrate(settings)
    return settings


@pytest.fixture
def client(full: Settings) -> Iterator[Client]:
    with connect(full) as client:
        yield client


@pytest.fixture
def empty_client(empty: Settings) -> Iterator[Client]:
    with connect(empty) as client:
        yield client
