"""Takes the pictures of `docs/img/`: `python -m tests.dashboards.pictures`. Looks at the page as a viewer would."""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI

from clickhouse.migrate import migrate
from clickhouse.store import connect
from dashboards.page import router
from tests.dashboards.conftest import settings_for
from tests.dashboards.month import insert_month
from tests.support.browser import CHROMIUM, chromium
from tests.support.processes import ROOT, start_clickhouse
from tests.support.served import served

FOLDER = ROOT / "docs" / "img"
PICTURES: dict[str, dict[str, int | bool]] = {
    "overview": {},
    "overview-dark": {"dark": True},
    "overview-phone": {"width": 390, "height": 844, "phone": True},
}


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
                insert_month(client, datetime.now(UTC))
            app = FastAPI()
            app.include_router(router(settings))
            with served(app) as url, chromium() as browser:
                for name, look in PICTURES.items():
                    page = browser.page()
                    page.look(**look)  # type: ignore[arg-type]
                    page.open(url)
                    page.wait("document.querySelector('#panel-activity canvas')")
                    page.picture(FOLDER / f"{name}.png")
                    page.close()
                    print(FOLDER / f"{name}.png")
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
