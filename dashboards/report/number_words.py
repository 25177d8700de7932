"""Numbers as people read them, as on our page (dashboards/page/static/format.js)."""

from __future__ import annotations

from dashboards.panels import Unit

DASH = "–"
Number = int | float | None


def count(value: Number) -> str:
    """1234 as `1,234`."""
    return DASH if value is None else f"{value:,.0f}"


def rate(value: Number) -> str:
    """0 to 1 as percent, one decimal, two where one would say 0.0%."""
    if value is None:
        return DASH
    percent = value * 100
    return f"{percent:.2f}%" if 0 < percent < 0.1 else f"{percent:.1f}%"


def in_unit(value: Number, unit: Unit) -> str:
    """A count or a rate by its unit."""
    return rate(value) if unit is Unit.RATE else count(value)


def change(now: Number, before: Number, unit: Unit) -> tuple[float, str] | None:
    """How far a number moved, and in words: rates in percentage points, counts in percent. None where there is nothing
    to compare with."""
    if now is None or before is None:
        return None
    if unit is Unit.RATE:
        points = (now - before) * 100
        return points, f"{_signed(points, 1)} pp"
    if before == 0:
        return None
    percent = (now / before - 1) * 100
    return percent, f"{_signed(percent, 1 if abs(percent) < 10 else 0)}%"


def _signed(number: float, decimals: int) -> str:
    text = f"{abs(number):,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        return f"±{text}"
    return f"{'+' if number > 0 else '−'}{text}"
