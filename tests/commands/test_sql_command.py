"""`sendlens sql` on a real embedded ClickHouse: what it prints, what it refuses, and that Ctrl-C stops the query."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import clickhouse_connect
import httpx
import pyarrow.parquet
import pytest

from tests.support.processes import ROOT, ClickHouseProcess, free_port, start_clickhouse
from tests.support.waiting import wait_until

WRITER, READER = "w" * 20, "a pass/word?&#'é"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    path = tmp_path_factory.mktemp("sql") / "clickhouse"
    process = start_clickhouse(path, password=WRITER, readonly_user="reader", readonly_password=READER)
    write(process, "CREATE DATABASE sendlens")
    write(process, "CREATE TABLE sendlens.people (name String, n UInt32) ENGINE = MergeTree ORDER BY n")
    write(process, "INSERT INTO sendlens.people VALUES ('Ada', 1), ('Bob', 2)")
    yield process
    assert process.stop() == 0


def write(server: ClickHouseProcess, statement: str) -> str:
    answer = httpx.post(server.url, content=statement, auth=("default", WRITER), timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.text


def environment(server: ClickHouseProcess, **more: str) -> dict[str, str]:
    settings = {"CLICKHOUSE_URL": server.url, "CLICKHOUSE_READER_PASSWORD": READER, **more}
    return os.environ | {f"SENDLENS_{name}": value for name, value in settings.items()}


def ask(
    server: ClickHouseProcess, *words: str, given: str | None = None, **more: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "sendlens", "sql", *words],
        cwd=ROOT,
        env=environment(server, **more),
        input=None if given is None else given.encode(),
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        timeout=60,
    )


def rows(server: ClickHouseProcess, *words: str, given: str | None = None) -> str:
    answer = ask(server, *words, given=given)
    assert answer.returncode == 0, answer.stderr.decode()
    assert answer.stderr == b""  # no terminal, no progress
    return answer.stdout.decode()


def test_an_answer_is_a_table(server: ClickHouseProcess) -> None:
    assert rows(server, "SELECT name, n FROM people ORDER BY n") == (
        "   ┌─name─┬─n─┐\n"
        "1. │ Ada  │ 1 │\n"
        "2. │ Bob  │ 2 │\n"
        "   └──────┴───┘\n"
    )  # fmt: skip


def test_the_query_may_come_from_standard_input_or_a_file(server: ClickHouseProcess, tmp_path: Path) -> None:
    file = tmp_path / "query.sql"
    file.write_text("SELECT name FROM people ORDER BY n FORMAT TSV -- as it stands\n")
    assert rows(server, given=file.read_text()) == "Ada\nBob\n"
    assert rows(server, "--file", str(file)) == "Ada\nBob\n"


def test_any_format_is_handed_on_as_it_is(server: ClickHouseProcess) -> None:
    query = "SELECT name, n FROM people ORDER BY n"
    assert rows(server, query, "--format", "CSVWithNames") == '"name","n"\n"Ada",1\n"Bob",2\n'
    assert rows(server, query, "--format", "JSONEachRow").splitlines()[1] == '{"name":"Bob","n":2}'
    parquet = ask(server, query, "--format", "Parquet").stdout
    assert pyarrow.parquet.read_table(io.BytesIO(parquet)).column("n").to_pylist() == [1, 2]
    many = rows(server, "SELECT number FROM numbers(400000)", "--format", "TSV")
    assert many == "".join(f"{n}\n" for n in range(400_000))


@pytest.mark.parametrize("value", ["Ada", "O'Brien", "a\\b", "tab\tline\nend", "{n:String}", "", "naïve = yes"])
def test_a_parameter_is_the_literal_value(server: ClickHouseProcess, value: str) -> None:
    asked = rows(server, "SELECT hex({who:String})", "--param", f"who={value}", "--format", "TSVRaw")
    assert bytes.fromhex(asked.strip()).decode() == value


def test_parameters_have_types(server: ClickHouseProcess) -> None:
    query = "SELECT {some:Array(String)}[2], {n:UInt8} + 1"
    assert rows(server, query, "--param", r"some=['a', 'b\'c']", "--param", "n=4", "--format", "TSVRaw") == "b'c\t5\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["SELEC 1"], 1, "Syntax error"),
        (["SELECT * FROM nowhere"], 1, "nowhere"),
        (["SELECT {n:UInt8}"], 1, "n"),
        (["SELECT 1", "--format", "Nonsense"], 1, "Nonsense"),
        (["INSERT INTO people VALUES ('Eve', 3)"], 1, "readonly"),
        (["SELECT throwIf(number = 300000, 'midway') FROM numbers(400000)", "--format", "TSV"], 1, "midway"),
        (["SELECT 1", "--param", "n"], 2, "--param n: write NAME=VALUE"),
        (["  "], 2, "the query is empty"),
        (["SELECT 1", "--file", "README.md"], 2, "either a query or --file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(server: ClickHouseProcess, words: list[str], code: int, said: str) -> None:
    answer = ask(server, *words)
    assert answer.returncode == code
    line = answer.stderr.decode()
    assert line.count("\n") == 1
    assert line.startswith("sendlens: ")
    assert said in line
    assert b"exception" not in answer.stdout.lower()


def test_a_wrong_password_a_strange_server_and_none_are_named(server: ClickHouseProcess) -> None:
    wrong = ask(server, "SELECT 1", CLICKHOUSE_READER_PASSWORD="wrong")
    assert (wrong.returncode, b"SENDLENS_CLICKHOUSE_READER_PASSWORD" in wrong.stderr) == (2, True)
    nobody = ask(server, "SELECT 1", CLICKHOUSE_URL=f"http://127.0.0.1:{free_port()}")
    assert (nobody.returncode, b"is it running?" in nobody.stderr) == (1, True)
    cluster = {"MODE": "cluster", "TOKEN_KEYS": "1:" + "k" * 32, "API_KEY": "k" * 32}
    unset = ask(server, "SELECT 1", CLICKHOUSE_READER_PASSWORD="", **cluster)
    assert (unset.returncode, b"SENDLENS_CLICKHOUSE_READER_PASSWORD is not set" in unset.stderr) == (2, True)


def test_the_dsn_opens_the_database(server: ClickHouseProcess) -> None:
    shown = dict(line.split(maxsplit=1) for line in rows(server, "--dsn").splitlines())
    assert (shown["protocol"], shown["host"], shown["port"]) == ("HTTP", "127.0.0.1", str(server.port))
    assert (shown["user"], shown["password"], shown["database"]) == ("reader", READER, "sendlens")
    with clickhouse_connect.get_client(dsn=shown["URL"]) as client:
        assert client.query("SELECT count() FROM people").first_row == (2,)
    jdbc = urlsplit(shown["JDBC"].removeprefix("jdbc:clickhouse:"))
    assert (jdbc.netloc, jdbc.path) == (f"127.0.0.1:{server.port}", "/sendlens")
    assert parse_qs(jdbc.query) == {"user": ["reader"], "password": [READER]}


def test_the_password_is_printed_for_the_dsn_alone(server: ClickHouseProcess) -> None:
    for words in (["SELECT 1"], ["SELEC"], ["SELECT 1", "--format", "Nonsense"]):
        answer = ask(server, *words)
        assert READER.encode() not in answer.stdout + answer.stderr


def running(server: ClickHouseProcess, mark: str) -> int:
    asked = f"SELECT count() FROM system.processes WHERE query LIKE '%{mark}%' AND query NOT LIKE '%processes%'"
    return int(write(server, asked))


def test_ctrl_c_stops_the_query(server: ClickHouseProcess) -> None:
    mark = "'endless'"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "sendlens",
            "sql",
            f"SELECT max(cityHash64(number, {mark})) FROM numbers(1000000000000)",
        ],
        cwd=ROOT,
        env=environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: running(server, "endless") == 1, 30, "the query")
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out, said) == (130, b"", b"sendlens: cancelled\n")
    wait_until(lambda: running(server, "endless") == 0, 30, "the end of the query")


# Runs the command with a Ctrl-C at a moment of its own: as it loads, or right before httpx's client sends.
_WITH_CTRL_C = """
import os, signal, sys, time

class Loading:
    def find_spec(self, name, path=None, target=None):
        if name == "pydantic" and os.environ["MOMENT"] == "as_it_loads":
            in_a_finally()

sys.meta_path.insert(0, Loading())

class Passing:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

def in_a_destructor():
    Passing()

def in_a_finally():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
    finally:
        raise OSError("closed")

def twice():
    in_a_destructor()
    in_a_destructor()

import httpx
import sendlens

send = httpx.Client.send
def sent(*given, **named):
    globals()[os.environ["MOMENT"]]()
    return send(*given, **named)

httpx.Client.send = sent
sendlens.main()
"""


@pytest.mark.parametrize("moment", ["as_it_loads", "in_a_destructor", "in_a_finally", "twice"])
def test_ctrl_c_ends_it_wherever_it_is(server: ClickHouseProcess, moment: str) -> None:
    """Raised there, a KeyboardInterrupt is printed and forgotten, or another exception takes its place."""
    done = subprocess.run(
        [sys.executable, "-c", _WITH_CTRL_C, "sql", "SELECT sleepEachRow(1) FROM numbers(3)"],
        cwd=ROOT, env=environment(server) | {"MOMENT": moment}, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"sendlens: cancelled\n")


def test_whoever_reads_may_have_had_enough(server: ClickHouseProcess) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sendlens", "sql", "--format", "TSV", "SELECT number FROM numbers(10000000)"],
        cwd=ROOT,
        env=environment(server),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) == 0


def on_a_terminal(server: ClickHouseProcess, *words: str) -> tuple[int, str]:
    """Exit code and all that the terminal was given."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sendlens", "sql", *words],
        cwd=ROOT,
        env=environment(server),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux's way to say that nobody writes any more
                break
            if not piece:
                break
            said += piece
        return process.wait(30), said.decode()
    finally:
        process.kill()
        os.close(ours)


def test_a_terminal_sees_progress_and_is_told_nothing_to_obey(server: ClickHouseProcess) -> None:
    code, said = on_a_terminal(server, "SELECT 'x\\x1b]0;owned\\x07\\x9b2J' || char(0xe2, 0x80, 0xae) || 'y' AS s")
    assert code == 0
    assert "x␛]0;owned␇" in said
    assert " bytes" in said
    rest = said.replace("\x1b[K", "")  # ours, which takes the progress away
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(rest)


def test_a_binary_format_is_not_for_a_terminal(server: ClickHouseProcess) -> None:
    code, said = on_a_terminal(server, "SELECT 1", "--format", "Parquet")
    assert code == 2
    assert "> FILE" in said


def test_without_a_query_a_terminal_is_asked_for_one(server: ClickHouseProcess) -> None:
    code, said = on_a_terminal(server)
    assert code == 2
    assert "say what to ask" in said
