"""The clients in Python, run in this process as the others are in theirs."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import clickhouse_connect
import sqlalchemy as sa

from tests.clients.plan import Plan, Result, Step


def connect(plan: Plan) -> list[Result]:
    """clickhouse-connect."""
    host, _, port = plan.address.partition(":")
    arguments: dict[str, Any] = {
        "host": host,
        "port": int(port),
        "username": plan.user,
        "password": plan.password,
        "database": plan.database,
        "compress": plan.compression if plan.compression != "none" else False,
    }

    def run(step: Step) -> Result:
        with clickhouse_connect.get_client(**arguments) as client:
            if step.do == "insert":
                rows = [[n, s, datetime.fromtimestamp(at, UTC), words] for n, s, at, words in step.rows]
                client.insert(step.table, rows, column_names=["n", "s", "at", "words"])
                return Result()
            if step.do == "cancel":
                stream = client.raw_stream(step.sql, settings=dict(step.settings), fmt="TSV")
                stream.read(1000)
                stream.close()
                return Result()
            got = client.query(step.sql, settings=dict(step.settings), query_tz="UTC", tz_mode="aware")
            return Result(list(got.column_names), [[shown(value) for value in row] for row in got.result_rows])

    return [_tried(run, step) for step in plan.steps]


def sqlalchemy(plan: Plan) -> list[Result]:
    """SQLAlchemy through the dialect of clickhouse-connect."""
    host, _, port = plan.address.partition(":")
    url = sa.URL.create(
        "clickhousedb",
        plan.user,
        plan.password,
        host,
        int(port),
        plan.database,
        query={"compression": plan.compression} if plan.compression != "none" else {},
    )
    engine = sa.create_engine(url)

    def run(step: Step) -> Result:
        if step.do == "metadata":
            look = sa.inspect(engine)
            views = [name for name in look.get_table_names() if name.startswith("v_")]
            return Result(rows=[["column", v, c["name"], str(c["type"])] for v in views for c in look.get_columns(v)])
        with engine.connect() as connection:
            got = connection.exec_driver_sql(step.sql)
            return Result(list(got.keys()), [[shown(value) for value in row] for row in got])

    try:
        return [_tried(run, step) for step in plan.steps]
    finally:
        engine.dispose()


def _tried(run: Callable[[Step], Result], step: Step) -> Result:
    try:
        return run(step)
    except Exception as error:
        return Result(error=f"{type(error).__name__}: {error}")


def shown(value: Any) -> Any:
    match value:
        case datetime():
            return value.replace(tzinfo=value.tzinfo or UTC).timestamp()
        case date() | uuid.UUID() | Decimal() | ipaddress.IPv4Address() | ipaddress.IPv6Address():
            return str(value)
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case list() | tuple():
            return [shown(one) for one in value]
        case dict():
            return {str(shown(key)): shown(one) for key, one in value.items()}
    return value
