"""Checks what joins rendered boards: variables that queries and links name must be there, and boards linked to too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dashboards.grafana import DATASOURCE

_NAMED = re.compile(r"\$\{(?P<name>\w+)")
_BOARD = re.compile(r"/d/(?P<uid>[^?]+)\?(?P<asked>.+)")
_SET = re.compile(r"var-(?P<name>\w+)=\$\{__data\.fields\.(?P<column>\w+):percentencode\}")
_KEPT = re.compile(r"\$\{(?P<name>\w+):queryparam\}")
_COLUMN = re.compile(r'(?:.* AS )?"?(?P<name>[^"]+?)"?,?')


def wrong(model: Mapping[str, Any], boards: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the ways in and out of a board; `boards` are all there are."""
    known = variables(model)
    for where, raw_sql in queries(model):
        for name in sorted({found["name"] for found in _NAMED.finditer(raw_sql)}):
            if not name.startswith("__") and name not in known:
                yield f"{where}: its query asks for the variable {name}, which the board does not offer"
    if not any(_leads_on(link, model) for link in model.get("links", ())):
        yield "no list of the other boards that keeps time and variables"
    there = {other["uid"]: other for other in boards.values()}
    for panel in model["panels"]:
        columns = {name for target in panel.get("targets", ()) for name in _columns(target["rawSql"])}
        for url in _urls(panel):
            for problem in _wrong_link(url, known, columns, there):
                yield f"panel {panel.get('title')}: {problem}"


def variables(model: Mapping[str, Any]) -> set[str]:
    """The names of a board's variables."""
    return {variable["name"] for variable in model["templating"]["list"]}


def _wrong_link(url: str, known: set[str], columns: set[str], there: Mapping[str, Any]) -> Iterator[str]:
    found = _BOARD.fullmatch(url)
    if not found or found["uid"] not in there:
        yield f"it links to {found['uid'] if found else url}, which is no board"
        return
    theirs = variables(there[found["uid"]])
    parts = found["asked"].split("&")
    if "${__url_time_range}" not in parts:
        yield "its link forgets the period"
    if "${datasource:queryparam}" not in parts:
        yield "its link forgets the datasource"
    for part in parts:
        if sets := _SET.fullmatch(part):
            if sets["name"] not in theirs:
                yield f"its link sets {sets['name']}, which {found['uid']} does not offer"
            if sets["column"] not in columns:
                yield f"its link takes {sets['column']}, which its query does not give"
        elif kept := _KEPT.fullmatch(part):
            if kept["name"] not in known & theirs:
                yield f"its link keeps {kept['name']}, which not both boards offer"
        elif part != "${__url_time_range}":
            yield f"its link says {part}, which is not known"


def _leads_on(link: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    return bool(
        link.get("type") == "dashboards"
        and link.get("keepTime")
        and link.get("includeVars")
        and set(link.get("tags", ())) & set(model.get("tags", ()))
    )


def queries(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every SQL of a board, and where it stands."""
    for variable in model["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]["rawSql"]
    for mark in model["annotations"]["list"]:
        if mark["datasource"] == DATASOURCE:
            yield f"annotation {mark['name']}", mark["target"]["rawSql"]
    for panel in model["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel.get('title')}", target["rawSql"]


def _columns(raw_sql: str) -> Iterator[str]:
    """What a target's `SELECT` gives, by name."""
    head, _, _ = raw_sql.partition("\nFROM\n(\n")
    for line in head.split("\n")[1:]:
        if found := _COLUMN.fullmatch(line.strip()):
            yield found["name"]


def _urls(part: Any) -> Iterator[str]:
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "url" and isinstance(value, str):
                yield value
            else:
                yield from _urls(value)
    elif isinstance(part, list):
        for item in part:
            yield from _urls(item)
