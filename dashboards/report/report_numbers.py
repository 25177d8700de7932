"""Asks the Overview's panels for a report: the same views and words, and how each number has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client

from clickhouse.query_client import QueryClient, QueryResult
from dashboards.boards.overview import OVERVIEW
from dashboards.panels import Color, Field, GoodDirection, Panel, PanelKind, Unit
from dashboards.report.number_words import change, count, in_unit
from dashboards.report.report_period import ReportPeriod
from schemas.errors import Retry

Row = Mapping[str, Any]

_CARDS = tuple(panel for panel in OVERVIEW.panels if panel.kind is PanelKind.STAT)
_WHOLE = ("activity", "funnel", "campaigns", "senders")
_PANELS = {panel.key: panel for panel in OVERVIEW.panels if panel.key in _WHOLE}


@dataclass(frozen=True)
class Card:
    """One number of the Overview. `beside` is the second number of its panel with its name, `counts` what it is counted
    from or why there is none, `moved` the change against the period before, and whether that is `good` or `bad`."""

    title: str
    value: str
    counts: str
    beside: str = ""
    moved: str = ""
    tone: str = ""
    warning: str = ""
    color: Color | None = None


@dataclass(frozen=True)
class Report:
    """The Overview of a period. The rows are those of its views."""

    period: ReportPeriod
    cards: tuple[Card, ...]
    activity: Sequence[Row]
    funnel: Sequence[Row]
    campaigns: Sequence[Row]
    senders: Sequence[Row]

    @property
    def headline(self) -> str:
        """The two numbers that stand in the subject."""
        cards = {card.title: card for card in self.cards}
        return f"{cards['Emails sent'].value} sent, reply rate {cards['Reply rate'].value}"


async def ask(connect: Callable[[], Client], period: ReportPeriod) -> Report:
    """The report of a period. Raises Retry when ClickHouse does not answer or a question fails."""
    reader = QueryClient(connect)
    cards = list({panel.query.name: panel.query for panel in _CARDS}.values())
    wanted = [*cards, *(panel.query for panel in _PANELS.values())]
    try:
        now, before = await asyncio.gather(
            reader.answers("now", wanted, period.asked.parameters()),
            reader.answers("before", cards, period.before.asked.parameters()),
        )
    finally:
        reader.close()
    rows = {key: _rows(now, panel.query.name) for key, panel in _PANELS.items()}
    made = tuple(_card(panel, _last(now, panel), _last(before, panel), period.unit) for panel in _CARDS)
    return Report(period=period, cards=made, **rows)


def _rows(answers: Mapping[str, QueryResult], query: str) -> Sequence[Row]:
    answer = answers[query]
    if "error" in answer:
        raise Retry(f"ClickHouse does not answer {query}: {answer['error']}")
    rows: Sequence[Row] = answer["rows"]
    return rows


def _last(answers: Mapping[str, QueryResult], panel: Panel) -> Row:
    """The row of the period itself: a stat's view has the one before it as well."""
    rows = _rows(answers, panel.query.name)
    return rows[-1] if rows else {}


def _card(panel: Panel, now: Row, before: Row, unit: str) -> Card:
    first, *others = panel.fields
    amount, was = now.get(first.column), before.get(first.column)
    counts, has_number = _counts(panel, now, was, unit)
    moved = change(amount, was, first.unit) if has_number else None
    reached = _reached(first, amount)
    return Card(
        title=panel.title,
        value=in_unit(amount, first.unit),
        counts=counts,
        beside="".join(f"{other.title} {in_unit(now.get(other.column), other.unit)}" for other in others),
        moved=moved[1] if moved else "",
        tone=_tone(moved[0], panel.better) if moved else "",
        warning=f"{reached[0]:.0%} or more" if reached else "",
        color=reached[1] if reached else None,
    )


def _counts(panel: Panel, row: Row, was: float | None, unit: str) -> tuple[str, bool]:
    """What stands beneath a number, and whether there is one: none of none is no number, as on the page."""
    first = panel.fields[0]
    amount = row.get(first.column)
    whole = row.get(panel.of.whole, 0) if panel.of else 0
    if amount is None and row.get("delivered") == 0:
        return "No emails delivered", False
    if amount is None or (first.unit is Unit.COUNT and amount == 0 and not whole):
        return panel.no_value, False
    if panel.of:
        return f"{count(row[panel.of.part])} of {count(whole)} {panel.of.noun}", True
    return f"{in_unit(was, first.unit)} the {unit} before", True


def _tone(amount: float, better: GoodDirection) -> str:
    direction = round(amount, 1)
    if not direction or better is GoodDirection.NEITHER:
        return ""
    return "good" if (direction > 0) == (better is GoodDirection.UP) else "bad"


def _reached(field: Field, amount: float | None) -> tuple[float, Color] | None:
    """The highest limit that the number has reached, and its colour."""
    reached = [step for step in field.thresholds if step.value > 0 and amount is not None and amount >= step.value]
    return (reached[-1].value, reached[-1].color) if reached else None


def cell(row: Row, field: Field) -> str:
    """A number of a table's row; where there is none, the word that the board has for it."""
    value = row.get(field.column)
    return field.missing if value is None and field.missing else in_unit(value, field.unit)
