"""The schema on a cluster, as text: every table, view and change of every migration. No cluster runs here.

What text can't show is shown on one node: the rendered statements, less what needs a cluster, make tables under their two
names in which the known week has the boards' numbers.
"""

from __future__ import annotations

import re
import uuid

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from typer.testing import CliRunner

from clickhouse import queries, views
from clickhouse.cluster import on_cluster
from clickhouse.migrate import rendered
from clickhouse.queries import get
from clickhouse.query_parameters import QueryParameters
from clickhouse.schema import migrations, providers
from clickhouse.store import connect
from schemas.errors import Misconfigured
from schemas.settings import Settings
from sendlens import app
from tests.dashboards.data import SINCE, UNTIL, insert_known_week
from tests.support.processes import ClickHouseProcess

CLUSTER, DATABASE = "{cluster}", "sendlens"
WHERE = "ON CLUSTER '{cluster}'"
STATEMENTS = [
    pytest.param(statement, id=f"{migration.name}-{number}")
    for migration in migrations()
    for number, statement in enumerate(migration.statements, 1)
] + [pytest.param(one.text, id=one.name) for one in providers()]


def everywhere(statement: str) -> list[str]:
    return on_cluster(statement, CLUSTER, DATABASE)


def made(kind: str) -> dict[str, list[str]]:
    """What of the kind every migration makes, and the statements for a cluster."""
    found = {}
    for migration in migrations():
        for statement in migration.statements:
            if name := re.search(rf"^CREATE {kind} (?:IF NOT EXISTS )?(\w+)", statement, re.MULTILINE):
                found[name[1]] = everywhere(statement)
    return found


TABLES = made("TABLE")
# What the tables of an email are spread by, and what the others are.
SHARDED_BY = {
    "events": "delivery_id",
    "hits": "delivery_id",
    "outcomes": "delivery_id",
    "attempts": "delivery_id",
    "retries": "delivery_id",
    "campaigns": "id",
    "pauses": "campaign",
    "links": "link_id",
    "lead_facts": "lead, fact, of, campaign",
    "webhooks": "id",
    "calls": "endpoint, event",
    "slots": "of",
    "bounce_counts": "grain, campaign, slot",
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_every_statement_can_be_said_on_a_cluster_and_clickhouse_reads_it(statement: str, client: Client) -> None:
    for said in everywhere(statement):
        client.query(f"EXPLAIN AST {said}")
        if not re.match(r"(--.*\n)*INSERT", said):
            assert said.count(WHERE) == 1


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_a_replicated_one_on_every_node_and_a_distributed_one_over_them(name: str) -> None:
    local, whole = TABLES[name]
    assert local.startswith(f"CREATE TABLE IF NOT EXISTS {name}_local {WHERE} (")
    engine = re.search(r"^ENGINE = (\w+)\(", local, re.MULTILINE)
    assert engine is not None
    assert re.fullmatch(r"Replicated(Replacing|Aggregating|Summing|)MergeTree", engine[1])
    assert f"{engine[1]}('/clickhouse/tables/{{shard}}/sendlens/{name}', '{{replica}}'" in local
    assert re.fullmatch(
        rf"CREATE TABLE IF NOT EXISTS {name} ON CLUSTER '{{cluster}}' AS {name}_local\n"
        rf"ENGINE = Distributed\('{{cluster}}', 'sendlens', '{name}_local', cityHash64\([\w, ]+\)\)\n"
        r"COMMENT '.+'",
        whole,
    )


@pytest.mark.parametrize("name", SHARDED_BY)
def test_rows_that_merge_are_on_one_shard(name: str) -> None:
    assert f", cityHash64({SHARDED_BY[name]}))\n" in TABLES[name][1]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_spread_by_what_it_is_sorted_by_or_by_the_delivery(name: str) -> None:
    local, whole = TABLES[name]
    key = re.search(r"cityHash64\((.+)\)\)$", whole, re.MULTILINE)
    assert key is not None
    if key[1] == "delivery_id":
        assert "delivery_id UUID" in local
    else:
        order = re.search(r"ORDER BY \(?(.+?)\)?$", local, re.MULTILINE)
        assert order is not None
        assert set(key[1].split(", ")) <= set(order[1].split(", "))


def test_what_a_view_fills_is_spread_as_what_it_reads_or_merges_nothing() -> None:
    by = {
        name: whole[whole.index("cityHash64") : whole.index("\n", whole.index("cityHash64"))]
        for name, (_, whole) in TABLES.items()
    }
    for name, (said,) in made("MATERIALIZED VIEW").items():
        target, source = re.findall(r"(?:TO|FROM) (\w+)_local", said)
        if target == "last_events":  # a lead's emails are everywhere: it is asked for the newest of a lead's rows
            assert "last_events FINAL" not in queries.get("leads_lately").sql
            continue
        assert by[target] == by[source] or "ENGINE = ReplicatedMergeTree(" in TABLES[target][0], name


@pytest.mark.parametrize(
    ("engine", "replicated"),
    [
        ("MergeTree", "ReplicatedMergeTree({})"),
        ("MergeTree()", "ReplicatedMergeTree({})"),
        ("ReplacingMergeTree", "ReplicatedReplacingMergeTree({})"),
        ("ReplacingMergeTree(stored_at)", "ReplicatedReplacingMergeTree({}, stored_at)"),
        ("ReplacingMergeTree(stored_at, gone)", "ReplicatedReplacingMergeTree({}, stored_at, gone)"),
        ("AggregatingMergeTree", "ReplicatedAggregatingMergeTree({})"),
        ("SummingMergeTree(hits)", "ReplicatedSummingMergeTree({}, hits)"),
        ("CollapsingMergeTree(sign)", "ReplicatedCollapsingMergeTree({}, sign)"),
    ],
)
def test_an_engine_keeps_its_arguments(engine: str, replicated: str) -> None:
    local, _ = everywhere(
        f"CREATE TABLE IF NOT EXISTS t (a Int8)\nENGINE = {engine}\nPARTITION BY a\nORDER BY a\nTTL x"
    )
    paths = "'/clickhouse/tables/{shard}/sendlens/t', '{replica}'"
    assert local.endswith(f"ENGINE = {replicated.format(paths)}\nPARTITION BY a\nORDER BY a\nTTL x")


def test_a_materialised_view_fills_the_nodes_own_table_from_its_own() -> None:
    for name, (said,) in made("MATERIALIZED VIEW").items():
        assert re.search(rf"VIEW IF NOT EXISTS {name} ON CLUSTER '{{cluster}}' TO \w+_local AS", said)
        assert re.findall(r"\b(?:FROM|JOIN) (\w+)", said) == re.findall(r"FROM (\w+_local)", said)
    (said,) = made("MATERIALIZED VIEW")["outcomes_from_events"]
    assert "TO outcomes_local AS" in said
    assert "FROM events_local" in said


def test_a_materialised_view_that_changes_still_reads_the_nodes_own() -> None:
    changes = {one.name: one.change for migration in migrations() for one in migration.materialized}
    assert set(changes) == set(made("MATERIALIZED VIEW"))
    for name, change in changes.items():
        (said,) = everywhere(change)
        assert said.startswith(f"ALTER TABLE {name} {WHERE} MODIFY QUERY\n")
        assert re.search(r"^FROM \w+_local$", said, re.MULTILINE)


def test_other_views_read_the_whole() -> None:
    found = made("VIEW") | made("OR REPLACE VIEW") | {name: everywhere(text) for name, text in views.statements()}
    assert {"v_outcomes", "v_campaigns"} <= set(found)
    for said in found.values():
        assert len(said) == 1
        assert "_local" not in said[0]


def test_columns_change_in_both_tables_and_what_only_the_local_one_has_in_it_alone() -> None:
    local, whole = everywhere(
        "ALTER TABLE t\n    ADD COLUMN IF NOT EXISTS a Array(Int8) DEFAULT [1, 2] AFTER b,\n"
        "    ADD INDEX i a TYPE minmax, DROP COLUMN IF EXISTS c"
    )
    assert local.startswith(f"ALTER TABLE t_local {WHERE}\n")
    assert "ADD INDEX i a TYPE minmax" in local
    assert whole == (
        f"ALTER TABLE t {WHERE}\n    ADD COLUMN IF NOT EXISTS a Array(Int8) DEFAULT [1, 2] AFTER b,\n"
        "    DROP COLUMN IF EXISTS c"
    )
    assert everywhere("ALTER TABLE t DROP CONSTRAINT IF EXISTS c") == [
        f"ALTER TABLE t_local {WHERE}\n    DROP CONSTRAINT IF EXISTS c"
    ]
    for change in (
        "MODIFY COLUMN a TTL b + INTERVAL 1 DAY",
        "MODIFY COLUMN a REMOVE TTL",
        "MODIFY TTL b",
        "REMOVE TTL",
    ):
        assert everywhere(f"ALTER TABLE t\n    {change}") == [f"ALTER TABLE t_local {WHERE}\n    {change}"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE t DELETE WHERE a = ','", [f"ALTER TABLE t_local {WHERE}\n    DELETE WHERE a = ','"]),
        ("ALTER TABLE t UPDATE a = 1 WHERE b", [f"ALTER TABLE t_local {WHERE}\n    UPDATE a = 1 WHERE b"]),
        ("DELETE FROM t WHERE a = 1", [f"DELETE FROM t_local {WHERE} WHERE a = 1"]),
        ("TRUNCATE TABLE t", [f"TRUNCATE TABLE t_local {WHERE}"]),
        (
            "CREATE TABLE t (holder String) ENGINE = Memory COMMENT 'a1'",
            [f"CREATE TABLE t {WHERE} (holder String) ENGINE = Memory COMMENT 'a1'"],
        ),
        ("RENAME TABLE t TO u", [f"RENAME TABLE t TO u {WHERE}"]),
        ("EXCHANGE TABLES t AND u", [f"EXCHANGE TABLES t_local AND u_local {WHERE}"]),
        ("DROP VIEW IF EXISTS v", [f"DROP VIEW IF EXISTS v {WHERE} SYNC"]),
        ("DROP TABLE IF EXISTS t", [f"DROP TABLE IF EXISTS {name} {WHERE} SYNC" for name in ("t", "t_local")]),
        ("CREATE DATABASE IF NOT EXISTS d", [f"CREATE DATABASE IF NOT EXISTS d {WHERE}"]),
        ("INSERT INTO t SELECT 1", ["INSERT INTO t SELECT 1"]),
        ("SELECT 1", ["SELECT 1"]),
        *[
            (said, [said])  # a backup says itself that it is of all nodes
            for said in (
                f"BACKUP DATABASE d EXCEPT TABLES d.t_local, d.t {WHERE} TO Disk('b', 'x') SETTINGS deduplicate_files = 0 ASYNC",
                f"BACKUP TABLE d.t_local, TABLE d.t {WHERE} TO Disk('b', 'x') ASYNC",
                f"RESTORE TABLE d.t_local AS e.t_local, TABLE d.t AS e.t {WHERE} FROM Disk('b', 'x') ASYNC",
                f"RESTORE DATABASE d AS e {WHERE} FROM Disk('b', 'x') ASYNC",
            )
        ],
    ],
)
def test_what_is_done_to_rows_is_done_where_they_are(statement: str, said: list[str], client: Client) -> None:
    assert everywhere(statement) == said
    for one in said:
        client.query(f"EXPLAIN AST {one}")


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = Log ORDER BY a", "no engine Log"),
        ("CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = GraphiteMergeTree('x') ORDER BY a", "no engine Graphite"),
        ("CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = MergeTree ORDER BY tuple()", "sorting key of plain columns"),
        ("CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a", "does not know"),
        ("CREATE DICTIONARY d (a Int8) PRIMARY KEY a", "does not know"),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT 1 FROM a JOIN b USING c", "one table and no more"),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT 1 FROM (SELECT 1 FROM a)", "one table and no more"),
        ("CREATE MATERIALIZED VIEW IF NOT EXISTS v ENGINE = MergeTree ORDER BY a AS SELECT 1 FROM a", "does not know"),
        ("OPTIMIZE TABLE t FINAL", "does not know"),
        ("BACKUP DATABASE d TO File('x') ASYNC", "does not know"),
    ],
)
def test_what_it_does_not_know_it_refuses(statement: str, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=complaint):
        everywhere(statement)


def test_on_one_server_nothing_is_rendered() -> None:
    for migration in migrations():
        for statement in migration.statements:
            assert on_cluster(statement, "", DATABASE) == [statement]


def test_migrate_prints_what_it_would_run_and_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENDLENS_TOKEN_KEYS", "1:0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("SENDLENS_CLICKHOUSE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SENDLENS_CLICKHOUSE_CLUSTER", "{cluster}")
    shown = CliRunner().invoke(app, ["migrate", "--print"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"-- database\nCREATE DATABASE IF NOT EXISTS sendlens {WHERE};\n")
    assert "CREATE TABLE IF NOT EXISTS migrations_local" in shown.output
    assert shown.output.count("ENGINE = Distributed") >= len(TABLES)
    monkeypatch.setenv("SENDLENS_CLICKHOUSE_CLUSTER", "")
    assert "ON CLUSTER" not in CliRunner().invoke(app, ["migrate", "--print"]).output


def test_a_client_of_a_cluster_sends_what_is_rendered(embedded_clickhouse: ClickHouseProcess) -> None:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, clickhouse_url=embedded_clickhouse.url, clickhouse_database="default", clickhouse_cluster="many"
    )
    with connect(settings) as client:
        assert client.command("SELECT getSetting('distributed_product_mode')") == "global"
        assert client.command("SELECT getSetting('distributed_foreground_insert')") == "true"
        with pytest.raises(DatabaseError, match="Replicated DDL queries are disabled"):
            client.command("TRUNCATE TABLE t")


def test_the_known_week_has_its_numbers_under_the_two_names(embedded_clickhouse: ClickHouseProcess) -> None:
    """As if the cluster were one node: replication is left out, and for Distributed stands Alias."""
    name = f"c_{uuid.uuid4().hex}"
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None, clickhouse_url=embedded_clickhouse.url, clickhouse_database=name, clickhouse_cluster="{cluster}"
    )
    one_server = settings.model_copy(update={"clickhouse_cluster": ""})
    with connect(one_server, database="") as client:
        client.command(f"CREATE DATABASE {name}")
    with connect(one_server) as client:
        for _, statement in rendered(settings):
            if "CREATE DATABASE" not in statement:
                client.command(_on_one_node(statement))
        insert_known_week(client)
        assert client.query("SELECT count() FROM outcomes_local FINAL").result_rows == [(70,)]
        asked = QueryParameters(SINCE, UNTIL, (), "UTC").parameters()
        headline = get("headline")
        before, now = client.query(headline.sql, parameters=headline.values(asked)).named_results()
        assert (before["sent"], now["sent"], now["opened"], now["raw_opened"]) == (20, 50, 23, 36)


def _on_one_node(statement: str) -> str:
    statement = statement.replace(WHERE, "").replace(" SYNC", "")
    statement = re.sub(
        r"AS \w+_local\nENGINE = Distributed\('{cluster}', '\w+', '(\w+)', .*\)$(\nCOMMENT.*)?",
        r"ENGINE = Alias('\1')",
        statement,
        flags=re.MULTILINE,
    )
    return re.sub(r"ENGINE = Replicated(\w+)\('[^']*', '{replica}'(?:, )?", r"ENGINE = \1(", statement)
