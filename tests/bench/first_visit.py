"""From a link to the first chart, and how many bytes that takes: the page in a browser that was never there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from dashboards.boards import BOARDS
from dashboards.panels import PanelKind
from tests.bench.answering import is_ready
from tests.bench.broker import deployment
from tests.bench.figures import Ratio, Samples, Section, Table
from tests.bench.storing import database
from tests.bench.workshop import Workshop, free_port, python
from tests.dashboards.hours import insert_hours
from tests.dashboards.month import insert_month
from tests.support.browser import CHROMIUM, Browser, chromium

_PROMISED_MS = 1_000.0
_PROMISED_KB = 450.0
_ROUNDS = 7
_CHOSEN = {"campaign": "&campaign=spring-launch"}
_DRAWN = [board for board in BOARDS if any(panel.kind is PanelKind.TIME_SERIES for panel in board.panels)]

# When the first canvas of the board was painted, in ms since the visitor followed the link.
_WATCH = """new MutationObserver((_, observer) => {
  if (!document.querySelector('#board canvas')) return;
  observer.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.firstChart = performance.now(); }));
}).observe(document, {childList: true, subtree: true})"""
_WHOLE = "window.firstChart && document.querySelector('#board')?.getAttribute('aria-busy') === 'false'"
_BYTES = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
  .reduce((sum, entry) => sum + entry.transferSize, 0)"""


@dataclass(frozen=True, slots=True)
class Visit:
    """One first visit: milliseconds to the first chart, and kilobytes (of 1,000 bytes) that came, heads included."""

    chart_ms: float
    kilobytes: float


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Visit each board that has charts, board after board, round after round."""
    section = Section(
        title="From a link to the first chart",
        how=(
            "A month of three campaigns is in the embedded ClickHouse. A headless Chromium with an empty cache follows a link "
            "to a board; the clock runs from there until the first chart is painted, and what came over the line by then or "
            "right after is counted, compressed as it came. Ingest has a core; broker, ClickHouse and Chromium share "
            "the other. Each board is visited once before, uncounted: the stack is warm, the browser is not."
        ),
        command="python -m tests.bench --only page",
    )
    if CHROMIUM is None:
        section.missing.append("Not measured: no chromium here.")
        return section
    visits: dict[str, list[Visit]] = {board.key: [] for board in _DRAWN}
    with _page(workshop) as url, chromium() as browser:
        for number in range(2 if quick else _ROUNDS + 1):
            for board in _DRAWN:
                visit = _visit(browser, f"{url}/?board={board.key}{_CHOSEN.get(board.key, '')}&timezone=UTC")
                if number:
                    visits[board.key].append(visit)
                    print(f"  {board.title}: {visit.chart_ms:.0f} ms, {visit.kilobytes:.0f} kB", flush=True)
    rows = []
    for board in _DRAWN:
        chart = Samples(tuple(visit.chart_ms for visit in visits[board.key]))
        taken = Samples(tuple(visit.kilobytes for visit in visits[board.key]))
        rows.append((board.title, f"{chart.middle:.0f}", f"{chart.spread:.0%}", f"{taken.middle:.0f}"))
        section.ratios += [
            Ratio(f"1 s / first chart of {board.title}", Samples(tuple(_PROMISED_MS / ms for ms in chart.values)), 1.0),
            Ratio(f"450 kB / {board.title}", Samples(tuple(_PROMISED_KB / kb for kb in taken.values)), 1.0),
        ]
    section.tables.append(Table(("board", "first chart, ms", "spread", "first visit, kB"), rows))
    return section


@contextlib.contextmanager
def _page(workshop: Workshop) -> Iterator[str]:
    """Ingest with the month behind it; yields its URL."""
    with deployment(workshop) as made:
        made.with_(ingest_port=free_port())
        with database(workshop, made) as client:
            _fill(client)
            command = python("-m", "sendlens", "ingest")
            with workshop.running("ingest", command, core=workshop.server_core, env=made.env) as job:
                workshop.await_(job, lambda: is_ready(made.settings.ingest_port))
                yield f"http://127.0.0.1:{made.settings.ingest_port}"


def _fill(client: Client) -> None:
    now = datetime.now(UTC)
    insert_month(client, now)
    insert_hours(client, now)


def _visit(browser: Browser, url: str) -> Visit:
    page = browser.page()
    page.look()
    page.send("Network.clearBrowserCache")
    page.send("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
    page.open(url)
    page.wait(_WHOLE)
    visit = Visit(page.value("window.firstChart"), page.value(_BYTES) / 1000)
    page.close()
    return visit
