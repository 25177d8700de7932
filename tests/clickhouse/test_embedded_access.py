"""Who may do what: passwords, the readonly user of Grafana, GET."""

from __future__ import annotations

from collections.abc import Iterator

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.clickhouse.conftest import READER, READER_PASSWORD
from tests.support.processes import ClickHouseProcess, start_clickhouse

FORBIDDEN = [
    "INSERT INTO kept VALUES (2)",
    "INSERT INTO kept FORMAT TSV\n2\n",
    "INSERT INTO kept SELECT 2",
    "insert /* sly */ into kept settings async_insert=0 values (2)",
    "CREATE TABLE other (n UInt8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE other (n UInt8)",
    "DROP TABLE kept",
    "TRUNCATE TABLE kept",
    "ALTER TABLE kept DELETE WHERE 1",
    "OPTIMIZE TABLE kept",
    "RENAME TABLE kept TO other",
    "SET readonly = 0",
    "SET max_execution_time = 5",
    "SYSTEM FLUSH LOGS",
    "KILL QUERY WHERE 1",
    "INSERT INTO FUNCTION file('/tmp/stolen', 'TSV', 'n UInt8') VALUES (1)",
    "SELECT n FROM kept SETTINGS readonly = 0",
]


@pytest.fixture
def kept(http: httpx.Client) -> Iterator[None]:
    """A table of one row, which each test must leave as it was."""
    http.post("/", content="CREATE TABLE IF NOT EXISTS kept (n UInt8) ENGINE = MergeTree ORDER BY n")
    http.post("/", content="INSERT INTO kept SELECT 1 WHERE (SELECT count() FROM kept) = 0")
    yield
    assert http.post("/", content="SELECT n FROM kept").text == "1\n"


@pytest.mark.usefixtures("kept")
def test_the_reader_reads(reader: Client) -> None:
    assert reader.query("SELECT n FROM kept").result_rows == [(1,)]
    assert reader.query("SHOW TABLES LIKE 'kept'").result_rows == [("kept",)]
    assert reader.query("SELECT {n:UInt8} + n FROM kept", parameters={"n": 4}).result_rows == [(5,)]
    assert reader.command("EXISTS TABLE kept") == 1


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("sql", FORBIDDEN)
@pytest.mark.parametrize("session", ["", "s"])
def test_the_reader_changes_nothing(http: httpx.Client, sql: str, session: str) -> None:
    params = {"session_id": f"{session}{hash(sql)}"} if session else {}
    refused = http.post("/", params=params, content=sql, auth=(READER, READER_PASSWORD))
    assert refused.headers["X-ClickHouse-Exception-Code"] == "164", refused.text
    assert refused.status_code == 500


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT 1 INTO OUTFILE '/tmp/sendlens-stolen.tsv'", "358"),
        ("SELECT 1 /* INTO */ into\noutfile '/tmp/sendlens-stolen.tsv' FORMAT CSV", "358"),
        ("INSERT INTO kept FROM INFILE '/etc/hostname'", "78"),
        ("SYSTEM SHUTDOWN", "78"),
        ("-- now\nsystem kill", "78"),
    ],
)
def test_nobody_touches_the_servers_files_or_process(http: httpx.Client, sql: str, code: str) -> None:
    for auth in ((READER, READER_PASSWORD), ("default", "")):
        assert http.post("/", content=sql, auth=auth).headers["X-ClickHouse-Exception-Code"] == code


def test_the_reader_limits_the_own_query(http: httpx.Client) -> None:
    auth = (READER, READER_PASSWORD)
    sql = "SELECT getSetting('max_execution_time'), getSetting('readonly')"
    limited = http.post("/", params={"max_execution_time": "3", "max_result_rows": "10"}, content=sql, auth=auth)
    assert limited.text == "3\t1\n"
    stopped = http.post(
        "/",
        params={"max_execution_time": "0.1", "max_block_size": "1"},
        content="SELECT sum(sleepEachRow(0.2)) FROM numbers(3)",
        auth=auth,
    )
    assert (stopped.status_code, stopped.headers["X-ClickHouse-Exception-Code"]) == (408, "159")
    for name, asked in (("readonly", "0"), ("allow_ddl", "1"), ("final", "1")):
        refused = http.post("/", params={name: asked}, content="SELECT 1", auth=auth)
        assert refused.headers["X-ClickHouse-Exception-Code"] == "164"


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "sql", ["INSERT INTO kept VALUES (2)", "DROP TABLE kept", "CREATE TABLE o (n UInt8) ENGINE = Memory"]
)
@pytest.mark.parametrize("params", [{}, {"session_id": "get"}])
def test_get_changes_nothing(http: httpx.Client, sql: str, params: dict[str, str]) -> None:
    refused = http.get("/", params={"query": sql, **params})
    assert refused.headers["X-ClickHouse-Exception-Code"] == "164"


def test_get_may_set_for_itself(http: httpx.Client) -> None:
    assert http.get("/", params={"query": "SELECT getSetting('max_threads') SETTINGS max_threads = 3"}).text == "3\n"


@pytest.mark.parametrize(
    ("headers", "params", "status"),
    [
        ({"X-ClickHouse-User": READER, "X-ClickHouse-Key": READER_PASSWORD}, {}, 200),
        ({}, {"user": READER, "password": READER_PASSWORD}, 200),
        ({"X-ClickHouse-User": READER, "X-ClickHouse-Key": "wrong"}, {}, 403),
        ({"X-ClickHouse-User": READER}, {}, 403),
        ({"X-ClickHouse-User": "nobody"}, {}, 403),
        ({}, {"user": READER, "password": "wrong"}, 403),
        ({"Authorization": "Basic !!!"}, {}, 403),
        ({"Authorization": "Bearer x"}, {}, 403),
        ({"X-ClickHouse-User": READER, "X-ClickHouse-Key": READER_PASSWORD}, {"user": READER}, 403),
    ],
)
def test_a_user_is_known_by_name_and_password(
    http: httpx.Client, headers: dict[str, str], params: dict[str, str], status: int
) -> None:
    answer = http.post("/", headers=headers, params=params, content="SELECT 1")
    assert answer.status_code == status
    assert answer.headers.get("X-ClickHouse-Exception-Code") == (None if status == 200 else "516")


def test_pages_of_other_sites_are_refused(http: httpx.Client) -> None:
    for site in ("cross-site", "same-site"):
        refused = http.post("/", headers={"Sec-Fetch-Site": site}, content="SELECT 1")
        assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (403, "497")


def test_a_configured_password_is_asked_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    process: ClickHouseProcess = start_clickhouse(tmp_path_factory.mktemp("locked") / "data", password="s3cret")
    try:
        with httpx.Client(base_url=process.url) as http:
            assert http.post("/", content="SELECT 1").headers["X-ClickHouse-Exception-Code"] == "516"
            assert http.post("/", content="SELECT 1", auth=("default", "s3cret")).text == "1\n"
            assert http.get("/ping").text == "Ok.\n"
            assert "s3cret" not in process.output()
    finally:
        assert process.stop() == 0


def test_a_wrong_password_stops_clickhouse_connect(embedded_clickhouse: ClickHouseProcess) -> None:
    with pytest.raises(DatabaseError, match="516"):
        clickhouse_connect.get_client(
            host="127.0.0.1", port=embedded_clickhouse.port, username=READER, password="wrong"
        )
