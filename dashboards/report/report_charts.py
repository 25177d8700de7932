"""The charts of a report as PNG, which every mail client shows; SVG many don't.

Pillow draws them, with the font that it comes with: no font of the machine is needed, and a container has none. That
font knows ASCII alone, so names of people's own making are never drawn. Shapes are drawn larger and made smaller,
which smooths their edges; text is drawn on top. Twice as many pixels as are shown, for sharp screens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

from PIL import Image, ImageDraw, ImageFont

from dashboards.boards.overview import OVERVIEW
from dashboards.panels import Color, Field
from dashboards.report.number_words import count, rate

WIDTH = 560  # pixels as shown; what an email of 600 has between its margins
_SHARP = 2
_SMOOTH = 2
_INK, _FAINT, _GRID, _PAPER = "#24292f", "#59636e", "#e4e7eb", "#ffffff"
_SMALL, _TEXT = 15, 16  # large enough still where a phone shows the picture at 60 %
_LINE = 2.5

Row = Mapping[str, Any]
Point = tuple[float, float]
_ACTIVITY = next(panel.fields for panel in OVERVIEW.panels if panel.key == "activity")


@dataclass(frozen=True)
class Chart:
    """A picture in PNG, its height as shown, and what it says to those who don't see it."""

    png: bytes
    height: int
    alt: str


class _Canvas:
    """A white picture. Coordinates are pixels as shown."""

    def __init__(self, height: int) -> None:
        self._height = height
        self._scale = _SHARP * _SMOOTH
        self._image = Image.new("RGB", (WIDTH * self._scale, height * self._scale), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._texts: list[tuple[Point, str, int, str, str]] = []

    def box(self, left: float, top: float, right: float, bottom: float, color: str) -> None:
        """A filled rectangle; one without an area is left out."""
        scale = self._scale
        if right > left and bottom > top:
            self._draw.rectangle(
                (left * scale, top * scale, max(left * scale, right * scale - 1), max(top * scale, bottom * scale - 1)),
                fill=color,
            )

    def line(self, points: Sequence[Point], color: str) -> None:
        """A line with a dot at each point."""
        scale = self._scale
        self._draw.line(
            [(x * scale, y * scale) for x, y in points], fill=color, width=round(_LINE * scale), joint="curve"
        )
        for x, y in points:
            self._draw.circle((x * scale, y * scale), _LINE * scale, fill=color)

    def text(self, at: Point, text: str, *, size: int = _SMALL, color: str = _FAINT, anchor: str = "lm") -> None:
        """`anchor` says which point of the text `at` is, as Pillow does: left, middle, right; top, middle."""
        self._texts.append((at, text, size, color, anchor))

    def png(self) -> bytes:
        picture = self._image.resize((WIDTH * _SHARP, self._height * _SHARP), Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(picture)
        for (x, y), text, size, color, anchor in self._texts:
            draw.text((x * _SHARP, y * _SHARP), text, font=_font(size), fill=color, anchor=anchor)
        written = BytesIO()
        # Charts have few colours: a palette halves the bytes.
        picture.quantize(128).save(written, "PNG", optimize=True)
        return written.getvalue()


def activity(rows: Sequence[Row], timezone: str) -> Chart | None:
    """What happened when: sent as columns, the rest as lines. None where nothing happened."""
    most = max((row[field.column] for row in rows for field in _ACTIVITY), default=0)
    if not most:
        return None
    height, left, top, bottom = 244, 54, 42, 212
    canvas, ticks = _Canvas(height), _ticks(most)
    _legend(canvas, _ACTIVITY)

    def y(value: float) -> float:
        return bottom - (bottom - top) * value / ticks[-1]

    for tick in ticks:
        canvas.box(left, y(tick) - 0.5, WIDTH, y(tick) + 0.5, _GRID)
        canvas.text((left - 8, y(tick)), count(tick), anchor="rm")
    step = (WIDTH - left) / len(rows)
    middles = [left + step * (at + 0.5) for at in range(len(rows))]
    for field in _ACTIVITY:
        if field.line:
            canvas.line([(x, y(row[field.column])) for x, row in zip(middles, rows, strict=True)], field.color)
        else:
            for x, row in zip(middles, rows, strict=True):
                canvas.box(x - step * 0.3, y(row[field.column]), x + step * 0.3, bottom, field.color)
    for x, text in _times(middles, rows, timezone):
        canvas.text((x, bottom + 18), text, anchor="mm")
    totals = ", ".join(f"{count(sum(row[one.column] for row in rows))} {one.title.lower()}" for one in _ACTIVITY)
    return Chart(canvas.png(), height, f"Activity: {totals}")


def funnel(rows: Sequence[Row]) -> Chart | None:
    """How many emails got how far, by a person's doing; thinner, by anybody's. None where none was sent."""
    whole = max((row["emails"] for row in rows), default=0)
    if not whole:
        return None
    pitch, left, right = 38, 90, 352
    canvas = _Canvas(pitch * len(rows) + 8)
    for at, row in enumerate(rows):
        top = 4 + at * pitch
        length = (right - left) / whole
        has_raw = row["raw_emails"] is not None
        middle = top + (11 if has_raw else 14)
        canvas.text((0, top + 14), row["stage"], size=_TEXT, color=_INK)
        canvas.box(left, middle - 9, left + row["emails"] * length, middle + 9, Color.BLUE)
        if has_raw:
            canvas.box(left, middle + 11, left + row["raw_emails"] * length, middle + 15, Color.GREY)
        canvas.text((right + 12, top + 14), _said(row), size=_TEXT, color=_INK)
    alt = ", ".join(f"{row['stage'].lower()} {_said(row)}" for row in rows)
    return Chart(canvas.png(), pitch * len(rows) + 8, f"Funnel: {alt}")


def _said(row: Row) -> str:
    """`18 = 50.0%`, and by anybody where that is another number."""
    said = count(row["emails"])
    if row["share"] is not None:
        said += f" ({rate(row['share'])})"
    if row["raw_emails"] is not None and row["raw_emails"] != row["emails"]:
        said += f", raw {count(row['raw_emails'])}"
    return said


def _legend(canvas: _Canvas, fields: Sequence[Field]) -> None:
    x = 0.0
    for field in fields:
        canvas.box(x, 8, x + 12, 20, field.color)
        canvas.text((x + 17, 14), field.title, color=_INK)
        x += 17 + _font(_SMALL).getlength(field.title) / _SHARP + 14


def _times(middles: Sequence[float], rows: Sequence[Row], timezone: str) -> list[tuple[float, str]]:
    """Under the columns: days by their weekday, hours by the clock, and no more than there is room for."""
    moments = [datetime.fromisoformat(row["time"]).astimezone(ZoneInfo(timezone)) for row in rows]
    is_by_day = len(moments) < 2 or (moments[1] - moments[0]).total_seconds() > 80_000
    every = 1 if is_by_day else 4
    words = [f"{at:%a} {at.day}" if is_by_day else f"{at:%H:%M}" for at in moments]
    return list(zip(middles[::every], words[::every], strict=True))


def _ticks(most: int) -> list[int]:
    """From 0 to `most` or a little beyond, in four or five round steps of 1, 2 or 5 times a power of ten."""
    power = 10 ** max(0, math.floor(math.log10(most / 4))) if most > 4 else 1
    step = next(power * factor for factor in (1, 2, 5, 10) if most <= 5 * power * factor)
    return list(range(0, most + step, step))


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size * _SHARP)
    if not isinstance(font, ImageFont.FreeTypeFont):  # a Pillow that was built without FreeType
        raise TypeError("Pillow draws no text: install its wheel from PyPI")
    return font
