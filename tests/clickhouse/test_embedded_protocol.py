"""The corners of ClickHouse's HTTP interface, by plain HTTP."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import uuid
import zlib
from collections.abc import Callable, Iterator

import httpx
import lz4.frame
import pytest
import zstandard

from clickhouse.embedded.errors import NAMES
from tests.support.processes import ClickHouseProcess
from tests.support.waiting import wait_until

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}
UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "lz4": lz4.frame.decompress,
}


@pytest.fixture
def numbers(http: httpx.Client, table: str) -> Iterator[str]:
    http.post("/", content=f"CREATE TABLE {table} (n UInt32, s String DEFAULT '') ENGINE = MergeTree ORDER BY n")
    yield table
    http.post("/", content=f"DROP TABLE {table}")


def rows(http: httpx.Client, table: str) -> list[list[object]]:
    answer = http.post("/", content=f"SELECT n, s FROM {table} ORDER BY n FORMAT JSONCompactEachRow")
    return [json.loads(line) for line in answer.text.splitlines()]


def code(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.headers.get("X-ClickHouse-Exception-Code")


def test_our_own_codes_are_clickhouses(http: httpx.Client) -> None:
    for number, name in NAMES.items():
        assert http.post("/", content=f"SELECT errorCodeToName({number})").text == f"{name}\n"


def test_health_checks(http: httpx.Client) -> None:
    for path in ("/ping", "/replicas_status", "/"):
        answer = http.get(path)
        assert (answer.status_code, answer.text) == (200, "Ok.\n")
    assert http.get("/nowhere").status_code == 404
    assert http.head("/ping").status_code == 200
    assert http.put("/", content=b"SELECT 1").status_code == 501


def test_the_query_comes_by_url_by_body_or_by_both(http: httpx.Client) -> None:
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("/", content="SELECT 1").text == "1\n"
    assert http.post("/", params={"query": "SELECT 1,"}, content="2").text == "1\t2\n"
    assert http.post("/", content=iter([b"SELECT ", b"'chun", b"ked'"])).text == "chunked\n"
    assert http.post("/", content="-- first\n/* second */ SELECT 1;").text == "1\n"


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", "INSERT INTO {t} (n, s) VALUES (1, 'a''b'), (1 + 1, concat('x', 'y'))"),
        ("INSERT INTO {t} VALUES", "(1, 'a''b'), (2, 'xy')"),
        ("INSERT INTO {t} (n, s) FORMAT JSONEachRow", '{{"n": 1, "s": "a\'b"}}\n{{"n": 2, "s": "xy"}}\n'),
        ("", 'INSERT INTO {t} FORMAT JSONEachRow {{"n": 1, "s": "a\'b"}} {{"n": 2, "s": "xy"}}'),
        ("", "INSERT INTO {t} (n, s) SETTINGS async_insert = 0 FORMAT CSV\n1,a'b\n2,xy\n"),
        ("", "/* c */ INSERT INTO TABLE {t} FORMAT TSV\r\n1\ta\\'b\n2\txy\n"),
        ("INSERT INTO {t} FORMAT TSV", "1\ta\\'b\n2\txy\n"),
        ("", "WITH 2 AS k INSERT INTO {t} SELECT number + k - 1, ['a\\'b', 'xy'][number + 1] FROM numbers(2)"),
        ("", "INSERT INTO {t} SELECT number + 1, ['a\\'b', 'xy'][number + 1] FROM numbers(2)"),
    ],
)
def test_an_insert_finds_its_data(http: httpx.Client, numbers: str, query: str, body: str) -> None:
    answer = http.post("/", params={"query": query.format(t=numbers)} if query else {}, content=body.format(t=numbers))
    assert answer.status_code == 200, answer.text
    assert rows(http, numbers) == [[1, "a'b"], [2, "xy"]]
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"


def test_native_bytes_follow_the_query_in_one_body(http: httpx.Client, numbers: str) -> None:
    block = http.post(
        "/", content="SELECT toUInt32(number) AS n, 'FORMAT\n;' AS s FROM numbers(3) FORMAT Native"
    ).content
    http.post("/", content=f"INSERT INTO {numbers} (n, s) FORMAT Native\n".encode() + block)
    assert rows(http, numbers) == [[0, "FORMAT\n;"], [1, "FORMAT\n;"], [2, "FORMAT\n;"]]


def test_values_of_many_megabytes_are_streamed(http: httpx.Client, numbers: str) -> None:
    count = 400_000
    body = f"INSERT INTO {numbers} VALUES ".encode() + b",".join(b"(%d,'abcdefgh')" % n for n in range(count))
    assert len(body) > 5 << 20
    assert http.post("/", content=body).status_code == 200
    assert http.post("/", content=f"SELECT count(), max(n) FROM {numbers}").text == f"{count}\t{count - 1}\n"


@pytest.mark.parametrize("coding", PACK)
def test_bodies_are_compressed_both_ways(http: httpx.Client, numbers: str, coding: str) -> None:
    data = b"".join(b"%d\ttext %d\n" % (n, n) for n in range(200_000))
    body = PACK[coding](f"INSERT INTO {numbers} FORMAT TSV\n".encode() + data)
    assert http.post("/", content=body, headers={"Content-Encoding": coding}).status_code == 200
    request = http.build_request(
        "POST",
        "/",
        params={"enable_http_compression": "1"},
        content=f"SELECT * FROM {numbers} ORDER BY n",
        headers={"Accept-Encoding": f"br, {coding}"},
    )
    answer = http.send(request, stream=True)
    packed = b"".join(answer.iter_raw())
    answer.close()
    assert answer.headers["Content-Encoding"] == coding
    assert len(packed) < len(data) / 2
    assert UNPACK[coding](packed) == data


def test_nothing_is_compressed_unasked(http: httpx.Client) -> None:
    answer = http.post("/", content="SELECT 1", headers={"Accept-Encoding": "gzip, zstd"})
    assert "Content-Encoding" not in answer.headers


def test_headers_tell_what_happened(http: httpx.Client) -> None:
    query_id = str(uuid.uuid4())
    answer = http.post(
        "/",
        params={"query_id": query_id, "session_timezone": "Asia/Tokyo", "default_format": "JSONEachRow"},
        content="SELECT number, timezone() AS zone FROM numbers(5)",
    )
    assert answer.headers["X-ClickHouse-Query-Id"] == query_id
    assert answer.headers["X-ClickHouse-Timezone"] == "Asia/Tokyo"
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert answer.headers["X-ClickHouse-Server-Display-Name"]
    summary = json.loads(answer.headers["X-ClickHouse-Summary"])
    assert (summary["read_rows"], summary["result_rows"]) == ("5", "5")
    assert int(summary["elapsed_ns"]) > 0
    assert json.loads(answer.text.splitlines()[4]) == {"number": 4, "zone": "Asia/Tokyo"}


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("JSON", '"meta"'),
        ("JSONCompact", '"meta"'),
        ("CSVWithNames", '"number"'),
        ("XML", "<meta>"),
        ("Markdown", "number"),
    ],
)
def test_a_result_with_a_frame_is_framed_once(http: httpx.Client, name: str, frame: str) -> None:
    """chDB frames each piece of a stream; these formats must not be streamed."""
    text = http.post("/", content=f"SELECT number FROM numbers(300000) FORMAT {name}").text
    assert text.count(frame) == 1
    assert "299999" in text


@pytest.mark.parametrize("name", ["CSV", "JSONCompactEachRow", "TSKV", "TabSeparatedRaw", "JSONStringsEachRow"])
def test_a_streamed_result_equals_the_whole_one(http: httpx.Client, name: str) -> None:
    sql = f"SELECT number, [toString(number)] AS a FROM numbers(300000) FORMAT {name}"
    streamed = http.post("/", content=sql)
    whole = http.post("/", params={"wait_end_of_query": "1"}, content=sql)
    assert "Transfer-Encoding" in streamed.headers
    assert "Content-Length" in whole.headers
    assert streamed.content == whole.content


def test_wait_end_of_query_turns_a_late_error_into_a_status(http: httpx.Client) -> None:
    sql = "SELECT throwIf(number = 3000000) FROM numbers(4000000)"
    settings = {"max_threads": "1", "max_block_size": "65536"}
    late = http.post("/", params={"wait_end_of_query": "1", **settings}, content=sql)
    assert code(late) == (500, "395")
    with (
        contextlib.suppress(httpx.RemoteProtocolError),
        http.stream("POST", "/", params=settings, content=sql) as begun,
    ):
        assert begun.status_code == 200
        tag = begun.headers["X-ClickHouse-Exception-Tag"]
        body = b""
        for piece in begun.iter_bytes():
            body = (body + piece)[-4096:]
    assert f"__exception__\r\n{tag}\r\nCode: 395. DB::Exception: ".encode() in body


@pytest.mark.parametrize(
    ("body", "headers", "params", "expected"),
    [
        (b"", {}, {}, (400, "62")),
        (b" \n-- nothing", {}, {}, (400, "62")),
        (b"SELEC 1", {}, {}, (400, "62")),
        (b"SELECT 1; SELECT 2", {}, {}, (400, "62")),
        (b"SHOW TABLES; SHOW TABLES", {}, {}, (400, "62")),
        (b"SELECT 1 FORMAT NoSuchFormat", {}, {}, (404, "73")),
        (b"SELECT 1", {}, {"default_format": "NoSuchFormat"}, (404, "73")),
        (b"INSERT INTO no_such_table FORMAT TSV\n1\n", {}, {}, (404, "60")),
        (b"SELECT * FROM no_such_table", {}, {}, (404, "60")),
        (b"SELECT {a:UInt8}", {}, {}, (500, "456")),
        (b"SELECT {a:UInt8}", {}, {"param_a": "x"}, (500, "457")),
        (b"SELECT * FROM file('/no/such/file', 'TSV', 'n UInt8')", {}, {}, (403, "497")),
        (b"\x00\xff\xfe", {}, {}, (400, "62")),
        (b"not gzip", {"Content-Encoding": "gzip"}, {}, (500, "271")),
        (b"not zstd at all", {"Content-Encoding": "zstd"}, {}, (500, "271")),
        (b"not lz4 at all", {"Content-Encoding": "lz4"}, {}, (500, "271")),
        (gzip.compress(b"SELECT 1" * 100, mtime=0)[:30], {"Content-Encoding": "gzip"}, {}, (500, "271")),
        (b"SELECT 1", {"Content-Encoding": "brotli"}, {}, (501, "48")),
        (b"SELECT 1 is no frame, though long enough", {}, {"decompress": "1"}, (500, "89")),
        (b"SELECT 1", {}, {"no_such_setting": "1"}, (404, "115")),
        (b"SELECT 1", {}, {"max threads = 1, x": "1"}, (404, "115")),
        (b"SELECT '" + b"x" * (17 << 20) + b"'", {}, {}, (413, "229")),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bad_requests_get_clickhouses_errors(
    http: httpx.Client, body: bytes, headers: dict[str, str], params: dict[str, str], expected: tuple[int, str]
) -> None:
    answer = http.post("/", content=body, headers=headers, params=params)
    assert code(answer) == expected, answer.text[:300]
    assert answer.text.startswith(f"Code: {expected[1]}. DB::Exception: ")
    assert http.post("/", content="SELECT 1").text == "1\n"


def test_header_values_cannot_be_split(http: httpx.Client) -> None:
    answer = http.post("/", params={"query_id": "a\r\nX-Evil: 1", "session_timezone": "UTC"}, content="SELECT 1")
    assert "X-Evil" not in answer.headers
    assert answer.headers["X-ClickHouse-Query-Id"] == "aX-Evil: 1"
    assert b"%FF" not in http.get("/?query=SELECT+%FF").content
    assert http.get("/?query=SELECT+%FF").status_code == 400


def test_a_decompression_bomb_is_stopped(embedded_clickhouse: ClickHouseProcess, http: httpx.Client) -> None:
    before = embedded_clickhouse.resident_bytes()
    bomb = zstandard.compress(b"SELECT '" + b" " * (200 << 20))
    assert len(bomb) < 100_000
    answer = http.post("/", content=bomb, headers={"Content-Encoding": "zstd"})
    assert code(answer) == (413, "229")
    assert embedded_clickhouse.resident_bytes() - before < 120 << 20


def test_a_client_that_leaves_in_the_middle_of_an_insert_inserts_nothing(
    embedded_clickhouse: ClickHouseProcess, http: httpx.Client, numbers: str
) -> None:
    query = f"INSERT+INTO+{numbers}+FORMAT+TSV"
    with socket.create_connection(("127.0.0.1", embedded_clickhouse.port)) as raw:
        raw.sendall(
            f"POST /?query={query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n1\ta\n2\t".encode()
        )
    sql = f"SELECT count() FROM system.processes WHERE query LIKE '%{numbers}%' AND query NOT LIKE '%processes%'"
    wait_until(lambda: http.post("/", content=sql).text == "0\n", 10, "the end of the abandoned insert")
    assert rows(http, numbers) == []


def test_failed_queries_leave_a_readable_line(embedded_clickhouse: ClickHouseProcess, http: httpx.Client) -> None:
    query_id = str(uuid.uuid4())
    http.post("/", params={"query_id": query_id}, content="SELECT * FROM missing_one")
    wait_until(lambda: query_id in embedded_clickhouse.output(), 5, "the log line")
    line = next(line for line in embedded_clickhouse.output().splitlines() if query_id in line)
    assert "query failed code=60 status=404 user=default" in line
    assert "missing_one" in line


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO function null('lead String') FORMAT JSONEachRow\nada@example.com",
        "SELECT missing FROM numbers(1) WHERE 'ada@example.com' = 'x'",
        "SELEC 1 FROM leads WHERE lead = 'ada@example.com'",
        "SELECT toUInt8('ada@example.com')",
    ],
)
def test_the_log_names_nobody_of_whom_rows_and_queries_tell(
    embedded_clickhouse: ClickHouseProcess, http: httpx.Client, statement: str
) -> None:
    query_id = str(uuid.uuid4())
    assert http.post("/", params={"query_id": query_id}, content=statement).status_code >= 400
    wait_until(lambda: query_id in embedded_clickhouse.output(), 5, "the log line")
    line = next(line for line in embedded_clickhouse.output().splitlines() if query_id in line)
    assert "ada@example.com" not in line


def test_what_grafanas_plugin_asks_at_connect(http: httpx.Client) -> None:
    """clickhouse-go over HTTP: default_format=Native, gzip, and these questions."""
    for sql in ("SELECT timeZone()", "SELECT displayName(), version(), revision(), timezone()", "SELECT version()"):
        answer = http.post(
            "/",
            params={
                "default_format": "Native",
                "enable_http_compression": "1",
                "database": "default",
                "max_execution_time": "60",
            },
            content=sql,
            headers={"Accept-Encoding": "gzip"},
            auth=("grafana", "reads-only"),
        )
        assert answer.status_code == 200
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.content[1:2] == b"\x01"  # one row
