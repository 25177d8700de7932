"""Every question asked of ClickHouse, read from `queries/*.sql` once: a metric is defined there and nowhere else.

A file holds blocks. `-- name: x` starts a query; the comment that follows says what it means, denominators included.
`-- fragment: x` starts a part that several queries share, put in place of a line `-- include: x`, so that a rate is
written once even when three queries give it; a fragment may include others. Parameters are ClickHouse's own
(`{since:DateTime64(3, 'UTC')}`): the server binds them, and no value is ever pasted into SQL. `-- view: x` is a
question that ClickHouse itself keeps, for analysts (views.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import Misconfigured

FOLDER = Path(__file__).with_name("queries")

PARAMETER = re.compile(r"\{(?P<name>[A-Za-z_]\w*):(?P<type>[^{}]+)\}")
_TAG = re.compile(r"^-- (?P<kind>name|view|fragment): *(?P<name>\w+) *$", re.MULTILINE)
_INCLUDE = re.compile(r"^(?P<indent> *)-- include: *(?P<name>\w+) *$", re.MULTILINE)


@dataclass(frozen=True)
class Query:
    """One named query. `about` is its comment; `parameters` maps each parameter's name to its ClickHouse type."""

    name: str
    sql: str
    about: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def values(self, given: Mapping[str, object]) -> dict[str, object]:
        """Of the values given, those that this query takes. Raises KeyError when one is missing."""
        return {name: given[name] for name in self.parameters}


def read(texts: Iterable[tuple[str, str]], what: str = "name") -> dict[str, Query]:
    """Read (file name, text) pairs: their queries, or their views. Raises Misconfigured on a name used twice or an
    include of nothing."""
    blocks: dict[tuple[str, str], str] = {}
    for file, text in texts:
        tags = list(_TAG.finditer(text))
        for tag, end in zip(tags, [*(tag.start() for tag in tags[1:]), len(text)], strict=True):
            key = (tag["kind"], tag["name"])
            if key in blocks:
                raise Misconfigured(f"{file}: {tag['kind']} {tag['name']} is there twice")
            blocks[key] = text[tag.end() : end].strip("\n")
    return {name: _query(name, body, blocks) for (kind, name), body in blocks.items() if kind == what}


def get(name: str) -> Query:
    """The query of that name. Raises Misconfigured when there is none: ask at start, not at the first request."""
    try:
        return ALL[name]
    except KeyError:
        raise Misconfigured(f"there is no query named {name} in clickhouse/queries") from None


def _query(name: str, body: str, blocks: Mapping[tuple[str, str], str]) -> Query:
    about, sql = _split(body)
    sql = _with_fragments(name, sql, blocks, ()).rstrip().removesuffix(";")
    if not about or not sql:
        raise Misconfigured(f"query {name} needs a comment that defines it, then its SQL")
    return Query(name, sql, about, {found["name"]: found["type"] for found in PARAMETER.finditer(_code(sql))})


def _with_fragments(name: str, sql: str, blocks: Mapping[tuple[str, str], str], within: tuple[str, ...]) -> str:
    """The SQL with each include replaced by its fragment, and those that the fragment includes by theirs."""

    def put(include: re.Match[str]) -> str:
        fragment = include["name"]
        if ("fragment", fragment) not in blocks:
            raise Misconfigured(f"query {name} includes {fragment}, which is no fragment")
        if fragment in within:
            raise Misconfigured(f"query {name}: fragment {fragment} includes itself")
        _, part = _split(blocks["fragment", fragment])
        part = _with_fragments(name, part, blocks, (*within, fragment))
        return "\n".join(include["indent"] + line if line else line for line in part.split("\n"))

    return _INCLUDE.sub(put, sql)


def _split(body: str) -> tuple[str, str]:
    """The comment at the head of a block, in one line, and the rest."""
    lines = body.split("\n")
    comment = 0
    while comment < len(lines) and lines[comment].startswith("--") and not _INCLUDE.match(lines[comment]):
        comment += 1
    about = " ".join(line.removeprefix("--").strip() for line in lines[:comment])
    return about, "\n".join(lines[comment:]).strip("\n")


def _code(sql: str) -> str:
    return re.sub(r"--.*", "", sql)


_TEXTS = [(path.name, path.read_text()) for path in sorted(FOLDER.glob("*.sql"))]
ALL = read(_TEXTS)
VIEWS = read(_TEXTS, "view")
