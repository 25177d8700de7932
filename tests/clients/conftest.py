"""An embedded ClickHouse with a migrated database that has rows in every view, and what it says in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from clickhouse.store import connect
from schemas.settings import load
from tests.clients.plan import Plan, Result, Step
from tests.clients.programs import ALL, PROPERTIES, Program
from tests.dashboards.data import insert_known_week
from tests.dashboards.month import insert_month
from tests.support.migrated import MIGRATED, start_migrated
from tests.support.processes import ClickHouseProcess

READER = "reader"
READER_PASSWORD = "of the reader's own"
PASSWORD = "of the owner's own"
DATABASE = MIGRATED

# How FORMAT JSON shows what the clients' programs show.
COMPARABLE = {
    "date_time_output_format": "unix_timestamp",
    "output_format_json_quote_64bit_integers": "0",
    "output_format_json_quote_denormals": "1",
    "session_timezone": "UTC",
}


@dataclass(frozen=True, eq=False)
class Server:
    """The embedded server, and who may ask it."""

    process: ClickHouseProcess

    def plan(self, program: Program, *steps: Step, mode: str = "", reader: bool = True, password: str = "") -> Plan:
        mode = mode or program.modes[0]
        return Plan(
            address=f"127.0.0.1:{self.process.port}",
            user=READER if reader else "default",
            password=password or (READER_PASSWORD if reader else PASSWORD),
            database=DATABASE,
            steps=steps,
            compression=mode,
            properties=PROPERTIES.get(mode, {}),
        )

    def ask(self, program: Program, *steps: Step, **how: Any) -> list[Result]:
        results = program.run(self.plan(program, *steps, **how))
        assert len(results) == len(steps)
        return results

    def said(self, sql: str) -> Result:
        """The answer in JSON, to the owner."""
        with httpx.Client(base_url=self.process.url, auth=("default", PASSWORD), timeout=60) as http:
            answer = http.post(
                "/", params={"database": DATABASE, "default_format": "JSONCompact", **COMPARABLE}, content=sql
            )
            assert answer.status_code == 200, answer.text
            if not answer.content:
                return Result()
            told = answer.json()
            return Result([column["name"] for column in told["meta"]], told["data"])


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    process = start_migrated(
        tmp_path_factory.mktemp("clients") / "data",
        password=PASSWORD,
        readonly_user=READER,
        readonly_password=READER_PASSWORD,
    )
    try:
        settings = load(
            clickhouse_url=process.url,
            clickhouse_user="default",
            clickhouse_password=PASSWORD,
            clickhouse_database=DATABASE,
            token_keys="1:0123456789abcdef0123456789abcdef",
        )
        with connect(settings) as client:
            insert_known_week(client)
            insert_month(client, datetime(2026, 5, 20, 12, tzinfo=UTC))
        yield Server(process)
    finally:
        process.stop()


@pytest.fixture(params=ALL, ids=[program.name for program in ALL])
def program(request: pytest.FixtureRequest) -> Program:
    chosen: Program = request.param
    if chosen.missing:
        pytest.skip(chosen.missing)
    return chosen
