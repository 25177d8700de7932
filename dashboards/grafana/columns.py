"""How a column looks in Grafana: its unit in Grafana's words, its digits, its width, the colours of its words."""

from __future__ import annotations

from typing import Any

from dashboards.panels import Color, Field, GoodDirection, Panel, Unit

# Counts are exact: Grafana's `short` writes 5.87 K for 5,869.
_UNITS = {Unit.COUNT: "locale"}
_SHORT_TIME = "time:D MMM HH:mm"  # of a column of moments that is narrower than a whole one needs
UNITS = frozenset({_SHORT_TIME, *(_UNITS.get(unit, unit.value) for unit in Unit)})

SCREEN = 1400  # pixels across, on which all columns of a table are to be seen
GRID_COLUMNS = 24
_MARGIN, _GAP, _FRAME = 16, 8, 16  # pixels: beside the board, between panels, around a table with its scroll bar
# Of a letter of a heading, and beside it; and the least that a column of that unit takes: 1,234,567 and 100.00% fit.
_LETTER, _BESIDE = 7, 22
_LEAST = {
    Unit.COUNT: 76,
    Unit.RATE: 72,
    Unit.TEXT: 110,
    Unit.SECONDS: 90,
    Unit.TIME: 160,
    Unit.BYTES: 84,
    Unit.PER_SECOND: 84,
}
_LEAST_LONG = 140

CHANGE = "Change"


def unit(field: Field) -> str:
    """The field's unit as Grafana calls it."""
    if field.unit is Unit.TIME and 0 < field.width < _LEAST[Unit.TIME]:
        return _SHORT_TIME
    return _UNITS.get(field.unit, field.unit.value)


def decimals(field: Field) -> int | None:
    """Digits after the point: two where a colour depends on a rate of which a tenth of a percent is much."""
    if field.unit is not Unit.RATE:
        return None
    return 2 if field.thresholds else 1


def shown(field: Field) -> str:
    """The column in SQL: a rate with thresholds is rounded as it is printed, so that its colour agrees with it."""
    digits = decimals(field)
    return f"round({field.column}, {digits + 2})" if field.thresholds and digits else field.column


def room(columns: int) -> int:
    """Pixels for the columns of a table that is so many of the grid's columns wide."""
    return (SCREEN - 2 * _MARGIN) * columns // GRID_COLUMNS - _GAP - _FRAME


def width(field: Field) -> int:
    """Pixels that the column takes; the least, where it gets the room that is left."""
    least = _LEAST_LONG if field.long else _LEAST[field.unit]
    return field.width or max(least, _LETTER * len(field.title) + _BESIDE)


def grows(field: Field, panel: Panel) -> bool:
    """Whether the column gets the room that is left: those of long texts, else the one that tells the rows apart."""
    return field.long or (field is panel.label and not any(other.long for other in panel.fields))


def words(field: Field) -> list[dict[str, Any]]:
    """Grafana's value mappings: the words of a state in their colours."""
    exact = {
        word.text: {"text": word.text, "color": word.color.value, "index": place}
        for place, word in enumerate(field.words)
        if not word.text.startswith("/")
    }
    patterns = [
        {
            "type": "regex",
            "options": {"pattern": word.text, "result": {"color": word.color.value, "index": place}},
        }
        for place, word in enumerate(field.words)
        if word.text.startswith("/")
    ]
    none = {
        "type": "special",
        "options": {"match": "null", "result": {"text": field.missing, "index": len(field.words)}},
    }
    return ([{"type": "value", "options": exact}] if exact else []) + patterns + ([none] if field.missing else [])


def change(panel: Panel) -> str:
    """How the number moved against the period before, in SQL: rates in points, others in percent. Empty where there is
    nothing to compare: a text, a moment, or a query of one row."""
    field = panel.fields[0]
    if not panel.compared or field.unit in (Unit.TEXT, Unit.TIME):
        return ""
    before = f"lagInFrame(toNullable({field.column})) OVER (ORDER BY period)"
    if field.unit is Unit.RATE:
        return f"printf('%+.1f points', 100 * ({field.column} - {before}))"
    return f"printf('%+.0f %%', 100 * ({field.column} / nullIf({before}, 0) - 1))"


def change_override(panel: Panel) -> dict[str, Any]:
    """How the change looks: green where it is for the better, but not where it rounds to nothing."""
    up, down = {
        GoodDirection.UP: (Color.GREEN, Color.VERMILLION),
        GoodDirection.DOWN: (Color.VERMILLION, Color.GREEN),
    }.get(panel.better, (Color.GREY, Color.GREY))
    moved = [
        {"type": "regex", "options": {"pattern": pattern, "result": {"color": color.value, "index": place}}}
        for place, (pattern, color) in enumerate((("/^\\+.*[1-9]/", up), ("/^-.*[1-9]/", down)))
    ]
    return {
        "matcher": {"id": "byName", "options": CHANGE},
        "properties": [
            {"id": "unit", "value": Unit.TEXT.value},
            {"id": "noValue", "value": "–"},
            {"id": "thresholds", "value": {"mode": "absolute", "steps": [{"value": None, "color": Color.GREY.value}]}},
            {"id": "mappings", "value": moved},
        ],
    }
