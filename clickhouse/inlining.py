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
# What may end an argument, and what only looks like it.
_SIGNS = re.compile(r"'(?:[^'\\]|\\.|'')*'|--[^\n]*|[,()\[\]{}]")
_DEPTHS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_CALLED = re.compile(r"\b(?:FROM|JOIN)\s+(?P<view>\w+)\(")


def selects(views: Mapping[str, Query]) -> dict[str, str]:
    """Each view's SELECT, with those of the views that it calls with parameters in their place.

    Raises ValueError when a call leaves out a parameter, or names one that the view does not have.
    """
    done: dict[str, str] = {}
    for name in views:
        _select(name, views, done)
    return done


def _select(name: str, views: Mapping[str, Query], done: dict[str, str]) -> str:
    """That of one view, which is in `done` afterwards."""
    if name not in done:
        done[name] = _without_calls(views[name].definition, name, views, done)
    return done[name]


def _without_calls(sql: str, of: str, views: Mapping[str, Query], done: dict[str, str]) -> str:
    """The SQL of view `of`, or an argument in it, with SELECTs in the place of calls."""
    parts, at = [], 0
    for call in _CALLED.finditer(sql):
        inner = views.get(call["view"])
        if inner is None or call.start() < at:  # a function, or in the arguments of the call before
            continue
        texts, end = _arguments(sql, call.end())
        if texts.keys() != inner.parameters.keys():
            raise ValueError(f"view {of} calls {inner.name} with {sorted(texts)}")
        given = {name: _without_calls(text, of, views, done) for name, text in texts.items()}
        parts += [sql[at : call.start("view")], f"(\n{_put(_select(inner.name, views, done), given)}\n)"]
        at = end
    return "".join([*parts, sql[at:]])


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
