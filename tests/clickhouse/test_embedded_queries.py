"""What clickhouse-connect asks of a ClickHouse: bulk, streams, engines, errors, parallel clients."""

from __future__ import annotations

import io
import threading
import time

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.support.processes import ClickHouseProcess
from tests.support.waiting import wait_until

MILLION = 1_000_000


@pytest.fixture(scope="module")
def numbers(embedded_clickhouse: ClickHouseProcess) -> str:
    """A table of a million rows, inserted through the client."""
    with clickhouse_connect.get_client(host="127.0.0.1", port=embedded_clickhouse.port) as client:
        client.command("CREATE TABLE numbers_1m (n UInt64, name LowCardinality(String)) ENGINE = MergeTree ORDER BY n")
        columns: list[list[int] | list[str]] = [list(range(MILLION)), [f"name {n % 10}" for n in range(MILLION)]]
        summary = client.insert("numbers_1m", columns, column_names=["n", "name"], column_oriented=True)
        assert summary.written_rows == MILLION
    return "numbers_1m"


def test_a_million_rows_inserted_are_a_million_rows_read(client: Client, numbers: str) -> None:
    got = client.query(f"SELECT count(), sum(n), uniqExact(name), max(n) FROM {numbers}")
    assert got.result_rows == [(MILLION, MILLION * (MILLION - 1) // 2, 10, MILLION - 1)]
    assert int(got.summary["read_rows"]) == MILLION


def test_a_stream_of_row_blocks_yields_every_row_in_order(client: Client, numbers: str) -> None:
    expected = 0
    blocks = 0
    with client.query_row_block_stream(f"SELECT n, name FROM {numbers} ORDER BY n") as stream:
        for block in stream:
            blocks += 1
            for n, name in block:
                assert (n, name) == (expected, f"name {expected % 10}")
                expected += 1
    assert expected == MILLION
    assert blocks > 5


def test_a_raw_stream_of_five_million_rows_is_never_whole_in_memory(
    embedded_clickhouse: ClickHouseProcess, client: Client
) -> None:
    size = 5_000_000 * 40
    before = embedded_clickhouse.resident_bytes()
    highest = got = 0
    with client.raw_stream("SELECT repeat('x', 39) FROM numbers(5000000)", fmt="TabSeparated") as stream:
        while piece := stream.read(1 << 20):
            got += len(piece)
            highest = max(highest, embedded_clickhouse.resident_bytes())
    assert got == size
    assert highest - before < size / 2


@pytest.mark.parametrize("coding", ["lz4", "zstd", "gzip", "deflate", None])
def test_rows_survive_compression_both_ways(
    embedded_clickhouse: ClickHouseProcess, table: str, coding: str | None
) -> None:
    rows = [[n, f"text {n}" * 10] for n in range(100_000)]
    with clickhouse_connect.get_client(
        host="127.0.0.1", port=embedded_clickhouse.port, compress=coding if coding else False
    ) as client:
        client.command(f"CREATE TABLE {table} (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
        if coding == "deflate":  # clickhouse-connect reads it, and writes the other three
            assert client.query("SELECT number FROM numbers(100000)").row_count == 100_000
            return
        assert client.insert(table, rows, column_names=["n", "s"]).written_rows == len(rows)
        assert client.query(f"SELECT n, s FROM {table} ORDER BY n").result_rows == [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM no_such_table", 60),
        ("SELECT * FROM no_such_database.t", 81),
        ("SELECT no_such_column FROM numbers(1)", 47),
        ("SELECT no_such_function(1)", 46),
        ("SELECT (1", 62),
        ("SELECT toUInt8('x')", 6),
        ("SELECT CAST('x' AS NoSuchType)", 50),
        ("CREATE TABLE e (n UInt8) ENGINE = NoSuchEngine", 56),
        ("SELECT throwIf(1)", 395),
        ("SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_execution_time = 0.2, max_block_size = 1", 159),
    ],
)
def test_an_error_carries_the_servers_code(client: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError) as caught:
        client.query(sql)
    assert f"code: {code}," in str(caught.value)
    assert f"Code: {code}. DB::Exception: " in str(caught.value)
    assert client.query("SELECT 1").result_rows == [(1,)]


def test_an_error_in_the_midst_of_a_stream_reaches_the_reader(client: Client) -> None:
    rows = 0

    def read() -> None:
        nonlocal rows
        sql = "SELECT throwIf(number = 3000000, 'half-way') FROM numbers(4000000)"
        with client.query_row_block_stream(sql, settings={"max_threads": 1}) as stream:
            for block in stream:
                rows += len(block)

    with pytest.raises(StreamFailureError, match="half-way"):
        read()
    assert rows > 0


def test_a_bad_row_fails_the_insert_and_leaves_nothing(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table} (n UInt8) ENGINE = MergeTree ORDER BY n")
    with pytest.raises(DatabaseError, match="Code: 27"):
        client.raw_insert(table, ["n"], b'{"n": 1}\n{"n": "x"}\n', fmt="JSONEachRow")
    assert client.query(f"SELECT count() FROM {table}").result_rows == [(0,)]


def test_four_clients_progress_at_the_same_time(embedded_clickhouse: ClickHouseProcess) -> None:
    """Each query waits for the other three to be running: one at a time, they would all time out."""
    seen: list[int] = []

    def connect() -> Client:
        return clickhouse_connect.get_client(host="127.0.0.1", port=embedded_clickhouse.port)

    def wait_together() -> None:
        with connect() as client:
            client.query("SELECT sum(sleepEachRow(0.1)), 'together' FROM numbers(20) SETTINGS max_block_size = 1")

    def watch() -> None:
        sql = "SELECT count() FROM system.processes WHERE query LIKE '%together%' AND query NOT LIKE '%processes%'"
        query = threading.Thread(target=wait_together)
        query.start()
        with connect() as client:
            wait_until(lambda: int(client.query(sql).result_rows[0][0]) >= 4, 10, "four queries running at once")
        seen.append(1)
        query.join()

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 4


def test_four_clients_insert_and_read_without_loss(embedded_clickhouse: ClickHouseProcess, table: str) -> None:
    def connect() -> Client:
        return clickhouse_connect.get_client(host="127.0.0.1", port=embedded_clickhouse.port)

    with connect() as client:
        client.command(f"CREATE TABLE {table} (who UInt8, n UInt32) ENGINE = MergeTree ORDER BY (who, n)")
    failures: list[BaseException] = []

    def work(who: int) -> None:
        try:
            with connect() as client:
                for batch in range(10):
                    client.insert(table, [[who, batch * 1000 + n] for n in range(1000)], column_names=["who", "n"])
                    mine = client.query(f"SELECT count(), max(n) FROM {table} WHERE who = {who}").result_rows
                    assert mine == [((batch + 1) * 1000, batch * 1000 + 999)]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with connect() as client:
        assert client.query(f"SELECT count(), uniqExact(who, n) FROM {table}").result_rows == [(40_000, 40_000)]


async def test_the_async_client_inserts_and_reads(embedded_clickhouse: ClickHouseProcess, table: str) -> None:
    client = await clickhouse_connect.get_async_client(host="127.0.0.1", port=embedded_clickhouse.port)
    try:
        await client.command(f"CREATE TABLE {table} (n UInt32, s String) ENGINE = MergeTree ORDER BY n")
        await client.insert(table, [[n, str(n)] for n in range(10_000)], column_names=["n", "s"])
        got = await client.query(f"SELECT count(), max(n), any(s) FROM {table} WHERE n = 9999")
        assert got.result_rows == [(1, 9999, "9999")]
        with pytest.raises(DatabaseError, match="code: 60,"):
            await client.query("SELECT * FROM no_such_table")
    finally:
        await client.close()


def test_a_replacing_table_keeps_the_last_version(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table} (id UInt8, v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY id")
    client.command(f"CREATE TABLE IF NOT EXISTS {table} (id UInt8) ENGINE = Memory")
    for v in (1, 3, 2):
        client.insert(table, [[7, v]], column_names=["id", "v"])
    assert client.query(f"SELECT v FROM {table} FINAL").result_rows == [(3,)]
    client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert client.query(f"SELECT v FROM {table}").result_rows == [(3,)]


def test_a_materialised_view_feeds_an_aggregating_table(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table} (id UInt8, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id")
    client.command(
        f"CREATE TABLE {table}_o (id UInt8, first SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))))"
        " ENGINE = AggregatingMergeTree ORDER BY id"
    )
    client.command(
        f"CREATE MATERIALIZED VIEW {table}_mv TO {table}_o AS SELECT id, min(at) AS first FROM {table} GROUP BY id"
    )
    for at in (1_700_000_000_500, 1_700_000_000_250, 1_700_000_000_750):
        client.raw_insert(table, ["id", "at"], f"1\t{at / 1000:.3f}\n".encode(), fmt="TabSeparated")
    got = client.query(
        f"SELECT toUnixTimestamp64Milli(assumeNotNull(min(first))) FROM {table}_o GROUP BY id"
    ).result_rows
    assert got == [(1_700_000_000_250,)]


def test_rows_past_their_ttl_go_and_columns_can_be_added(client: Client, table: str) -> None:
    client.command(
        f"CREATE TABLE {table} (id UInt8, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id TTL at + INTERVAL 1 DAY"
    )
    client.command(f"INSERT INTO {table} VALUES (1, toDateTime('2001-01-01', 'UTC')), (2, now('UTC'))")
    client.command(f"OPTIMIZE TABLE {table} FINAL")
    client.command(f"ALTER TABLE {table} ADD COLUMN reason LowCardinality(String) DEFAULT 'none'")
    assert client.query(f"SELECT id, reason FROM {table}").result_rows == [(2, "none")]
    client.command(f"ALTER TABLE {table} UPDATE reason = 'late' WHERE id = 2 SETTINGS mutations_sync = 2")
    assert client.query(f"SELECT reason FROM {table}").result_rows == [("late",)]


def test_the_same_deduplication_token_inserts_once(client: Client, table: str) -> None:
    client.command(
        f"CREATE TABLE {table} (n UInt8) ENGINE = MergeTree ORDER BY n"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    for token in ("a", "a", "b"):
        client.insert(
            table, [[1]], column_names=["n"], settings={"insert_deduplication_token": token, "async_insert": 0}
        )
    assert client.query(f"SELECT count() FROM {table}").result_rows == [(2,)]


def test_a_reader_who_leaves_early_stops_the_query(embedded_clickhouse: ClickHouseProcess, client: Client) -> None:
    sql = "SELECT count() FROM system.processes WHERE query LIKE '%leaves early%' AND query NOT LIKE '%processes%'"

    def running() -> int:
        return int(client.query(sql).result_rows[0][0])

    with clickhouse_connect.get_client(host="127.0.0.1", port=embedded_clickhouse.port) as other:
        stream = other.raw_stream("SELECT number, 'leaves early' FROM numbers(100000000000)", fmt="TabSeparated")
        assert isinstance(stream, io.IOBase)
        assert len(stream.read(1 << 16)) == 1 << 16
        assert running() == 1
        stream.close()
    wait_until(lambda: running() == 0, 10, "the end of the abandoned query")


def test_a_small_query_takes_milliseconds(client: Client) -> None:
    """A guard against a protocol mistake (a lost TCP_NODELAY costs each answer 40 ms), not a benchmark."""
    fastest = 1.0
    for _ in range(20):
        started = time.perf_counter()
        client.query("SELECT 1")
        fastest = min(fastest, time.perf_counter() - started)
    assert fastest < 0.035


def test_an_error_that_quotes_bytes_that_are_no_utf8_keeps_its_code(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table} (name String) ENGINE = Memory")
    with pytest.raises(DatabaseError, match=r"ode: (26|27|117)"):
        client.raw_insert(table, insert_block=b"\xff\xfe not json", fmt="JSONEachRow")


@pytest.mark.parametrize("rows", [b"{}\n", b'{"name":"fine"}\n{"name":""}\n'])
def test_a_row_that_breaks_a_constraint_fails_the_insert_and_leaves_nothing(
    client: Client, table: str, rows: bytes
) -> None:
    client.command(
        f"CREATE TABLE {table} (name String, CONSTRAINT named CHECK name != '') ENGINE = MergeTree ORDER BY name"
    )
    with pytest.raises(DatabaseError, match="VIOLATED_CONSTRAINT"):
        client.raw_insert(table, insert_block=rows, fmt="JSONEachRow")
    assert client.query(f"SELECT count() FROM {table}").result_rows == [(0,)]


def test_a_row_that_fails_in_a_materialised_view_fails_the_insert(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table} (n Int64) ENGINE = MergeTree ORDER BY n")
    client.command(f"CREATE TABLE {table}_sums (n Int64) ENGINE = MergeTree ORDER BY n")
    client.command(
        f"CREATE MATERIALIZED VIEW {table}_view TO {table}_sums AS SELECT n + throwIf(n = 2, 'two') AS n FROM {table}"
    )
    with pytest.raises(DatabaseError, match="two"):
        client.insert(table, [[1], [2]], column_names=["n"])


def test_settings_inside_an_insert_hold_and_empty_lines_end_nothing(client: Client, table: str) -> None:
    client.command(f"CREATE TABLE {table} (at DateTime64(3, 'UTC')) ENGINE = Memory")
    client.raw_query(
        f"INSERT INTO {table} (at) SETTINGS date_time_input_format = 'best_effort', async_insert=0 FORMAT JSONEachRow\n"
        '{"at":"2026-01-02T03:04:05Z"}\n\n\n{"at":"2026-01-02T03:04:06Z"}\n'
    )
    assert client.query(f"SELECT count(), toString(max(at)) FROM {table}").result_rows == [
        (2, "2026-01-02 03:04:06.000")
    ]
