"""Every column type of ours goes in through clickhouse-connect and comes back as it was."""

from __future__ import annotations

import ipaddress
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

MILLIS = datetime(2026, 3, 29, 1, 59, 59, 123_000, tzinfo=UTC)
MICROS = datetime(2026, 10, 25, 0, 30, 0, 999_999, tzinfo=UTC)
AWKWARD = 'it\'s "awkward"\n\ttab \\ backslash \x00 nul ☃ 🂡'

ROUND_TRIPS: list[tuple[str, list[Any]]] = [
    ("UUID", [uuid.UUID(int=0), uuid.UUID("6fa459ea-ee8a-3ca4-894e-db77e160355e"), uuid.UUID(int=2**128 - 1)]),
    ("String", ["", AWKWARD, "x" * 100_000]),
    ("LowCardinality(String)", ["open", "click", "open"]),
    ("LowCardinality(Nullable(String))", ["open", None, ""]),
    ("Nullable(String)", [None, "", AWKWARD]),
    ("Nullable(Int32)", [None, -1, 0]),
    ("FixedString(64)", [b"a" * 64, bytes(range(64)), b"\x00" * 64]),
    ("Enum8('human' = 1, 'bot' = 2, 'machine' = -128)", ["human", "machine", "bot"]),
    ("UInt8", [0, 1, 2**8 - 1]),
    ("UInt16", [0, 1, 2**16 - 1]),
    ("UInt32", [0, 1, 2**32 - 1]),
    ("UInt64", [0, 1, 2**64 - 1]),
    ("Int32", [-(2**31), 0, 2**31 - 1]),
    ("Int64", [-(2**63), 0, 2**63 - 1]),
    ("Float64", [0.1, -1e308, float("inf")]),
    ("Bool", [True, False, True]),
    ("Date", [date(1970, 1, 1), date(2026, 2, 28), date(2149, 6, 6)]),
    (
        "DateTime('UTC')",
        [datetime(1970, 1, 1, tzinfo=UTC), MILLIS.replace(microsecond=0), MICROS.replace(microsecond=0)],
    ),
    ("DateTime64(3, 'UTC')", [MILLIS, datetime(1999, 12, 31, tzinfo=UTC), MILLIS]),
    ("DateTime64(6, 'UTC')", [MICROS, MILLIS, datetime(2100, 1, 1, 0, 0, 0, 1, tzinfo=UTC)]),
    ("Nullable(DateTime64(3, 'UTC'))", [None, MILLIS, None]),
    ("Array(String)", [[], ["a", AWKWARD], ["", ""]]),
    ("Array(Nullable(UInt16))", [[None, 1], [], [65535]]),
    ("Map(String, String)", [{}, {"k": AWKWARD}, {"a": "1", "b": ""}]),
    ("Map(LowCardinality(String), UInt64)", [{"a": 2**64 - 1}, {}, {"b": 0}]),
    ("Tuple(UInt8, String)", [(1, "a"), (255, AWKWARD), (0, "")]),
    (
        "IPv4",
        [ipaddress.IPv4Address("0.0.0.0"), ipaddress.IPv4Address("203.0.113.7"), ipaddress.IPv4Address(2**32 - 1)],
    ),
    ("IPv6", [ipaddress.IPv6Address("::1"), ipaddress.IPv6Address("2001:db8::ff"), ipaddress.IPv6Address(2**128 - 1)]),
    ("Decimal(18, 4)", [Decimal("-12345678901234.5678"), Decimal("0.0001"), Decimal(0)]),
    ("SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC')))", [None, MILLIS, None]),
    ("JSON", [{"a": 1, "b": {"c": "x"}}, {}, {"list": [1, 2]}]),
]


@pytest.mark.parametrize(("column_type", "values"), ROUND_TRIPS, ids=[column_type for column_type, _ in ROUND_TRIPS])
def test_a_value_comes_back_as_it_was_inserted(client: Client, table: str, column_type: str, values: list[Any]) -> None:
    client.command(f"CREATE TABLE {table} (n UInt8, v {column_type}) ENGINE = MergeTree ORDER BY n")
    summary = client.insert(table, list(enumerate(values)), column_names=["n", "v"])
    assert summary.written_rows == len(values)
    got = client.query(f"SELECT v FROM {table} ORDER BY n", query_tz="UTC", tz_mode="aware").result_columns[0]
    assert list(got) == values
    client.command(f"DROP TABLE {table}")


def test_aggregate_states_merge_to_exact_numbers(client: Client, table: str) -> None:
    client.command(
        f"CREATE TABLE {table} "
        "(k UInt8, people AggregateFunction(uniqExact, UInt64), top AggregateFunction(max, UInt64))"
        " ENGINE = AggregatingMergeTree ORDER BY k"
    )
    for start in (0, 50):
        client.command(
            f"INSERT INTO {table} SELECT 1, uniqExactState(number), maxState(number) FROM numbers({start}, 100)"
        )
    got = client.query(f"SELECT uniqExactMerge(people), maxMerge(top) FROM {table}").result_rows
    assert got == [(150, 149)]


def test_parameters_reach_the_server_as_typed_values(client: Client) -> None:
    sql = """SELECT {text:String}, {maybe:Nullable(String)}, {number:Int64}, {when:DateTime64(6, 'UTC')},
                    {names:Array(String)}, {ids:Array(UInt64)}, {id:UUID}, {flag:Bool}"""
    parameters = {
        "text": AWKWARD.replace("\x00", ""),
        "maybe": None,
        "number": -(2**63),
        "when": MICROS,
        "names": ["it's", "a\nb", "", "\\"],
        "ids": [0, 2**64 - 1],
        "id": uuid.UUID(int=7),
        "flag": True,
    }
    got = client.query(sql, parameters=parameters, query_tz="UTC", tz_mode="aware").result_rows[0]
    assert list(got) == list(parameters.values())


def test_a_parameter_longer_than_a_url_arrives_whole(client: Client) -> None:
    ids = [uuid.UUID(int=n) for n in range(20_000)]
    got = client.query("SELECT length({ids:Array(UUID)}), {ids:Array(UUID)}[-1]", parameters={"ids": ids}).result_rows
    assert got == [(20_000, ids[-1])]


def test_a_parameter_names_an_identifier(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table} (n UInt8) ENGINE = Memory")
    client.insert(table, [[3], [4]], column_names=["n"])
    assert client.query("SELECT sum(n) FROM {t:Identifier}", parameters={"t": table}).result_rows == [(7,)]
