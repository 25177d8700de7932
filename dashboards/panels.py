"""Boards as data: what is asked, how the answer is shown, and what it means, once for Grafana and for our own page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from clickhouse.queries import Query
from dashboards.variables import CAMPAIGN, Variable


class Kind(StrEnum):
    """How a panel shows its rows."""

    STAT = "stat"  # the last row; the row before it, if any, is what it is compared with
    TIME_SERIES = "time-series"
    BAR = "bar"  # a horizontal bar, or a group of them, per row
    TABLE = "table"
    HISTOGRAM = "histogram"  # a column per row, in the order of the rows
    HEATMAP = "heatmap"  # a coloured cell per row: `label` names its line, `across` its column
    TIMELINE = "timeline"  # what happened, newest first: `label` is the moment; Grafana shows it as a table


class Unit(StrEnum):
    """Units in Grafana's words."""

    COUNT = "short"
    RATE = "percentunit"  # 0 to 1, shown as percent
    TEXT = "string"
    SECONDS = "s"
    TIME = "dateTimeAsIso"
    BYTES = "bytes"
    PER_SECOND = "cps"


class Color(StrEnum):
    """Hues of Okabe and Ito's palette, which stay apart for colour-blind eyes (https://jfly.uni-koeln.de/color/)."""

    BLUE = "#0072b2"
    SKY = "#56b4e9"
    GREEN = "#009e73"
    ORANGE = "#e69f00"
    VERMILLION = "#d55e00"
    PURPLE = "#cc79a7"
    GREY = "#8a919e"


class Better(StrEnum):
    """Which way a number should move, for the colour of a change."""

    UP = "up"
    DOWN = "down"
    NEITHER = "neither"


@dataclass(frozen=True)
class Threshold:
    """From this value on the number is shown in this colour."""

    value: float
    color: Color


@dataclass(frozen=True)
class Field:
    """A column of the query, shown. `line` draws it as a line where the others are bars; `about` explains it."""

    column: str
    title: str
    unit: Unit
    about: str = ""
    color: Color = Color.BLUE
    line: bool = False
    thresholds: tuple[Threshold, ...] = ()


@dataclass(frozen=True)
class Of:
    """The counts behind a rate, as columns of the query: `210 of 498 delivered`."""

    part: str
    whole: str
    noun: str


@dataclass(frozen=True)
class Link:
    """Where a row's label leads: to a board with a variable set to what a column of the row says.

    `board` is a board's key, empty for the board itself. The period and the other choices stay.
    """

    column: str
    sets: Variable
    board: str = ""


@dataclass(frozen=True)
class Across:
    """The columns of a heatmap: which column of the query says where a row belongs, and what there is, in order."""

    column: str
    title: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Area:
    """Where a panel sits on Grafana's grid of 24 columns; a row is 30 pixels."""

    x: int
    y: int
    width: int
    height: int

    def overlaps(self, other: Area) -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


@dataclass(frozen=True)
class Panel:
    """One question on a board. `id` and `key` are for good: links point at them.

    `label` names the column that tells rows apart: the time of a series, the name of a bar, a table's first column.
    `link` makes it lead somewhere. `across` is a heatmap's.
    """

    id: int
    key: str
    kind: Kind
    title: str
    description: str
    query: Query
    fields: tuple[Field, ...]
    area: Area
    no_value: str
    label: Field | None = None
    link: Link | None = None
    across: Across | None = None
    of: Of | None = None
    better: Better = Better.NEITHER
    stacked: bool = False

    @property
    def columns(self) -> tuple[Field, ...]:
        """All that is shown, the label first."""
        return (self.label, *self.fields) if self.label else self.fields


@dataclass(frozen=True)
class Board:
    """Panels under one heading. `uid` is for good: it is the board's address in Grafana, `key` the one on our page.

    `variables` is what the viewer may choose, and every choice that its queries take. `marks` is a query with the
    columns `time` and `text`: what stands as a line across every panel over time, such as a pause. `needs_emails`:
    before the first email it has nothing to say, and our page says how to send one. `since` is where its period begins
    until the viewer chooses another.
    """

    key: str
    uid: str
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = (CAMPAIGN,)
    marks: Query | None = None
    needs_emails: bool = True
    since: str = "now-30d"
    tags: tuple[str, ...] = ("sendlens",)

    @property
    def queries(self) -> Sequence[Query]:
        """The queries behind the panels and of the marks, each once, in the order of the panels."""
        asked = [panel.query for panel in self.panels] + ([self.marks] if self.marks else [])
        return list({query.name: query for query in asked}.values())
