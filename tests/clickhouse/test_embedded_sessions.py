"""Sessions keep what they were told; settings of one query never reach the next."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.support.waiting import wait_until


def run(http: httpx.Client, sql: str, **arguments: object) -> httpx.Response:
    return http.post("/", params={k: str(v) for k, v in arguments.items()}, content=sql)


def value(http: httpx.Client, sql: str, **arguments: object) -> str:
    response = run(http, sql, **arguments)
    assert response.status_code == 200, response.text
    return response.text.rstrip("\n")


@pytest.fixture
def session() -> str:
    return uuid.uuid4().hex


def test_a_temporary_table_lives_in_its_session_alone(http: httpx.Client, session: str) -> None:
    value(http, "CREATE TEMPORARY TABLE mine (n UInt8)", session_id=session)
    value(http, "INSERT INTO mine VALUES (1), (2)", session_id=session)
    value(http, "INSERT INTO mine FORMAT TSV\n3\n", session_id=session)
    assert value(http, "SELECT sum(n) FROM mine", session_id=session) == "6"
    assert run(http, "SELECT * FROM mine").headers["X-ClickHouse-Exception-Code"] == "60"
    assert run(http, "SELECT * FROM mine", session_id=session + "x").headers["X-ClickHouse-Exception-Code"] == "60"


def test_set_holds_for_its_session_alone(http: httpx.Client, session: str) -> None:
    value(http, "SET max_threads = 7", session_id=session)
    assert value(http, "SELECT getSetting('max_threads')", session_id=session) == "7"
    assert value(http, "SELECT changed FROM system.settings WHERE name = 'max_threads'") == "0"


@pytest.mark.parametrize("in_session", [True, False])
def test_a_setting_in_the_url_holds_for_one_query(http: httpx.Client, session: str, in_session: bool) -> None:
    where = {"session_id": session} if in_session else {}
    sql = "SELECT getSetting('max_threads'), getSetting('max_block_size')"
    default = value(http, sql, **where)
    assert value(http, sql, max_threads=5, max_block_size=77, **where) == "5\t77"
    assert value(http, sql, max_threads=6, **where).startswith("6\t")
    assert value(http, sql, **where) == default


def test_a_setting_in_the_url_does_not_hide_what_the_session_set(http: httpx.Client, session: str) -> None:
    value(http, "SET max_threads = 7", session_id=session)
    assert value(http, "SELECT getSetting('max_threads')", session_id=session, max_threads=5) == "5"
    value(http, "SET max_block_size = 99", session_id=session, max_threads=5)
    assert value(http, "SELECT getSetting('max_threads'), getSetting('max_block_size')", session_id=session) == "7\t99"


def test_a_refused_setting_leaves_the_session_as_it_was(http: httpx.Client, session: str) -> None:
    default = value(http, "SELECT getSetting('max_threads')", session_id=session)
    refused = run(http, "SELECT 1", session_id=session, max_threads=5, no_such_setting=1)
    assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (404, "115")
    refused = run(http, "SELECT 1", session_id=session, max_threads="many")
    assert refused.headers["X-ClickHouse-Exception-Code"] == "27"
    assert value(http, "SELECT getSetting('max_threads')", session_id=session) == default


def test_use_and_the_database_argument(http: httpx.Client, session: str) -> None:
    name = f"d_{session}"
    value(http, f"CREATE DATABASE {name}")
    assert value(http, "SELECT currentDatabase()", database=name) == name
    assert value(http, "SELECT currentDatabase()", database=name, session_id=session) == name
    assert value(http, "SELECT currentDatabase()", session_id=session) == "default"
    value(http, f"USE {name}", session_id=session)
    assert value(http, "SELECT currentDatabase()", session_id=session) == name
    assert value(http, "SELECT currentDatabase()", session_id=session, database="system") == "system"
    assert value(http, "SELECT currentDatabase()", session_id=session) == name
    missing = run(http, "SELECT 1", database="no_such_database")
    assert (missing.status_code, missing.headers["X-ClickHouse-Exception-Code"]) == (404, "81")


def test_session_check_wants_an_existing_session(http: httpx.Client, session: str) -> None:
    unknown = run(http, "SELECT 1", session_id=session, session_check=1)
    assert unknown.headers["X-ClickHouse-Exception-Code"] == "372"
    value(http, "SELECT 1", session_id=session)
    assert value(http, "SELECT 1", session_id=session, session_check=1) == "1"


def test_a_session_ends_with_its_timeout(http: httpx.Client, session: str) -> None:
    value(http, "SELECT 1", session_id=session, session_timeout=0)
    # Each look would prolong the life of a session that were still there: its timeout is 0.
    wait_until(
        lambda: run(http, "SELECT 1", session_id=session, session_check=1, session_timeout=0).status_code != 200,
        10,
        "the end of the session",
    )
    assert (
        run(http, "SELECT 1", session_id=session, session_timeout=3601).headers["X-ClickHouse-Exception-Code"] == "374"
    )
    assert (
        run(http, "SELECT 1", session_id=session, session_timeout="x").headers["X-ClickHouse-Exception-Code"] == "374"
    )


def test_one_session_runs_one_query_at_a_time(http: httpx.Client, session: str) -> None:
    with http.stream("POST", "/", params={"session_id": session}, content="SELECT * FROM numbers(100000000)") as first:
        pieces = first.iter_bytes()  # held, since httpx hangs up when its iterator is dropped
        assert next(pieces)
        busy = run(http, "SELECT 1", session_id=session)
        assert (busy.status_code, busy.headers["X-ClickHouse-Exception-Code"]) == (500, "373")
    wait_until(lambda: run(http, "SELECT 1", session_id=session).status_code == 200, 10, "the session being free again")
