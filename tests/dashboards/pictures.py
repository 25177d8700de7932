"""Takes the pictures of `docs/img/`: `python -m tests.dashboards.pictures`. Looks at the page as a viewer would."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastapi import FastAPI

from clickhouse.migrate import migrate
from clickhouse.store import connect
from dashboards.boards import BOARDS
from dashboards.page.page import router
from tests.dashboards.conftest import settings_for
from tests.dashboards.hours import HOURS, insert_hours
from tests.dashboards.month import SHOWN_LEAD, insert_month
from tests.support.browser import CHROMIUM, chromium
from tests.support.processes import ROOT, start_clickhouse
from tests.support.served import served

FOLDER = ROOT / "docs" / "img"
DARK: dict[str, int | bool] = {"dark": True}
# As tall as the board, for a frame that is out of sight is not drawn.
TALL: dict[str, int | bool] = {"height": 4000}
PHONE: dict[str, int | bool] = {"width": 390, "height": 844, "phone": True}

# Name of the file, board, more of the URL, how it is looked at.
_LOOKS: tuple[tuple[str, str, str, dict[str, int | bool]], ...] = (
    ("overview-dark", "overview", "", DARK),
    ("overview-phone", "overview", "", PHONE),
    ("lead-phone", "lead", f"&lead={SHOWN_LEAD}", PHONE),
)
_CHOSEN = {
    "campaign": "&campaign=spring-launch",
    "recipients": "&campaign=spring-launch&step=2&outcome=replied",
    "lead": f"&lead={SHOWN_LEAD}",
    "pipeline": f"&since=now-{HOURS}h",
}


def pictures() -> Iterator[tuple[str, str, dict[str, int | bool]]]:
    """Name of the file, query of the URL and look, for each picture: every board, and some of them otherwise."""
    for board in BOARDS:
        look = TALL if board.key == "campaign" else {}
        yield board.key, f"board={board.key}{_CHOSEN.get(board.key, '')}", look
    keys = {board.key for board in BOARDS}
    for name, key, more, otherwise in _LOOKS:
        if key in keys:
            yield name, f"board={key}{more}", otherwise


def main() -> int:
    """Take them all; 2 without Chromium."""
    if CHROMIUM is None:
        print("no chromium here: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        server = start_clickhouse(Path(folder) / "data")
        try:
            settings = settings_for(server.url, "month")
            migrate(settings)
            with connect(settings) as client:
                now = datetime.now(UTC)
                insert_month(client, now)
                insert_hours(client, now + timedelta(minutes=5))  # so that they are all alive in the last picture
            app = FastAPI()
            app.include_router(router(settings))
            with served(app) as url, chromium() as browser:
                for name, query, look in pictures():
                    page = browser.page()
                    page.look(**look)  # type: ignore[arg-type]
                    page.open(f"{url}/?{query}&timezone=UTC")
                    page.wait("document.querySelector('#board').getAttribute('aria-busy') === 'false'")
                    page.wait(
                        "document.querySelectorAll('.canvas').length === document.querySelectorAll('canvas').length"
                    )
                    page.wait(
                        "!document.querySelector('iframe')?.checkVisibility() || performance.getEntriesByType('resource').some(({name}) => name.includes('click-map.html'))"
                    )
                    page.picture(FOLDER / f"{name}.png")
                    page.close()
                    print(FOLDER / f"{name}.png")
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
