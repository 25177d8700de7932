"""The names that statements may use, and whose they are: names.tsv, read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final, Literal

Who = Literal["guest", "owner", "nobody"]

_TABLE: Final = Path(__file__).with_name("names.tsv")


@cache
def names(who: Who, *kinds: str) -> frozenset[str]:
    """The names of these kinds (function, table function, system table, ...) that are `who`'s, as written."""
    rows = (line.split("\t") for line in _TABLE.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return frozenset(name for whose, kind, _, list_ in rows if whose == who and kind in kinds for name in list_.split())


@cache
def lowered(who: Who, *kinds: str) -> frozenset[str]:
    """The same in lower case. No two names that the table treats differently differ in case alone; a test looks."""
    return frozenset(name.lower() for name in names(who, *kinds))


def is_guests_function(name: str) -> bool:
    """Whether a guest may call it: a function, or an aggregate function with any of the engine's combinators."""
    return name.lower() in lowered("guest", "function", "grammar") or _is_guests_aggregate(name.lower())


def _is_guests_aggregate(name: str) -> bool:
    return name in lowered("guest", "aggregate") or any(
        name.endswith(combinator) and _is_guests_aggregate(name.removesuffix(combinator))
        for combinator in lowered("guest", "combinator")
    )
