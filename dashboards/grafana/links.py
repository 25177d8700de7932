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
    yield from _forgotten(parts, known & theirs)
    for part in parts:
        yield from _wrong_part(part, known & theirs, theirs, columns, found["uid"])


def _wrong_part(part: str, shared: set[str], theirs: set[str], columns: set[str], uid: str) -> Iterator[str]:
    """What is wrong with one thing that a link to the board `uid` hands over."""
    if sets := _SET.fullmatch(part):
        if sets["name"] not in theirs:
            yield f"its link sets {sets['name']}, which {uid} does not offer"
        if sets["column"] not in columns:
            yield f"its link takes {sets['column']}, which its query does not give"
    elif kept := _KEPT.fullmatch(part):
        if kept["name"] not in shared:
            yield f"its link keeps {kept['name']}, which not both boards offer"
    elif part != "${__url_time_range}":
        yield f"its link says {part}, which is not known"


def _forgotten(parts: list[str], shared: set[str]) -> Iterator[str]:
    """What a link does not keep: the period, the datasource, and the choices that both boards offer."""
    if "${__url_time_range}" not in parts:
        yield "its link forgets the period"
    if "${datasource:queryparam}" not in parts:
        yield "its link forgets the datasource"
    named = {one["name"] for part in parts if (one := _SET.fullmatch(part) or _KEPT.fullmatch(part))}
    for name in sorted(shared - named - {"datasource"}):
        yield f"its link forgets the choice of {name}, which both boards offer"


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
    head, _, _ = raw_sql.partition("\nFROM ")
    for column in head.removeprefix("SELECT").split(","):
        if found := _COLUMN.fullmatch(column.strip()):
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
