"""A migrated ClickHouse over HTTP while tests of this folder run, and databases of its own for each set of data.

It ends with them: tables that nobody asks take 1% of a core for each database, until their server ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from clickhouse.store import connect
from schemas.settings import Settings, load
from tests.dashboards.data import insert_known_week
from tests.support.browser import Browser, Page
from tests.support.migrated import MIGRATED, start_migrated


@pytest.fixture(scope="package")
def clickhouse_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = start_migrated(tmp_path_factory.mktemp("clickhouse") / "data", also=("empty", "maimed"))
    try:
        yield server.url
    finally:
        server.stop()


def settings_for(url: str, database: str, **more: object) -> Settings:
    secret = "0123456789abcdef0123456789abcdef"
    return load(clickhouse_url=url, clickhouse_database=database, token_keys=f"1:{secret}", **more)


@pytest.fixture(scope="package")
def full(clickhouse_url: str) -> Settings:
    """A database with the known week in it."""
    settings = settings_for(clickhouse_url, MIGRATED)
    with connect(settings) as client:
        insert_known_week(client)
    return settings


@pytest.fixture(scope="package")
def empty(clickhouse_url: str) -> Settings:
    """A migrated database with nothing in it."""
    return settings_for(clickhouse_url, "empty")


@pytest.fixture(scope="package")
def maimed(clickhouse_url: str) -> Settings:
    """The known week in a database that has lost a table: some questions fail, others do not."""
    settings = settings_for(clickhouse_url, "maimed")
    with connect(settings) as client:
        insert_known_week(client)
        client.command("DROP TABLE campaigns")
    return settings


@pytest.fixture(scope="package")
def client(full: Settings) -> Iterator[Client]:
    with connect(full) as client:
        yield client


@pytest.fixture(scope="package")
def empty_client(empty: Settings) -> Iterator[Client]:
    with connect(empty) as client:
        yield client


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab that afterwards must have met no error and asked no other host for anything."""
    page = browser.page()
    page.look()
    yield page
    hosts = {request.split("/")[2] for request in page.requests if not request.startswith("data:")}
    errors = page.errors
    page.close()
    assert errors == []
    assert len(hosts) == 1, hosts
