"""A board's questions in one round: those that are parts of one view are answered by asking that view once.

A part is a view that gives the rows of another that have one value in one column, in the same order. Grafana asks it by
its name; the page asks the whole, because a view costs what it expands to, and each part would pay for it again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse.queries import VIEWS, Query

_CALL = re.compile(r"SELECT \*\nFROM (\w+)\(")
_CHOICE = re.compile(r"\nWHERE (?P<column>\w+) = '(?P<value>\w+)'\nORDER BY [^\n]+\nLIMIT (?P<limit>\d+)")
_LIMIT = re.compile(r"\nLIMIT (\d+)$")


@dataclass(frozen=True)
class Part:
    """Which rows of `whole`, at most `limit`. The whole has at most `most`: with so many it may lack rows of a part."""

    whole: Query
    most: int
    column: str
    value: str
    limit: int

    def of(self, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The part's rows among those of the whole."""
        return [row for row in rows if row[self.column] == self.value][: self.limit]


def _part(view: Query) -> Part | None:
    call = _CALL.match(view.definition)
    whole = VIEWS.get(call[1]) if call else None
    if whole is None or not (most := _LIMIT.search(whole.definition)):
        return None
    asked = f"SELECT *\nFROM {whole.source}"
    choice = _CHOICE.fullmatch(view.definition.removeprefix(asked)) if view.definition.startswith(asked) else None
    return Part(whole, int(most[1]), choice["column"], choice["value"], int(choice["limit"])) if choice else None


PARTS = {name: part for name, view in VIEWS.items() if (part := _part(view))}


def gathered(queries: Sequence[Query]) -> list[Query]:
    """The queries, with the whole in place of two parts of it or more."""
    parts = Counter(PARTS[query.name].whole.name for query in queries if query.name in PARTS)
    asked = {}
    for query in queries:
        part = PARTS.get(query.name)
        one = part.whole if part and parts[part.whole.name] > 1 else query
        asked[one.name] = one
    return list(asked.values())


def apart(queries: Sequence[Query], answers: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The answers of a round of what `gathered` gave, by the queries' own names. One is missing where the whole had as
    many rows as it may have: ask it by itself."""
    found = {}
    for query in queries:
        if query.name in answers:
            found[query.name] = answers[query.name]
            continue
        part = PARTS[query.name]
        answer = answers[part.whole.name]
        if "rows" not in answer:
            found[query.name] = answer
        elif len(answer["rows"]) < part.most:
            found[query.name] = {"rows": part.of(answer["rows"])}
    return found
