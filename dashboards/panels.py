"""Boards as data: the query, how its answer is shown, and what it means, once for Grafana and for our own page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from clickhouse.queries import Query
from dashboards.variables import CAMPAIGN, Variable


class PanelKind(StrEnum):
    """How a panel shows its rows."""

    STAT = "stat"  # the last row; the row before it, if any, is what it is compared with
    TIME_SERIES = "time-series"
    BAR = "bar"  # a horizontal bar, or a group of them, per row
    TABLE = "table"
    HISTOGRAM = "histogram"  # a column per row, in the order of the rows
    HEATMAP = "heatmap"  # a coloured cell per row: `label` names its line, `across` its column
    TIMELINE = "timeline"  # what happened, newest first: `label` is the moment; Grafana shows it as a table
    CLICK_MAP = "click-map"  # the variants of the rows, on whose HTML our page draws clicks; Grafana lists them


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


class GoodDirection(StrEnum):
    """In which direction a number should move, for the colour of a change."""

    UP = "up"
    DOWN = "down"
    NEITHER = "neither"


@dataclass(frozen=True)
class Threshold:
    """From this value on the number is shown in this colour."""

    value: float
    color: Color


@dataclass(frozen=True)
class Word:
    """A word that a column of states may hold, and its colour. A pattern where it begins and ends with a slash."""

    text: str
    color: Color


@dataclass(frozen=True)
class Field:
    """A column of the query, shown. `line` draws it as a line where the others are bars; `about` explains it.

    In a table of Grafana's it is `width` pixels wide, 0 for what its unit and title take; one that is `long` holds text
    of any length and gets the room that is left. `words` are what a column of states or verdicts says.

    `missing` stands in a table where there is no number, a dash if it is empty.

    `outcome` is what the emails that it counts have in common (clickhouse/outcomes.py): it leads to them, one by one,
    on the board `recipients`. A row's columns campaign_id, step, variant and link_id narrow them as they do the number.
    """

    column: str
    title: str
    unit: Unit
    about: str = ""
    color: Color = Color.BLUE
    line: bool = False
    thresholds: tuple[Threshold, ...] = ()
    width: int = 0
    long: bool = False
    words: tuple[Word, ...] = ()
    outcome: str = ""
    missing: str = ""


@dataclass(frozen=True)
class RateCounts:
    """The counts behind a rate, as columns of the query: `210 of 498 delivered`."""

    part: str
    whole: str
    noun: str


@dataclass(frozen=True)
class RowLink:
    """Where a row's label leads: to a board with a variable set to the value of a column of the row.

    `board` is a board's key, empty for the board itself. The period and the other choices stay.
    """

    column: str
    sets: Variable
    board: str = ""


@dataclass(frozen=True)
class HeatmapColumns:
    """The columns of a heatmap: the column of the query that places a row, and all its values, in order.

    `lines` is the same with a row for each line, and a column of that name for each value.
    """

    column: str
    title: str
    values: tuple[int, ...]
    lines: Query


@dataclass(frozen=True)
class GridArea:
    """Where a panel sits on Grafana's grid of 24 columns; a row is 30 pixels."""

    x: int
    y: int
    width: int
    height: int

    def overlaps(self, other: GridArea) -> bool:
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
    `link` makes it lead somewhere. `across` is a heatmap's. A stat whose query has no period before is not `compared`.
    `pages` is the query of a table whose rows are too many for one answer: our page asks it for those after a row's
    `place`; `whole` gives all of them, for an export.
    """

    id: int
    key: str
    kind: PanelKind
    title: str
    description: str
    query: Query
    fields: tuple[Field, ...]
    area: GridArea
    no_value: str
    label: Field | None = None
    link: RowLink | None = None
    across: HeatmapColumns | None = None
    of: RateCounts | None = None
    better: GoodDirection = GoodDirection.NEITHER
    stacked: bool = False
    compared: bool = True
    pages: Query | None = None
    whole: Query | None = None

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
