"""Reads the packaged rule data: tab-separated lines, each with its source, `#` for comments."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

_DATA = files("decisions") / "data"


def rows(name: str, columns: int) -> Iterator[tuple[str, list[str]]]:
    """Each line of a table as (place, fields). Raises ValueError naming the line whose fields are too few or empty."""
    for number, line in enumerate((_DATA / name).read_text(encoding="utf-8").splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != columns or not all(fields):
            raise ValueError(f"{name}:{number}: {columns} fields separated by single tabs are needed, none empty")
        yield f"{name}:{number}", fields
