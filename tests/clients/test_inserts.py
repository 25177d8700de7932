"""Rows that each client inserts in its own way arrive, in every compression."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Server
from tests.clients.plan import Step, comparable
from tests.clients.programs import CONNECT, GO, GO_PLUGIN, JDBC, NODE, Program

ROWS = [[n, f'it\'s "{n}"\n☃', 1772330400 + n / 1000, ["a", ""] if n % 2 else []] for n in range(1000)]

_WRITERS = [
    pytest.param(p, mode, id=f"{p.name} {mode}")
    for p in (GO, GO_PLUGIN, *JDBC, NODE, CONNECT)
    for mode in p.modes
    if mode != "br"
]


# Brotli is not read: what comes in it is refused by its name (501), and an answer asked for in it comes unpacked.
@pytest.mark.parametrize(("program", "mode"), _WRITERS)
def test_inserted_rows_arrive(server: Server, program: Program, mode: str) -> None:
    if program.missing:
        pytest.skip(program.missing)
    table = "".join(sign if sign.isalnum() else "_" for sign in f"inserted_{program.name}_{mode}")
    server.said(
        f"CREATE TABLE {table} (n UInt32, s String, at DateTime64(3, 'UTC'), words Array(LowCardinality(String)))"
        " ENGINE = MergeTree ORDER BY n"
    )
    sql = f"INSERT INTO {table} (n, s, at, words)"
    if program in JDBC:
        sql += " VALUES (?, ?, ?, ?)"
    (done,) = server.ask(program, Step("insert", sql, rows=ROWS, table=table), mode=mode, reader=False)
    assert not done.error
    assert comparable(server.said(f"SELECT n, s, at, words FROM {table}").rows) == comparable(ROWS)
    server.said(f"DROP TABLE {table}")
