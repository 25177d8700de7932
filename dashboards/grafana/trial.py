"""Runs what rendered boards and alert rules ask, as Grafana would, on a migrated database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from dashboards.grafana import ALL, PLUGIN
from dashboards.grafana.expand import Choice, expand
from dashboards.grafana.links import queries

_SINCE, _UNTIL = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 4, 4, tzinfo=UTC)

# What viewers choose: one, many, all; values with what breaks quoting.
_AWKWARD = ["owner's pick", 'say "hi"', "back\\"]
CHOICES = {
    "one of each": Choice(
        _SINCE,
        _UNTIL,
        {
            "campaign": ["spring"],
            "step": ["1"],
            "sender": ["a@example.com"],
            "lead": ["lead-1"],
            "variant": ["A"],
            "link": ["f" * 64],
            "outcome": ["opened"],
        },
    ),
    "many": Choice(
        _SINCE,
        _UNTIL,
        {
            "campaign": ["spring", "autumn", "a,b&id=c"],
            "step": ["0", "1", "255"],
            "sender": ["a@example.com", "b@example.com"],
            "variant": ["A", "B"],
            "outcome": ["opened", "not_clicked"],
        },
        "Europe/Paris",
    ),
    "all": Choice(_SINCE, _UNTIL, {}, "America/New_York"),
    "an apostrophe": Choice(
        _SINCE,
        _UNTIL,
        {"campaign": _AWKWARD, "sender": _AWKWARD, "variant": _AWKWARD, "lead": ["owner's \\"]},
        "Asia/Kolkata",
    ),
}

_WRAPPED = re.compile(r"(?:Nullable|LowCardinality)\((.+)\)")
_NUMBER = re.compile(r"U?Int\d+|Float\d+|Decimal.*")
_TEXT = re.compile(r"String|FixedString.*")
_TIME = re.compile(r"DateTime.*")


def run_board(model: Mapping[str, Any], client: Client, choices: Mapping[str, Choice] = CHOICES) -> Iterator[str]:
    """What fails of a board's targets, variables and annotations, and for which choice.

    Panels that ask the same and show other columns of it are run for the first choice each, then one for all of them:
    what is chosen stands in the query, not in the columns.
    """
    tried = set()
    for what, raw_sql in queries(model):
        _, _, asked = raw_sql.partition("\nFROM ")
        for name, choice in choices.items():
            if asked and asked in tried and name != next(iter(choices)):
                continue
            try:
                sql = expand(raw_sql, choice, ALL)
                client.query(sql)
                problem = _not_marks(sql, client) if what.startswith("annotation ") else ""
            except (ClickHouseError, ValueError) as error:
                problem = _first_line(error)
            if problem:
                yield f"{what}, {name}: {problem}"
        tried.add(asked)


def _not_marks(sql: str, client: Client) -> str:
    types = _types(sql, client)
    if _TIME.fullmatch(types.get("time", "")) and _TEXT.fullmatch(types.get("text", "")):
        return ""
    return f"it needs a `time` and a `text`, and gives {types}"


def run_rules(alerting: Mapping[str, Any], client: Client, until: datetime = _UNTIL) -> Iterator[str]:
    """What fails of the rules' queries, looking back from `until`, and which give not what Grafana can compare.

    A rule has no viewer: variables and what the browser puts in are not there.
    """
    for group in alerting["groups"]:
        for rule in group["rules"]:
            for query in rule["data"]:
                if query["model"].get("datasource", {}).get("type") != PLUGIN:
                    continue
                try:
                    sql = as_asked(query, until)
                    problem = _not_comparable(_types(sql, client), client.query(sql).result_rows)
                except (ClickHouseError, ValueError) as error:
                    problem = _first_line(error)
                if problem:
                    yield f"{rule['title']}: {problem}"


def as_asked(query: Mapping[str, Any], until: datetime) -> str:
    """The SQL of a rule that is evaluated at `until`. Raises ValueError for what only a browser puts in."""
    window = query["relativeTimeRange"]
    raw_sql = query["model"]["rawSql"]
    if "${" in raw_sql:
        raise ValueError("an alert rule knows no variables")
    since = until - timedelta(seconds=window["from"])
    return expand(raw_sql, Choice(since, until - timedelta(seconds=window["to"])), ALL)


def _not_comparable(types: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> str:
    """Grafana takes a table of texts and one number for alerts of their own, and nothing else (its `isNumberTable`)."""
    numbers = [name for name, kind in types.items() if _NUMBER.fullmatch(kind)]
    others = [name for name, kind in types.items() if name not in numbers and not _TEXT.fullmatch(kind)]
    if len(numbers) != 1 or others:
        return f"it needs texts and one number, and gives {types}"
    place = list(types).index(numbers[0])
    labels = [row[:place] + row[place + 1 :] for row in map(tuple, rows)]
    if len(set(labels)) != len(labels):
        return "rows are not told apart by their texts"
    return ""


def _types(sql: str, client: Client) -> dict[str, str]:
    """Column name to ClickHouse type, whether or not it may be NULL. Asked for itself: no rows tell of no columns."""
    types = {}
    for name, kind, *_ in client.query(f"DESCRIBE TABLE (\n{sql}\n)").result_rows:
        types[name] = kind
        while wrapped := _WRAPPED.fullmatch(types[name]):
            types[name] = wrapped[1]
    return types


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300]
