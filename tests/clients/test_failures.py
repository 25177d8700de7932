"""What goes wrong is told: an error before and within an answer, a wrong password, a query given up."""

from __future__ import annotations

import subprocess

import pytest

from tests.clients.conftest import READER, Server
from tests.clients.plan import Step
from tests.clients.programs import ALL, JDBC, NODE, SQLALCHEMY, Program
from tests.support.waiting import wait_until

# Far more than one part of an answer, so that it has begun when the error comes.
LATE = """
SELECT 'some text to fill the answer with ' || toString(number) AS text, throwIf(number = 250000) AS late
FROM numbers(400000)
"""
ENDLESS = "SELECT 'given up by {name}' AS text, number FROM numbers(100000000000)"
SLOW = "SELECT 'given up by {name}' AS text, sum(number) FROM numbers(100000000000000) GROUP BY text"

EVERY_MODE = pytest.mark.parametrize(
    ("program", "mode"),
    [pytest.param(program, mode, id=f"{program.name} {mode}") for program in ALL for mode in program.modes],
)


@EVERY_MODE
def test_an_error_is_told(server: Server, program: Program, mode: str) -> None:
    if program.missing:
        pytest.skip(program.missing)
    missing, late = server.ask(program, Step("query", "SELECT * FROM missing_one"), Step("query", LATE), mode=mode)
    assert "missing_one" in missing.error
    assert "60" in missing.error
    # Never a part for the whole: either the code, or at least a broken answer.
    assert late.error
    assert "395" in late.error or "unexpected EOF" in late.error or "closed" in late.error, late.error


def test_a_wrong_password_is_told(server: Server, program: Program) -> None:
    for mode in program.modes:
        (refused,) = server.ask(program, Step("query", "SELECT 1"), mode=mode, password="wrong")
        assert "516" in refused.error or "403" in refused.error, (mode, refused.error)
        if mode not in ("lz4", "zstd"):
            assert f"{READER}: Authentication failed" in refused.error, (mode, refused.error)


def running(server: Server, name: str) -> list[list[object]]:
    said = f"query LIKE '%given up by {name}%' AND query NOT LIKE '%LIKE%'"
    return server.said(f"SELECT count() FROM system.processes WHERE {said}").rows


def test_a_query_given_up_stops(server: Server, program: Program) -> None:
    if program in JDBC or program is SQLALCHEMY:
        pytest.skip(f"{program.name} takes whole answers")
    server.ask(program, Step("cancel", ENDLESS.format(name=program.name)))
    wait_until(lambda: running(server, program.name) == [[0]], 30, "the end of the abandoned query")


@pytest.mark.parametrize("program", JDBC, ids=lambda program: program.name)
def test_a_query_stops_when_its_program_ends(server: Server, program: Program) -> None:
    if program.missing:
        pytest.skip(program.missing)
    plan = server.plan(program, Step("query", SLOW.format(name=program.name)))
    with subprocess.Popen(program.command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as asking:
        assert asking.stdin is not None
        asking.stdin.write(plan.text())
        asking.stdin.close()
        wait_until(lambda: running(server, program.name) == [[1]], 60, "the start of the query")
        asking.kill()
    wait_until(lambda: running(server, program.name) == [[0]], 30, "the end of the abandoned query")


@pytest.mark.parametrize("program", [NODE, *JDBC], ids=lambda program: program.name)
def test_what_the_guest_may_not_do_is_told(server: Server, program: Program) -> None:
    if program.missing:
        pytest.skip(program.missing)
    (refused,) = server.ask(program, Step("query", "DROP TABLE events"))
    assert "164" in refused.error or "497" in refused.error
    assert server.said("SELECT count() > 0 FROM events").rows == [[1]]
