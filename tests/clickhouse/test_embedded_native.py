"""Native blocks of a client's protocol revision: what stands between columns, and where each kind of column ends."""

from __future__ import annotations

import httpx
import pytest

# Each stands between two columns that must still be found; the engine invents its values.
TYPES = r"""
UInt8; Int256; Float32; Bool; String; FixedString(3); UUID; IPv4; IPv6; Date; Date32; DateTime; DateTime('UTC')
DateTime('Europe/Paris'); DateTime64(3); DateTime64(6, 'Asia/Tokyo'); Decimal(9, 2); Decimal(18, 4); Decimal(38, 3)
Decimal(76, 1); Enum8('it\'s' = -2, 'back\\slash\n' = 1); Enum16('x' = 1000)
Nullable(String); Array(String); Array(Array(Nullable(UInt16))); Map(String, Array(String))
Map(LowCardinality(String), LowCardinality(Nullable(String))); LowCardinality(String); LowCardinality(Nullable(String))
LowCardinality(FixedString(4)); Array(LowCardinality(Nullable(String))); Array(Tuple(LowCardinality(String), String))
Tuple(UInt8, LowCardinality(String), Array(LowCardinality(String))); Tuple()
Tuple(a UInt8, `b c` String, `select` UInt8, `Table` Nullable(String), `x\`y` UInt8, _z9 UInt8)
SimpleAggregateFunction(max, String); SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC')))
SimpleAggregateFunction(groupUniqArrayArray, Array(DateTime64(3, 'UTC'))); Point; Ring; Polygon; MultiPolygon
LineString; MultiLineString
"""
INVENTED = {kind.strip(): "x" for line in TYPES.strip().splitlines() for kind in line.split(";")}
# Values of types that it cannot invent.
MADE = {
    "BFloat16": "CAST(number, 'BFloat16')",
    "Time": "CAST('10:00:00', 'Time')",
    "Time64(3)": "CAST('10:00:00', 'Time64(3)')",
    "IntervalNanosecond": "toIntervalNanosecond(number)",
    "IntervalQuarter": "toIntervalQuarter(number)",
    "IntervalYear": "toIntervalYear(number)",
    "Nullable(Nothing)": "NULL",
    "Array(Nothing)": "[]",
    "Array(Tuple())": "[tuple()]",
    "Variant(String, UInt64)": "multiIf(number % 3 = 0, NULL, number % 3 = 1, number, toString(number))",
    "Dynamic": "multiIf(number % 3 = 0, 1::Dynamic, number % 3 = 1, [toString(number)]::Dynamic, NULL::Dynamic)",
    "Dynamic(max_types=1)": "multiIf(number % 2 = 0, 1::Dynamic, 'x'::Dynamic)::Dynamic(max_types=1)",
    "JSON": """concat('{"a": ', number, ', "b": {"c": ["x", {"d', number % 5, '": 1}]}}')::JSON""",
    "JSON(max_dynamic_paths=2, `b.c` LowCardinality(String), SKIP z)": """concat('{"a": ', number, ', "b": {"c": "x", "d', number % 5, '": 1}}')::JSON(max_dynamic_paths=2, b.c LowCardinality(String), SKIP z)""",
    "Nullable(JSON)": """if(number % 2 = 0, NULL, '{"a": [1]}'::JSON)""",
    "Array(Variant(Array(String), UInt64))": "[number, ['a', toString(number)]]::Array(Variant(Array(String), UInt64))",
}
UNREADABLE = ["uniqState(1)", "[sumState(1)]"]
INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"


def native(http: httpx.Client, sql: str, revision: int, **settings: str) -> httpx.Response:
    arguments = {"client_protocol_version": str(revision), "default_format": "Native", **settings}
    return http.post("/", params=arguments, content=sql)


def test_what_each_revision_adds(http: httpx.Client) -> None:
    sql = "SELECT toUInt8(1) AS n, 'x' AS s, toDateTime(0, 'UTC') AS t"
    assert native(http, sql, 0).content == b"\x03\x01\x01n\x05UInt8\x01\x01s\x06String\x01x\x01t\x08DateTime\0\0\0\0"
    columns = (b"\x01n\x05UInt8", b"\x01", b"\x01s\x06String", b"\x01x", b"\x01t\x0fDateTime('UTC')", bytes(4))
    assert native(http, sql, 54405).content == INFO + b"\x03\x01" + b"".join(columns)
    n, one, s, x, t, never = columns
    custom = n + b"\0" + one + s + b"\0" + x + t + b"\0" + never
    assert native(http, sql, 54454).content == INFO + b"\x03\x01" + custom
    assert native(http, sql, 54460).content == INFO + b"\x03\x01" + custom
    assert native(http, sql, 54480).content == INFO[:-1] + b"\x03\x00\x00" + b"\x03\x01" + custom


@pytest.mark.parametrize("kind", [*INVENTED, *MADE])
def test_a_column_of_every_type_ends_where_the_next_begins(http: httpx.Client, kind: str) -> None:
    """Without what a revision adds, at the places where it must be, the bytes are those of revision 0."""
    name = kind.replace("\\", "\\\\").replace("'", "\\'")
    source = (
        f"SELECT toString(number) AS a, {MADE[kind]} AS x, [a] AS b FROM numbers({{rows}})"
        if kind in MADE
        else f"SELECT a, x, b FROM generateRandom('a String, x {name}, b Array(String)', 42, 200, 5) LIMIT {{rows}}"
    )
    settings = {"max_block_size": "300", "max_threads": "1", "allow_suspicious_low_cardinality_types": "1"}
    for rows in (0, 1, 700):
        plain = native(http, source.replace("{rows}", str(rows)), 0, **settings).content
        framed = native(http, source.replace("{rows}", str(rows)), 54460, **settings)
        assert framed.status_code == 200, framed.text
        blocks = framed.content.count(INFO)
        assert blocks >= (rows + 299) // 300
        bare = framed.content.replace(INFO, b"")
        for header in (b"\x01a\x06String", b"\x01x" + text(kind), b"\x01b\x0dArray(String)"):
            assert bare.count(header + b"\0") == blocks
            bare = bare.replace(header + b"\0", header)
        assert bare.replace(text(kind), b"\x08DateTime" if kind.startswith("DateTime(") else text(kind)) == plain


def text(name: str) -> bytes:
    raw = name.encode()
    return (bytes([len(raw)]) if len(raw) < 128 else bytes([len(raw) & 127 | 128, len(raw) >> 7])) + raw


@pytest.mark.parametrize("value", UNREADABLE)
def test_a_type_without_a_known_layout_is_an_error(http: httpx.Client, value: str) -> None:
    refused = native(http, f"SELECT 1 AS n, {value} AS awkward, 2 AS m", 54460)
    assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (501, "48")
    assert "Cast it in the query" in refused.text
    assert refused.text.split(" (NOT_IMPLEMENTED)")[0].endswith("column awkward")
    assert native(http, f"SELECT 1 AS n, {value} AS awkward", 0).status_code == 200
    assert native(http, f"SELECT {value} AS awkward FORMAT JSON", 54460).status_code == 200


@pytest.mark.parametrize("revision", ["1", "54404", "54492", "99999999"])
def test_a_revision_that_is_laid_out_in_another_way_is_an_error(http: httpx.Client, revision: str) -> None:
    refused = http.post(
        "/", params={"client_protocol_version": revision, "default_format": "Native"}, content="SELECT 1"
    )
    assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (501, "48")
    assert "ask for 0, or one from 54405 to 54491" in refused.text
    assert http.post("/", params={"client_protocol_version": revision}, content="SELECT 1").text == "1\n"


@pytest.mark.parametrize("revision", ["x", "-1", "1" * 30, "١"])
def test_a_revision_is_a_number(http: httpx.Client, revision: str) -> None:
    assert http.post("/", params={"client_protocol_version": revision}, content="SELECT 1").status_code == 400


def test_binary_types_are_for_who_asks_for_them(http: httpx.Client) -> None:
    name = "output_format_native_encode_types_in_binary_format"
    asked = native(http, "SELECT toUInt8(1) AS n", 54460, **{name: "1"})
    assert asked.content == INFO + b"\x01\x01\x01n\x01\x00\x01"
    for value in ("0", "1"):
        refused = native(http, f"SELECT 1 SETTINGS {name} = {value}", 54460)
        assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (400, "36")


def test_an_insert_is_of_revision_0_whatever_the_client_speaks(http: httpx.Client, table: str) -> None:
    """So it is with ClickHouse, and clickhouse-go counts on it: client_protocol_version is about answers."""
    http.post("/", content=f"CREATE TABLE {table} (n UInt8) ENGINE = Memory")
    block = native(http, "SELECT toUInt8(7) AS n", 0).content
    assert native(http, f"INSERT INTO {table} FORMAT Native\n", 54460).status_code == 200
    params = {"client_protocol_version": "54460", "query": f"INSERT INTO {table} FORMAT Native"}
    assert http.post("/", params=params, content=block).status_code == 200
    assert http.post("/", content=f"SELECT n FROM {table}").text == "7\n"
