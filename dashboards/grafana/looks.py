"""Checks how a panel looks: its size, its units, and that a table fits a screen, with words in their colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dashboards.grafana.columns import SCREEN, UNITS, room

_Panel = Mapping[str, Any]
_Properties = Mapping[str, Any]

# The least that a panel of a kind can be read in: columns and rows of the grid.
_SMALLEST = {"stat": (3, 4), "table": (8, 5), "barchart": (6, 6), "timeseries": (8, 8)}
_EXACT = "locale"
_RATE = "percentunit"
# Headings under which stands one of a few words, which a reader should know by its colour.
_OF_WORDS = frozenset({"State", "Verdict", "Finding", "Class"})


def wrong(panel: _Panel) -> Iterator[str]:
    """What is wrong with the looks of a panel."""
    least = _SMALLEST.get(panel["type"], (1, 1))
    size = panel["gridPos"]["w"], panel["gridPos"]["h"]
    if size[0] < least[0] or size[1] < least[1]:
        yield f"{size[0]} by {size[1]} is too small to read it: {least[0]} by {least[1]} at least"
    if panel["options"].get("showPercentChange"):
        yield "Grafana's own change compares rows of a series: say the change in the query"
    yield from _units(panel)
    for name, properties in _columns(panel).items():
        yield from (f"{name}: {problem}" for problem in _colours(name, properties))
    # A heatmap is a table of cells, which share the room evenly.
    if panel["type"] == "table" and "minWidth" not in panel["fieldConfig"]["defaults"].get("custom", {}):
        yield from _widths(panel)


def _units(panel: _Panel) -> Iterator[str]:
    """Of the panel, and of its columns."""
    units = [panel["fieldConfig"]["defaults"].get("unit")]
    units += [properties["unit"] for properties in _columns(panel).values() if "unit" in properties]
    for unit in units:
        if unit == "short":
            yield "unit 'short' rounds counts: 5.87 K for 5,869"
        elif unit not in UNITS:
            yield f"unit {unit!r} is not one of {', '.join(sorted(UNITS))}"


def _colours(name: str, properties: _Properties) -> Iterator[str]:
    """A colour says what is printed."""
    mappings = properties.get("mappings", ())
    if name in _OF_WORDS and not mappings:
        yield "its words have no colours"
    results = [one for mapping in mappings if mapping["type"] == "value" for one in mapping["options"].values()]
    results += [mapping["options"]["result"] for mapping in mappings if mapping["type"] == "regex"]
    if any(not result.get("color") for result in results):
        yield "a word has no colour"
    has_limits = len(properties.get("thresholds", {}).get("steps", ())) > 1
    if has_limits and properties.get("unit") == _RATE and properties.get("decimals", 0) < 2:
        yield "a rate with thresholds has fewer than two decimals, so its colour may not agree with it"


def _widths(panel: _Panel) -> Iterator[str]:
    """Every column that is seen has a width, one at least gets the room that is left, and all are on the screen."""
    taken = 0
    growing = False
    for name, properties in _columns(panel).items():
        if properties.get("custom.hidden"):
            continue
        width = properties.get("custom.width") or properties.get("custom.minWidth")
        if not width:
            yield f"{name}: no width, so Grafana gives it 150 pixels"
        growing = growing or "custom.minWidth" in properties
        taken += width or 150
    if not growing:
        yield "no column gets the room that is left"
    there = room(panel["gridPos"]["w"])
    if taken > there:
        yield f"its columns take {taken} pixels, and it has {there} on a screen of {SCREEN}"


def _columns(panel: _Panel) -> dict[str, dict[str, Any]]:
    """What is said of each column, by its name."""
    return {
        override["matcher"]["options"]: {prop["id"]: prop["value"] for prop in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["id"] == "byName"
    }
