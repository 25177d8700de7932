"""What a statement consists of: every function, table and setting that the engine's own parser found in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# The second argument of these may be a table, by its name or as a table function.
_IN: Final = re.compile(r"(global)?(not)?(null)?in(ignoreset)?", re.IGNORECASE)
# Where statements that are no SELECT name their table.
_TARGETS: Final = frozenset({"table", "as_table", "from_table", "to_table"})
_BRANCHES: Final = (dict, list)
# Marks what a WITH gives a name to: an expression, a table to read, a lambda to call. Each hides its own kind alone.
_VALUE: Final = "\0value"
_TABLE: Final = "\0table"
_LAMBDA: Final = "\0lambda"

Node = Mapping[str, Any]
Visits = Iterator[tuple[Any, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class NamePart:
    """A part of a table's name: a word of the statement, or the name of the parameter that holds it."""

    text: str
    is_parameter: bool = False


Table = tuple[NamePart, ...]


@dataclass(slots=True)
class Tree:
    """The names in a statement, by what they name.

    `kind` is the type of the root, `explained` the kind of an EXPLAIN, `flags` what else is true of the root.
    `sources` are functions that stand for a table, `sets` those at the right of an IN, which may, and `functions` all
    others, engines among them; `lambdas` are calls of what a WITH before them defines. `tables` have one part or two;
    those that a WITH before them defines are left out. `targets` are the tables that other statements than a SELECT
    name.
    """

    kind: str
    explained: str = ""
    flags: set[str] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    sets: set[str] = field(default_factory=set)
    lambdas: set[str] = field(default_factory=set)
    tables: set[Table] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)


def read_tree(root: Mapping[str, Any]) -> Tree:
    """The names in the engine's JSON form of a statement (parseQueryToJSON)."""
    tree = Tree(root["type"], str(root.get("kind", "")), {name for name, value in root.items() if value is True})
    # Each node with the names that a WITH around it defines.
    waiting: list[tuple[Any, frozenset[str]]] = [(root, frozenset())]
    while waiting:
        value, defined = waiting.pop()
        if isinstance(value, list):
            waiting += [(inner, defined) for inner in value if isinstance(inner, _BRANCHES)]
        else:
            waiting += _visit(tree, value, defined)
    return tree


def _visit(tree: Tree, node: dict[str, Any], defined: frozenset[str]) -> Visits:
    """Notes what `node` itself names, and yields what is left to visit below it."""
    kind = node.get("type", "")
    tree.nodes.add(kind)
    if kind == "Literal":
        return
    tree.flags.update({"out_file", "attach_from_path"} & node.keys())
    for target in _TARGETS & node.keys():
        tree.targets.add(node[target]["name"] if isinstance(node[target], dict) else node[target])
    below: dict[str, Any] = {name: value for name, value in node.items() if isinstance(value, _BRANCHES)}
    if kind == "SelectQuery" and "with" in below:
        defined = yield from _with(below.pop("with"), defined, is_recursive=node.get("recursive_with", False))
    elif kind in _NOTES:
        yield from _NOTES[kind](tree, node, below, defined)
    if "format_ast" in node:
        tree.formats.add(node["format_ast"]["name"])
    for value in below.values():
        yield value, defined


def _note_source(tree: Tree, node: Node, below: dict[str, Any], defined: frozenset[str]) -> Visits:
    if "table_function" in below:
        yield from _source(tree.sources, below.pop("table_function"))


def _note_call(tree: Tree, node: Node, below: dict[str, Any], defined: frozenset[str]) -> Visits:
    (tree.lambdas if node["name"] + _LAMBDA in defined else tree.functions).add(node["name"])
    arguments = below.get("arguments", {}).get("children", [])
    if not _IN.fullmatch(node["name"]) or len(arguments) < 2:
        return
    left, right, *more = arguments
    if right["type"] == "Identifier":
        _note_table(tree, right, defined, _TABLE, _VALUE)
    elif right["type"] == "Function":
        below["arguments"] = [left, *more]
        yield from _source(tree.sets, right)


def _note_read(tree: Tree, node: Node, below: dict[str, Any], defined: frozenset[str]) -> Visits:
    _note_table(tree, node, defined, _TABLE)
    return iter(())


def _note_explained(tree: Tree, node: Node, below: dict[str, Any], defined: frozenset[str]) -> Visits:
    below.pop("settings", None)  # the look of the explanation
    return iter(())


def _note_engine(tree: Tree, node: Node, below: dict[str, Any], defined: frozenset[str]) -> Visits:
    tree.functions.add(node["name"])
    return iter(())


def _note_applied(tree: Tree, node: Node, below: dict[str, Any], defined: frozenset[str]) -> Visits:
    if "func_name" in node:
        tree.functions.add(node["func_name"])
    return iter(())


def _note_settings(tree: Tree, node: Node, below: dict[str, Any], defined: frozenset[str]) -> Visits:
    tree.settings.update(change["name"] for change in node.get("changes", []))
    below.clear()
    return iter(())


# What a node of each type names, beside what lies below it: notes it, and takes out of `below` what it visits itself.
_NOTES: Final[dict[str, Callable[[Tree, Node, dict[str, Any], frozenset[str]], Visits]]] = {
    "TableIdentifier": _note_read,
    "TableExpression": _note_source,
    "Function": _note_call,
    "ExplainQuery": _note_explained,
    "FunctionWithKeyValueArguments": _note_engine,
    "ColumnsApplyTransformer": _note_applied,
    "SetQuery": _note_settings,
}


def _with(
    elements: Mapping[str, Any], defined: frozenset[str], *, is_recursive: bool
) -> Generator[tuple[Any, frozenset[str]], None, frozenset[str]]:
    """The elements of a WITH, each of which sees those before it; returns what is defined behind them."""
    for element in elements["children"]:
        if element["type"] != "WithElement":
            yield element, defined
            kinds = (_VALUE, _LAMBDA) if element.get("is_lambda_function") else (_VALUE,)
            defined |= {element.get("alias", "") + kind for kind in kinds}
            continue
        own = defined | {element["name"] + kind for kind in (_VALUE, _TABLE)}
        selects = element["subquery"]["children"][0].get("list_of_selects", {}).get("children", [])
        if is_recursive and len(selects) > 1:
            # What it begins with does not see itself: there its name is a table's.
            yield selects[0], defined
            yield {**element, "subquery": selects[1:]}, own
        else:
            yield element, defined
        defined = own
    return defined


def _source(noted: set[str], function: dict[str, Any]) -> Visits:
    """A function that stands for a table. A query in its arguments is one of its own: it sees no WITH around it."""
    noted.add(function["name"])
    yield {**function, "type": "TableFunction"}, frozenset()


def _note_table(tree: Tree, node: Mapping[str, Any], defined: frozenset[str], *kinds: str) -> None:
    parameters: Iterator[Mapping[str, Any]] = iter(node.get("children", []))
    parts = tuple(
        NamePart(part) if part else NamePart(str(next(parameters, node).get("name", "")), is_parameter=True)
        for part in node.get("name_parts", [node["name"]])
    )
    is_defined = (
        len(parts) == 1 and not parts[0].is_parameter and any(parts[0].text + kind in defined for kind in kinds)
    )
    if not is_defined:
        tree.tables.add(parts)
