"""A view's SELECT with the SELECTs of the views that it calls in their places.

ClickHouse analyses what a view with parameters reads twice, once for its columns and once for its rows, and so four
times what that one reads in its turn (docs/reference/counting.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse.queries import Query

PARAMETER = re.compile(r"\{(?P<name>[A-Za-z_]\w*):(?P<type>[^{}]+)\}")
# What is of the type as it stands.
_LITERALS = {
    "String": re.compile(r"'[^'\\]*'"),
    "Array(String)": re.compile(r"\['[^'\\]*'(, '[^'\\]*')*\]"),
    "UInt8": re.compile(r"\d{1,2}"),
}
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'|--[^\n]*")


def select(view: Query, views: Mapping[str, Query]) -> str:
    """The view's SELECT, with those of the views that it calls with parameters in their place.

    Raises ValueError when a call leaves out a parameter, or names one that the view does not have.
    """
    sql = view.definition
    calls = re.compile(rf"\b(FROM|JOIN)(\s+)({'|'.join(map(re.escape, views))})\(")
    while call := calls.search(sql):
        inner = views[call[3]]
        given, end = _arguments(sql, call.end())
        if given.keys() != inner.parameters.keys():
            raise ValueError(f"view {view.name} calls {inner.name} with {sorted(given)}")
        body = _put(select(inner, views), given)
        sql = f"{sql[: call.start()]}{call[1]}{call[2]}(\n{body}\n){sql[end:]}"
    return sql


def _put(sql: str, given: Mapping[str, str]) -> str:
    """The SQL with these values for its parameters, each of the parameter's type."""

    def value(parameter: re.Match[str]) -> str:
        text, is_of_type = given[parameter["name"]], _LITERALS.get(parameter["type"], PARAMETER)
        return (
            text if PARAMETER.fullmatch(text) or is_of_type.fullmatch(text) else f"CAST({text} AS {parameter['type']})"
        )

    return PARAMETER.sub(value, sql)


def _arguments(sql: str, start: int) -> tuple[dict[str, str], int]:
    """What a call gives, by parameter, and where the call ends."""
    depth, at, begins, given = 1, start, start, []
    while depth:
        if text := _QUOTED.match(sql, at):
            at = text.end()
            continue
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(sql[at], 0)
        if (sql[at] == "," and depth == 1) or not depth:
            given.append(sql[begins:at])
            begins = at + 1
        at += 1
    pairs = (argument.partition("=") for argument in given if argument.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}, at
