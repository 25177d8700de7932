"""What a client is asked to do, and what it gives back: the same words for every client, in JSON for other languages.

A value is comparable when times are seconds since 1970, days YYYY-MM-DD, and what JSON has no word for is text.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One thing to do: `query`, `prepared`, `insert`, `cancel` (leave after the first rows) or `metadata`."""

    do: str
    sql: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    rows: Sequence[Sequence[Any]] = ()
    values: Sequence[Any] = ()
    table: str = ""


@dataclass(frozen=True)
class Plan:
    """Steps for one connection; `properties` are the driver's own."""

    address: str
    user: str
    password: str
    database: str
    steps: Sequence[Step]
    compression: str = "none"
    properties: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        return json.dumps(asdict(self))


@dataclass
class Result:
    """What a step gave; `error` is the client's own text."""

    columns: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    error: str = ""


def comparable(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Rows in an order of their own, numbers to nine digits: engines sum in any order, and clients know few types."""
    return sorted(json.dumps([_plain(value) for value in row], sort_keys=True) for row in rows)


def _plain(value: Any) -> Any:
    match value:
        case bool():
            return int(value)
        case int() | float():
            return f"{value:.9g}"
        case str():
            return _number(value)
        case list() | tuple():
            return [_plain(one) for one in value]
        case dict():
            return {str(_plain(key)): _plain(one) for key, one in value.items()}
    return value


def _number(text: str) -> str:
    """A client may give a number as text, and an address in full; a text of digits then still equals itself."""
    for read in (lambda: f"{float(text):.9g}", lambda: ipaddress.ip_address(text).compressed):
        with contextlib.suppress(ValueError):
            return read()
    return text
