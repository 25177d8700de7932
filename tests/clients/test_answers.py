"""Clients read views and panels as the guest, and find the values that JSON has: every type of column each client, every view
Python's, every panel the one of Grafana's plugin."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

import pytest

from clickhouse import queries
from dashboards import grafana
from dashboards.boards import BOARDS
from dashboards.grafana.expand import Choice, expand
from dashboards.grafana.model import dashboard
from dashboards.grafana.trial import queries as targets
from tests.clients.conftest import COMPARABLE, DATABASE, Server
from tests.clients.plan import Result, Step, comparable
from tests.clients.programs import ALL, CONNECT, GO, GO_PLUGIN, NODE, Program

SINCE = datetime(2026, 2, 1, tzinfo=UTC)
UNTIL = datetime(2026, 6, 1, tzinfo=UTC)
VIEWS = [name for name in queries.VIEWS if name.startswith("v_")]

# Each kind of type that a table, a view or a person's query may show, with NULLs, empty and long values.
TYPES = """
SELECT
    number AS n,
    toString(number) AS text,
    repeat('long ', toUInt16(number * 40)) AS long_text,
    toFixedString('abc', 3) AS fixed,
    toUUID('6fa459ea-ee8a-3ca4-894e-db77e160355e') AS id,
    toIPv4('203.0.113.7') AS four,
    toIPv6('2001:db8::ff') AS six,
    toDateTime('2026-03-29 01:59:59', 'UTC') AS second,
    toDateTime64('2026-03-29 01:59:59.123', 3, 'UTC') AS milli,
    toDate('2026-02-28') AS day,
    CAST('b', 'Enum8(\\'a\\' = -1, \\'b\\' = 2)') AS small_enum,
    CAST('b', 'Enum16(\\'x y\\' = -1000, \\'b\\' = 2000)') AS large_enum,
    number % 2 = 0 AS flag,
    toInt8(-1) AS i8, toInt16(-2) AS i16, toInt32(-3) AS i32, toInt64(-4) AS i64,
    toUInt8(1) AS u8, toUInt16(2) AS u16, toUInt32(3) AS u32, toUInt64(4) AS u64,
    toFloat32(1.5) AS f32, toFloat64(0.1) AS f64,
    toDecimal64('12.3400', 4) AS money,
    if(number % 2 = 0, NULL, toString(number)) AS maybe,
    if(number % 2 = 0, NULL, toDateTime64('2026-03-29 01:59:59.123', 3, 'UTC')) AS maybe_at,
    range(number) AS list,
    arrayMap(x -> if(x = 0, NULL, x), range(number)) AS maybe_list,
    [['a', ''], []] AS lists,
    toLowCardinality(toString(number % 3)) AS few,
    toLowCardinality(if(number % 2 = 0, NULL, 'x')) AS maybe_few,
    CAST([toString(number), NULL], 'Array(LowCardinality(Nullable(String)))') AS few_list,
    map('k', number) AS pairs,
    CAST(map('k', 'v'), 'Map(LowCardinality(String), LowCardinality(String))') AS few_pairs,
    CAST(number, 'SimpleAggregateFunction(max, UInt64)') AS state
FROM numbers(300)
"""
# clickhouse-go alone tells an instant in another zone from its wall clock.
ZONES = "SELECT toDateTime(1772330400 + number * 86400, 'Europe/Paris') AS t, 'x' AS s FROM numbers(40)"


def compare(server: Server, program: Program, sqls: dict[str, str], mode: str = "") -> None:
    settings = COMPARABLE if program is NODE else {}  # it reads JSON, as the expected values are
    got = server.ask(program, *(Step("query", sql, settings) for sql in sqls.values()), mode=mode)
    for (name, sql), answer in zip(sqls.items(), got, strict=True):
        said = expected(server, sql)
        assert not answer.error, f"{name}: {answer.error}"
        assert comparable(answer.rows) == comparable(said.rows), name
        if said.rows:
            assert answer.columns == said.columns, name


@cache
def expected(server: Server, sql: str) -> Result:
    return server.said(sql)


@cache
def telling(server: Server) -> list[str]:
    """Views that together have every type of column that any view has."""
    said = server.said(
        f"SELECT table, groupUniqArray(type) FROM system.columns WHERE database = '{DATABASE}' GROUP BY table ORDER BY table"
    )
    types = {str(table): {str(one) for one in found} for table, found in said.rows if table in VIEWS}
    assert types.keys() == set(VIEWS)
    left, chosen = set().union(*types.values()), []
    while left:
        chosen.append(max(types, key=lambda name: len(types[name] & left)))
        left -= types[chosen[-1]]
    return chosen


def test_every_view_from_python(server: Server) -> None:
    views = {name: f"SELECT * FROM {name}" for name in VIEWS}
    for name, sql in views.items():
        assert expected(server, sql).rows, f"{name} has no rows to compare"
    compare(server, CONNECT, views)


def test_views_of_every_type(server: Server, program: Program) -> None:
    compare(server, program, {name: f"SELECT * FROM {name}" for name in telling(server)})


@pytest.mark.parametrize("program", [GO_PLUGIN], indirect=True, ids=["clickhouse-go of the plugin"])
def test_every_panel(server: Server, program: Program) -> None:
    """Grafana alone asks these, by its plugin's client."""
    panels = {
        f"{board.uid} {what}": expand(sql, Choice(SINCE, UNTIL, {}, "Europe/Paris"), grafana.ALL)
        for board in BOARDS
        for what, sql in targets(dashboard(board))
    }
    assert len(panels) > 50
    compare(server, program, panels)


@pytest.mark.parametrize(
    ("program", "mode"),
    [pytest.param(program, mode, id=f"{program.name} {mode}") for program in ALL for mode in program.modes],
)
def test_every_type_in_every_compression(server: Server, program: Program, mode: str) -> None:
    if program.missing:
        pytest.skip(program.missing)
    zones = {"zones": ZONES} if program in (GO, GO_PLUGIN) else {}
    compare(server, program, {"types": TYPES, **zones}, mode)
