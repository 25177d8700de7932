"""Every question asked of ClickHouse, read from `views/*.sql` and `queries/*.sql` once: a number is defined there and
nowhere else.

A file holds blocks. `-- view: x` starts a view that ClickHouse keeps (views.py): everybody asks it by its name, with
its parameters. `-- name: x` starts a query that only the program asks. The comment that follows says what it means,
denominators included. Parameters are ClickHouse's own (`{since:DateTime64(3, 'UTC')}`): the server binds them, and no
value is ever pasted into SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from clickhouse.inlining import PARAMETER, select
from schemas.errors import Misconfigured

FOLDER = Path(__file__).with_name("queries")
VIEWS_FOLDER = Path(__file__).with_name("views")

_TAG = re.compile(r"^-- (?P<kind>name|view): *(?P<name>\w+) *$", re.MULTILINE)


@dataclass(frozen=True)
class Query:
    """One named query. `about` is its comment; `parameters` maps each parameter's name to its ClickHouse type.

    Of a view, `definition` is what it selects, and `sql` asks it by its name. `expanded` is that with the
    SELECTs of the views that it calls, of `views`, in their places, as ClickHouse keeps it.
    """

    name: str
    sql: str
    about: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    definition: str = ""
    expanded: str = ""
    views: Mapping[str, Query] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def quiet(self) -> str:
        """`expanded` for a period of which nothing is written (see the query `written_in_period`), empty where it is
        the same. Made when it is first asked for: most processes never do."""
        quiet = select(self, self.views, quiet=True) if self.expanded else ""
        return "" if quiet == self.expanded else quiet

    @property
    def asked(self) -> str:
        """What the program sends: of a view what it selects, because ClickHouse analyses one that is called twice."""
        return self.expanded or self.sql

    @property
    def source(self) -> str:
        """What stands after FROM, to have its rows."""
        if self.definition:
            return called(self.name, self.parameters)
        body = "\n".join("    " + line if line else line for line in self.sql.split("\n"))
        return f"(\n{body}\n)"

    @property
    def of_quiet(self) -> Query:
        """The same question of a period in which nothing happened: the same answer, for half of the planning."""
        return replace(self, expanded=self.quiet) if self.quiet else self

    def rewritten(self, sql: str) -> Query:
        """The same question in other words, which no view has."""
        return replace(self, sql=sql, definition="", expanded="")

    def values(self, given: Mapping[str, object]) -> dict[str, object]:
        """Of the values given, those that this query takes. Raises KeyError when one is missing."""
        return {name: given[name] for name in self.parameters}


def read(texts: Iterable[tuple[str, str]], what: str = "name") -> dict[str, Query]:
    """Read (file name, text) pairs: their queries, or their views. Raises Misconfigured on a name used twice,
    ValueError on a view that calls another with what it does not take."""
    blocks: dict[tuple[str, str], str] = {}
    for file, text in texts:
        tags = list(_TAG.finditer(text))
        for tag, end in zip(tags, [*(tag.start() for tag in tags[1:]), len(text)], strict=True):
            key = (tag["kind"], tag["name"])
            if key in blocks:
                raise Misconfigured(f"{file}: {tag['kind']} {tag['name']} is there twice")
            blocks[key] = text[tag.end() : end].strip("\n")
    found = {name: _query(name, body) for (kind, name), body in blocks.items() if kind == what}
    if what != "view":
        return found
    views = {name: _of_view(query) for name, query in found.items()}
    return {name: replace(view, expanded=select(view, views), views=views) for name, view in views.items()}


def called(view: str, parameters: Mapping[str, str]) -> str:
    """A view's name, with its parameters to be bound."""
    if not parameters:
        return view
    given = ",\n".join(f"    {name} = {{{name}:{type}}}" for name, type in parameters.items())
    return f"{view}(\n{given}\n)"


def get(name: str) -> Query:
    """The query of that name. Raises Misconfigured when it is missing: call it at start, not at the first request."""
    try:
        return ALL[name]
    except KeyError:
        raise Misconfigured(f"there is no query named {name} in clickhouse/queries or clickhouse/views") from None


def _query(name: str, body: str) -> Query:
    about, sql = _split(body)
    sql = sql.rstrip().removesuffix(";")
    if not about or not sql:
        raise Misconfigured(f"query {name} needs a comment that defines it, then its SQL")
    return Query(name, sql, about, {found["name"]: found["type"] for found in PARAMETER.finditer(_code(sql))})


def _of_view(query: Query) -> Query:
    asked = f"SELECT *\nFROM {called(query.name, query.parameters)}"
    return replace(query, sql=asked, definition=query.sql)


def _split(body: str) -> tuple[str, str]:
    """The comment at the head of a block, in one line, and the rest."""
    lines = body.split("\n")
    comment = 0
    while comment < len(lines) and lines[comment].startswith("--"):
        comment += 1
    about = " ".join(line.removeprefix("--").strip() for line in lines[:comment])
    return about, "\n".join(lines[comment:]).strip("\n")


def _code(sql: str) -> str:
    return re.sub(r"--.*", "", sql)


TEXTS = [(path.name, path.read_text()) for folder in (VIEWS_FOLDER, FOLDER) for path in sorted(folder.glob("*.sql"))]
VIEWS = read(TEXTS, "view")
ALL = read(TEXTS) | VIEWS
