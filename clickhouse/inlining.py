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
# What a number is of, and of nothing else: the period asked for, or with it the one of equal length before it.
_SINCE, _UNTIL = "{since:DateTime64(3, 'UTC')}", "{until:DateTime64(3, 'UTC')}"
_BEFORE = f"subtractMilliseconds({_SINCE}, dateDiff('millisecond', {_SINCE}, {_UNTIL}))"
_BEGINS = {"".join(text.split()) for text in (_SINCE, _BEFORE, f"CAST({_BEFORE} AS DateTime64(3, 'UTC'))")}
# The views that decide which rollups there are, and what a base view reads row by row, which comes last in it.
_CHOOSES, _READS_ROWS = "chosen_rollups", "rollup.1 = 'raw'"
_NONE_CHOSEN = "SELECT ('raw', toDateTime(0, 'UTC'), toUInt64(0)) AS rollup\nWHERE false"
# What may end an argument, and what only looks like it.
_SIGNS = re.compile(r"'(?:[^'\\]|\\.|'')*'|--[^\n]*|[,()\[\]{}]")
_DEPTHS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_CALLED = re.compile(r"\b(?:FROM|JOIN)\s+(?P<view>\w+)\(")


def select(view: Query, views: Mapping[str, Query], *, quiet: bool = False) -> str:
    """The view's SELECT, with those of the views that it calls with parameters in their place.

    `quiet`: as it may be asked while nothing is written in `slots` of the period and of the one before it. What reads
    the rows of that time is left out; what looks further back stays.

    Raises ValueError when a call leaves out a parameter, or names one that the view does not have.
    """
    sql, at = view.definition, 0
    while call := _CALLED.search(sql, at):
        inner = views.get(call["view"])
        if inner is None:  # a function, or a view without parameters
            at = call.end()
            continue
        given, end = _arguments(sql, call.end())
        if given.keys() != inner.parameters.keys():
            raise ValueError(f"view {view.name} calls {inner.name} with {sorted(given)}")
        definition = _of_no_rows(inner) if quiet and _is_of_period(given) else inner.definition
        at = call.start("view")
        sql = f"{sql[:at]}(\n{_put(definition, given)}\n){sql[end:]}"
    return sql


def _is_of_period(given: Mapping[str, str]) -> bool:
    begin = given.get("begin", given.get("since", ""))
    return "".join(begin.split()) in _BEGINS and given.get("until") == _UNTIL


def _of_no_rows(view: Query) -> str:
    """What the view selects where no rollup is chosen and no row is found: the same columns."""
    if view.name == _CHOOSES:
        return _NONE_CHOSEN
    counted, union, rows = view.definition.rpartition("\nUNION ALL\n")
    return counted if union and _READS_ROWS in rows and _CHOOSES in counted else view.definition


def _put(sql: str, given: Mapping[str, str]) -> str:
    """The SQL with these values for its parameters, each of the parameter's type."""

    def value(parameter: re.Match[str]) -> str:
        text, type = given[parameter["name"]], parameter["type"]
        is_of_type = PARAMETER.fullmatch(text) or _LITERALS.get(type, PARAMETER).fullmatch(text)
        return text if is_of_type or _is_cast(text, type) else f"CAST({text} AS {type})"

    return PARAMETER.sub(value, sql)


def _is_cast(text: str, type: str) -> bool:
    """Whether the whole text is one cast to this type, as a view further out gave it."""
    return text.startswith("CAST(") and text.endswith(f" AS {type})") and _arguments(text, len("CAST("))[1] == len(text)


def _arguments(sql: str, start: int) -> tuple[dict[str, str], int]:
    """What a call gives, by parameter, and where the call ends."""
    depth, at, given = 1, start, []
    for sign in _SIGNS.finditer(sql, start):
        depth += _DEPTHS.get(sign[0], 0)
        if (sign[0] == "," and depth == 1) or not depth:
            given.append(sql[at : sign.start()])
            at = sign.end()
        if not depth:
            break
    pairs = (argument.partition("=") for argument in given if argument.strip())
    return {name.strip(): value.strip() for name, _, value in pairs}, at
