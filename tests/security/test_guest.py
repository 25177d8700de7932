"""What a statement over HTTP may reach: a guest our tables, the owner the database, neither the machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clickhouse.embedded.permission.names import is_guests_function, lowered, names
from tests.security.watching import Folder, Port, watched
from tests.support.processes import ROOT, ClickHouseProcess, start_clickhouse

SECRET = "the-signing-key-of-tokens"
OWNER = ("default", "owner-of-it")
READER = ("reader", "reads-only")

STATEMENTS = ROOT / "tests" / "security" / "statements"


def statements(name: str) -> list[str]:
    """The statements of a file. {file} in them holds SECRET, {folder} is where it lies, {port} counts who calls."""
    return [line for line in (STATEMENTS / f"{name}.sql").read_text().splitlines() if not line.startswith("--")]


@dataclass
class House:
    """A running server, a file that is none of its business, and a port that nobody may call."""

    http: httpx.Client
    folder: Path
    opened: Folder
    port: Port

    def fill(self, sql: str) -> str:
        """The statement with the file, its folder and the port named."""
        file = self.folder / "secret"
        return sql.format(file=file, name=f"{self.folder.name}/secret", folder=self.folder, port=self.port.number)

    def ask(self, sql: str, user: tuple[str, str] = READER, **params: str) -> httpx.Response:
        """The answer to a statement."""
        return self.http.post("/", content=sql, auth=user, params=params)

    def is_untouched(self) -> bool:
        """Whether no file of the folder was opened, and nobody called."""
        return not self.opened.was_touched() and self.port.calls == 0


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("none_of_its_business")
    (folder / "secret").write_text(SECRET)
    process: ClickHouseProcess = start_clickhouse(
        folder.parent / "guests_clickhouse",
        password=OWNER[1],
        readonly_user=READER[0],
        readonly_password=READER[1],
    )
    port = Port()
    try:
        with httpx.Client(base_url=process.url, timeout=30) as http, watched(folder) as opened:
            found = House(http, folder, opened, port)
            for sql in (
                "CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n",
                "INSERT INTO kept SELECT 1",
                "CREATE TABLE replaced (n UInt8) ENGINE = ReplacingMergeTree ORDER BY n",
                "CREATE DATABASE plain ENGINE = Atomic",
                "CREATE VIEW seen AS SELECT n + 1 AS m FROM kept",
                "CREATE VIEW parameterised AS SELECT n FROM kept WHERE n = {p:UInt8}",
            ):
                assert found.ask(sql, OWNER).status_code == 200
            yield found
    finally:
        port.close()
        assert process.stop() == 0, process.output()


@pytest.mark.parametrize("database", ["", "system", "plain"])
@pytest.mark.parametrize("sql", statements("guest_refused"))
def test_a_guest_reaches_no_file_no_network_and_no_secret(house: House, sql: str, database: str) -> None:
    params = {"path": f"{house.folder}/secret", "table": f"{house.folder}/secret", "database": "default"}
    params |= {"system": "system", "processes": "processes"}
    named = {f"param_{name}": value for name, value in params.items()}
    refused = house.ask(house.fill(sql), **named, **({"database": database} if database else {}))
    assert SECRET not in refused.text
    assert house.is_untouched()
    if database != "plain":  # there a table's name is never a path, so that the engine may answer those that name one
        assert refused.headers.get("X-ClickHouse-Exception-Code") in ("36", "60", "62", "164", "358", "497"), (
            refused.text
        )


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(statements("expressions")), max_size=4))
def test_no_place_in_a_query_hides_a_function(house: House, places: list[str]) -> None:
    allowed = "'a'"
    refused = f"file('{house.folder}/secret')"
    for place in places:
        allowed, refused = place.replace("{}", allowed), place.replace("{}", refused)
    answer = house.ask(f"SELECT {refused}")
    assert answer.headers["X-ClickHouse-Exception-Code"] == "497", answer.text
    assert house.is_untouched()
    # Nor is it the place that is refused.
    assert house.ask(f"SELECT {allowed}").headers.get("X-ClickHouse-Exception-Code") not in ("164", "497")


def test_the_watch_sees_what_it_watches(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    port = Port()
    try:
        with watched(tmp_path) as folder:
            assert not folder.was_touched()
            (tmp_path / "file").read_text()
            assert folder.was_touched()
        with socket.create_connection(("127.0.0.1", port.number)) as caller:
            assert caller.recv(1) == b""  # hung up on, so counted
        assert port.calls == 1
    finally:
        port.close()


@pytest.mark.parametrize("sql", statements("guest_harmless"))
def test_what_only_names_a_file_opens_none(house: House, sql: str) -> None:
    assert SECRET not in house.ask(house.fill(sql)).text
    assert house.is_untouched()


@pytest.mark.parametrize("sql", ["SELECT * FROM processes", "SELECT 1 IN processes", "DESCRIBE server_settings"])
def test_a_table_without_a_database_is_that_of_the_url(house: House, sql: str) -> None:
    assert house.ask(sql, database="system").headers["X-ClickHouse-Exception-Code"] == "497"


@pytest.mark.parametrize(
    "params",
    [
        {"format_template_row": "{file}", "default_format": "Template"},
        {"default_format": "Template"},
        {"default_format": "Protobuf"},
        {"output_format_schema": "{folder}/schema", "default_format": "Protobuf"},
        {"format_schema": "{file}:Message"},
        {"format_avro_schema_registry_url": "http://127.0.0.1:{port}/", "default_format": "AvroConfluent"},
        {"format_display_secrets_in_show_and_select": "1"},
    ],
)
@pytest.mark.parametrize("user", [READER, OWNER], ids=["guest", "owner"])
def test_no_setting_of_the_url_names_a_file_or_an_address(
    house: House, params: dict[str, str], user: tuple[str, str]
) -> None:
    if user == OWNER and set(params) == {"default_format"}:
        pytest.skip("the owner's formats are the owner's")
    filled = {name: house.fill(value) for name, value in params.items()}
    refused = house.ask("SELECT 1", user, **filled)
    assert refused.headers.get("X-ClickHouse-Exception-Code") in ("164", "497"), refused.text
    assert house.is_untouched()


@pytest.mark.parametrize("sql", statements("guest_allowed"))
@pytest.mark.parametrize("database", ["", "default"])
def test_a_guest_reads_tables(house: House, sql: str, database: str) -> None:
    named = {"param_table": "kept", "param_n": "1"} | ({"database": database} if database else {})
    answer = house.ask(sql, **named)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("sql", statements("owner_refused"))
def test_the_owner_stays_in_the_database(house: House, sql: str) -> None:
    refused = house.ask(house.fill(sql), OWNER)
    # 26, 27, 53: what comes as a stream is not evaluated, so that an expression in it is no number.
    # 62: the engine knows no such statement.
    assert refused.headers.get("X-ClickHouse-Exception-Code") in ("26", "27", "53", "62", "78", "358", "497"), (
        refused.text
    )
    assert house.is_untouched()


def test_the_owner_has_the_database(house: House) -> None:
    for sql in statements("owner_allowed"):
        answer = house.ask(sql, OWNER)
        assert answer.status_code == 200, f"{sql}: {answer.text}"


def test_every_function_of_the_engine_is_on_the_list_or_refused(house: House) -> None:
    """A function that a new version of the engine brings is refused until names.tsv says whose it is."""
    asked = house.ask(
        "SELECT name, is_aggregate FROM system.functions WHERE origin = 'System' FORMAT JSONCompactEachRow"
    )
    there = dict(map(json.loads, asked.text.splitlines()))
    listed = {who: names(who, "function", "aggregate") for who in ("guest", "owner", "nobody")}
    assert set(there) == listed["guest"] | listed["owner"] | listed["nobody"]
    assert {name for name, is_aggregate in there.items() if is_aggregate} == names("guest", "aggregate")
    assert not any(is_guests_function(name) for name in listed["owner"] | listed["nobody"])
    assert not is_guests_function("someFunctionOfTheFuture")


@pytest.mark.parametrize(
    ("kind", "table"),
    [("table function", "table_functions"), ("combinator", "aggregate_function_combinators")],
)
def test_every_table_function_and_combinator_is_on_the_list(house: House, kind: str, table: str) -> None:
    there = set(house.ask(f"SELECT name FROM system.{table}").text.split())
    assert there == names("guest", kind) | names("owner", kind) | names("nobody", kind)


def test_no_two_names_of_different_owners_differ_in_case_alone() -> None:
    for kinds in (("function", "aggregate", "grammar"), ("table function",), ("format",)):
        guests = lowered("guest", *kinds)
        assert not guests & (lowered("owner", *kinds) | lowered("nobody", *kinds))


def test_a_guests_statement_has_an_end(house: House) -> None:
    long = f"SELECT 1 {' ' * (256 << 10)}"
    assert house.ask(long).headers["X-ClickHouse-Exception-Code"] == "229"


@pytest.mark.parametrize("nested", ["SELECT " + "(" * 5000 + "1" + ")" * 5000, "SELECT " + "[" * 300 + "]" * 300])
def test_a_guests_statement_is_not_deep_without_end(house: House, nested: str) -> None:
    assert house.ask(nested).status_code in (200, 400, 500)
    assert house.ask("SELECT 1").text == "1\n"


LIMITS = "SELECT getSetting('max_execution_time'), getSetting('max_memory_usage') FORMAT TSV"


@pytest.mark.parametrize(
    ("asked", "holds"),
    [
        ({}, "60\t4000000000\n"),
        ({"max_execution_time": "5", "max_memory_usage": "1000000000"}, "5\t1000000000\n"),
        ({"max_execution_time": "0", "max_memory_usage": "0"}, "60\t4000000000\n"),
        ({"max_execution_time": "3600", "max_memory_usage": "4000000001"}, "60\t4000000000\n"),
    ],
)
def test_a_guest_may_lower_the_limits_and_not_lift_them(house: House, asked: dict[str, str], holds: str) -> None:
    answer = house.ask(LIMITS, **asked)
    assert answer.text == holds


@pytest.mark.parametrize("value", ["-1", "nan", "1e9", "60\\0", "auto", "", "6_0"])
def test_a_limit_is_a_number(house: House, value: str) -> None:
    for name in ("max_execution_time", "max_memory_usage", "max_threads"):
        assert house.ask("SELECT 1", **{name: value}).headers["X-ClickHouse-Exception-Code"] == "36"


def test_a_guest_gets_no_more_threads_than_cores(house: House) -> None:
    cores = int(house.ask("SELECT getSetting('max_threads')", max_threads="100000").text)
    assert 0 < cores < 100_000


def test_a_guests_query_ends_at_the_memory_limit(house: House) -> None:
    greedy = "SELECT length(groupArray(toString(number))) FROM numbers(10000000)"
    stopped = house.ask(greedy, max_memory_usage="10000000")
    assert stopped.headers["X-ClickHouse-Exception-Code"] == "241"


def test_the_limits_are_those_of_a_clusters_reader(house: House) -> None:
    users = ElementTree.fromstring((ROOT / "clickhouse" / "config" / "users.xml").read_text())  # noqa: S314  # our own
    profile = users.find("profiles/reader")
    assert profile is not None
    assert profile.findtext("constraints/max_execution_time/max") == profile.findtext("max_execution_time")
    there = "\t".join(str(profile.findtext(name)) for name in ("max_execution_time", "max_memory_usage"))
    assert house.ask(LIMITS).text == f"{there}\n"
