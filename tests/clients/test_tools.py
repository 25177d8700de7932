"""What DBeaver, Metabase and SQLAlchemy read of a database before they show it, and JDBC's prepared statements."""

from __future__ import annotations

import pytest

from clickhouse import queries
from tests.clients.conftest import DATABASE, Server
from tests.clients.plan import Step
from tests.clients.programs import JDBC, SQLALCHEMY, Program


@pytest.mark.parametrize("program", [*JDBC, SQLALCHEMY], ids=lambda program: program.name)
def test_the_views_and_their_columns_are_found(server: Server, program: Program) -> None:
    if program.missing:
        pytest.skip(program.missing)
    (told,) = server.ask(program, Step("metadata"))
    assert not told.error
    columns = {(row[1], row[2]) for row in told.rows if row[0] == "column"}
    sql = f"SELECT table, name FROM system.columns WHERE database = '{DATABASE}' AND startsWith(table, 'v_')"
    wanted = {(table, name) for table, name in server.said(sql).rows}
    assert {name for name in queries.VIEWS if name.startswith("v_")} <= {table for table, _ in wanted}
    assert columns == wanted
    if program in JDBC:
        assert {row[1] for row in told.rows if row[0] == "view"} == {table for table, _ in wanted}
        assert ["product", "ClickHouse"] in [row[:2] for row in told.rows]
        assert [DATABASE] in [row[1:] for row in told.rows if row[0] in ("schema", "catalog")]
        assert ["valid", True] in told.rows


@pytest.mark.parametrize("program", JDBC, ids=lambda program: program.name)
def test_prepared_statements_take_their_values_literally(server: Server, program: Program) -> None:
    if program.missing:
        pytest.skip(program.missing)
    sql = "SELECT campaign, sent FROM v_campaigns WHERE campaign = ? AND sent >= ?"
    quoted, hostile = server.ask(
        program,
        Step("prepared", sql, values=["owner's pick", 1]),
        Step("prepared", sql, values=["no') OR 1=1 --", 1]),
    )
    assert [quoted.error, hostile.error] == ["", ""]
    assert quoted.rows == [["owner's pick", 10]]
    assert hostile.rows == []
