"""The same tables on a cluster: every statement of the schema, rendered for many shards and replicas. Pure text.

A table NAME becomes two: `NAME_local` on every node, replicated within its shard, and `NAME`, Distributed over them, by
which all is asked and inserted. So queries are the same on one node and on many. All rows of an email lie on one shard,
because the sharding key is the delivery; rows that no email has go by their sorting key. Either way rows that merge are
on one shard, and FINAL is right. Materialised views stand on every node and fill its own tables from its own.

What this file does not know it refuses: a statement that would run on one node alone must not pass unseen.
Sources: https://clickhouse.com/docs/engines/table-engines/mergetree-family/replication and .../special/distributed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse.queries import VIEWS
from schemas.errors import Misconfigured

# By what a server says `Distributed` may ask another table in a subquery, and when an insert is answered.
SETTINGS = {
    "distributed_product_mode": "global",  # a joined table is read once and sent to the shards
    "distributed_foreground_insert": 1,  # answered means stored
    "distributed_ddl_output_mode": "none_only_active",  # a replica that is away does it when it is back
}

_ENGINES = frozenset(
    {
        "MergeTree",
        "ReplacingMergeTree",
        "SummingMergeTree",
        "AggregatingMergeTree",
        "CollapsingMergeTree",
        "VersionedCollapsingMergeTree",
    }
)
# Tables whose rows are spread otherwise than by their delivery or sorting key. What a view fills from another table is
# where the rows of that one are.
_SHARDED_BY = {
    "samples": "name, instance",
    "samples_by_half_hour": "name, instance",
    "slots": "of",  # the rows of a day are written together or not at all
    "bounce_counts": "grain, campaign, slot",  # its delivery is an example, and no key
}
_NAME = r"(?P<name>[A-Za-z_]\w*)"
_TABLE = re.compile(rf"CREATE TABLE IF NOT EXISTS {_NAME}\s*(?P<columns>\(.*\))\s*ENGINE = (?P<rest>.*)", re.DOTALL)
_ENGINE = re.compile(r"(?P<engine>\w+)(?:\((?P<arguments>[^()]*)\))?(?P<rest>\s.*|)", re.DOTALL)
_MATERIALIZED = re.compile(
    rf"CREATE MATERIALIZED VIEW IF NOT EXISTS {_NAME} TO (?P<target>\w+) AS(?P<query>\s.*)", re.DOTALL
)
_VIEW = re.compile(rf"CREATE (?P<how>OR REPLACE VIEW|VIEW IF NOT EXISTS) {_NAME}(?P<rest>\s.*)", re.DOTALL)
_MODIFY_QUERY = re.compile(rf"ALTER TABLE {_NAME}\s+MODIFY QUERY(?P<query>\s.*)", re.DOTALL)
_ALTER = re.compile(rf"ALTER TABLE {_NAME}\s+(?P<changes>.*)", re.DOTALL)
_DROP = re.compile(rf"DROP (?P<what>TABLE|VIEW) IF EXISTS {_NAME}")
_LOCK = re.compile(rf"CREATE TABLE {_NAME} (?P<rest>\(holder String\) ENGINE = Memory COMMENT '\w+')")
_RENAME = re.compile(rf"RENAME TABLE {_NAME} TO (?P<other>\w+)")
_EXCHANGE = re.compile(rf"EXCHANGE TABLES {_NAME} AND (?P<other>\w+)")
_TRUNCATE = re.compile(rf"TRUNCATE TABLE {_NAME}")
_DELETE = re.compile(rf"DELETE FROM {_NAME}\s+(?P<rest>WHERE\s.*)", re.DOTALL)  # noqa: S608  # a pattern
_DATABASE = re.compile(rf"CREATE DATABASE IF NOT EXISTS {_NAME}")
# A column's TTL is the business of the table that holds the rows.
_OF_COLUMNS = re.compile(r"(ADD|DROP|MODIFY|RENAME|COMMENT|CLEAR) COLUMN\b(?!\s+\w+\s+(REMOVE\s+)?TTL\b)")
_SOURCE = re.compile(r"\b(FROM|JOIN)\s+([A-Za-z_][\w.]*|\()")
_ORDER = re.compile(r"\bORDER BY\s+(?:\((?P<several>[^()]*)\)|(?P<one>\w+)\b(?!\())")
_COMMENT = re.compile(r"\bCOMMENT '(?:[^'\\]|\\.|'')*'\Z")
_SPLIT = re.compile(r"'(?:[^'\\]|\\.|'')*'|--[^\n]*|.", re.DOTALL)


def on_cluster(statement: str, cluster: str, database: str) -> list[str]:
    """What to run on one node of the cluster instead of this statement. Without a `cluster` it is the same statement.

    `cluster` is its name in the servers' configuration, or '{cluster}' for their macro of that name. Raises
    Misconfigured for a statement, an engine or a view that can't be rendered.
    """
    return list(_rendered(statement.strip(), _Where(cluster, database))) if cluster else [statement]


def spread(client: Client, cluster: str, database: str) -> None:
    """Have the client's commands run on the whole cluster from now on."""
    command = client.command

    def on_all(cmd: str, *args: Any, **options: Any) -> Any:
        answer: Any = None
        for statement in on_cluster(cmd, cluster, database):
            answer = command(statement, *args, **options)
        return answer

    client.command = on_all  # type: ignore[method-assign]


@dataclass(frozen=True)
class _Where:
    """The cluster's name, our database, and `where`, the clause that names the cluster in a statement."""

    cluster: str
    database: str

    def __str__(self) -> str:
        return f"ON CLUSTER '{self.cluster}'"


_Found = re.Match[str]


def _table(found: _Found, where: _Where) -> Iterator[str]:
    yield _local(found, str(where), where.database)
    name = found["name"]
    comment = _COMMENT.search(found["rest"])
    yield (
        f"CREATE TABLE IF NOT EXISTS {name} {where} AS {name}_local\n"
        f"ENGINE = Distributed('{where.cluster}', '{where.database}', '{name}_local', {_sharding(found)})"
        + (f"\n{comment[0]}" if comment else "")
    )


def _materialized(found: _Found, where: _Where) -> Iterator[str]:
    head = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {found['name']} {where} TO {found['target']}_local AS"
    yield head + _of_this_node(found["name"], found["query"])


def _modify_query(found: _Found, where: _Where) -> Iterator[str]:
    yield f"ALTER TABLE {found['name']} {where} MODIFY QUERY" + _of_this_node(found["name"], found["query"])


def _alter(found: _Found, where: _Where) -> Iterator[str]:
    if found["name"] in VIEWS or found["name"].startswith("v_"):  # a view of the schema
        yield f"ALTER TABLE {found['name']} {where}\n    {found['changes']}"
        return
    yield f"ALTER TABLE {found['name']}_local {where}\n    {found['changes']}"
    if of_columns := [change for change in _parts(found["changes"]) if _OF_COLUMNS.match(change)]:
        yield f"ALTER TABLE {found['name']} {where}\n    " + ",\n    ".join(of_columns)


def _drop(found: _Found, where: _Where) -> Iterator[str]:
    yield f"DROP {found['what']} IF EXISTS {found['name']} {where} SYNC"
    if found["what"] == "TABLE":
        yield f"DROP TABLE IF EXISTS {found['name']}_local {where} SYNC"


def _as(template: str) -> Callable[[_Found, _Where], Iterator[str]]:
    """One statement, made of what was found and `{where}`."""
    return lambda found, where: iter([template.format(where=where, **found.groupdict())])


# Every kind of statement that we write, and what it is on a cluster. The first that matches counts.
_ON_CLUSTER: tuple[tuple[re.Pattern[str], Callable[[_Found, _Where], Iterator[str]]], ...] = (
    (_TABLE, _table),
    (_MATERIALIZED, _materialized),
    (_VIEW, _as("CREATE {how} {name} {where}{rest}")),
    (_MODIFY_QUERY, _modify_query),
    (_ALTER, _alter),
    (_DROP, _drop),
    # The lock of clickhouse/schema/lock.py has no rows: it is there on every node or on none.
    (_LOCK, _as("CREATE TABLE {name} {where} {rest}")),
    (_RENAME, _as("RENAME TABLE {name} TO {other} {where}")),
    (_EXCHANGE, _as("EXCHANGE TABLES {name}_local AND {other}_local {where}")),
    (_TRUNCATE, _as("TRUNCATE TABLE {name}_local {where}")),
    (_DELETE, _as("DELETE FROM {name}_local {where} {rest}")),
    (_DATABASE, _as("CREATE DATABASE IF NOT EXISTS {name} {where}")),
)


def _rendered(statement: str, where: _Where) -> Iterator[str]:
    code = _without_comments(statement)
    for pattern, on_cluster in _ON_CLUSTER:
        if found := pattern.fullmatch(code):
            return on_cluster(found, where)
    if re.match(r"(INSERT INTO|SELECT|WITH|EXISTS)\b", code):
        return iter([statement])  # of rows: the Distributed tables see to it
    if re.match(r"(BACKUP|RESTORE|DROP DATABASE)\b", code) and str(where) in code:
        return iter([statement])
    raise Misconfigured(f"clickhouse/cluster.py does not know how to say on a cluster: {code[:80]}")


def _local(table: re.Match[str], where: str, database: str) -> str:
    """The table on each node, replicated. The path has the table's first name, and keeps it when it is renamed."""
    found = _ENGINE.fullmatch(table["rest"])
    if not found or found["engine"] not in _ENGINES:
        raise Misconfigured(f"table {table['name']}: clickhouse/cluster.py knows no engine {table['rest'][:40]}")
    path = f"'/clickhouse/tables/{{shard}}/{database}/{table['name']}'"
    arguments = ", ".join(filter(None, (path, "'{replica}'", found["arguments"])))
    return (
        f"CREATE TABLE IF NOT EXISTS {table['name']}_local {where} {table['columns']}\n"
        f"ENGINE = Replicated{found['engine']}({arguments}){found['rest']}"
    )


def _sharding(table: re.Match[str]) -> str:
    if table["name"] in _SHARDED_BY:
        return f"cityHash64({_SHARDED_BY[table['name']]})"
    if re.search(r"\bdelivery_id UUID\b", table["columns"]):
        return "cityHash64(delivery_id)"
    order = _ORDER.search(table["rest"])
    columns = (order["several"] or order["one"] or "") if order else ""
    if not columns.strip():
        raise Misconfigured(f"table {table['name']} has neither a delivery_id nor a sorting key of plain columns")
    return f"cityHash64({columns})"


def _of_this_node(view: str, query: str) -> str:
    """A materialised view's query, from the node's own part of its one source."""
    sources = _SOURCE.findall(query)
    if len(sources) != 1 or sources[0][1] == "(":
        raise Misconfigured(f"view {view}: on a cluster a materialised view may read one table and no more")
    return _SOURCE.sub(r"\1 \2_local", query)


def _without_comments(statement: str) -> str:
    """Without comments, for any word may stand in one."""
    pieces = ("" if piece.startswith("--") else piece for piece in _SPLIT.findall(statement))
    return re.sub(r"[ \t]+\n|\n(?=\n)", "\n", "".join(pieces)).strip()


def _parts(changes: str) -> Iterator[str]:
    """An ALTER's changes, each by itself."""
    depth, part = 0, ""
    for piece in _SPLIT.findall(changes):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(piece, 0)
        if piece == "," and depth == 0:
            yield part.strip()
            part = ""
        else:
            part += piece
    yield part.strip()
