"""The pages that recipients see by axe's rules: each of them, in every language, in light, in dark and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from fastapi import FastAPI, Response

from ingest.pages.pages import Pages
from schemas.languages import WORDS
from schemas.settings import Settings
from tests.ingest.pages.test_pages import PAGES
from tests.support.axe import AXE, MISSING, serious
from tests.support.browser import CHROMIUM, Browser, chromium
from tests.support.served import served

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.skipif(not AXE.exists(), reason=MISSING),
]

LANGUAGES = sorted(path.stem for path in WORDS.glob("*.toml"))
COLORS = ("", "#ffe14d", "#777777")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Every page at /COLOR/LANGUAGE/NAME, the colour by its place in COLORS, with its own headers."""
    made = [Pages(Settings(_env_file=None, brand="Garden & Shop", brand_color=color)) for color in COLORS]
    app = FastAPI()

    @app.get("/{color}/{language}/{name}")
    def page(color: int, language: str, name: str) -> Response:
        told = made[color].page(name, language, until=date(2026, 12, 30), lists=("Seeds", "Tools"), left="Seeds")
        return Response(told, headers=made[color].headers, media_type="text/html")

    with served(app) as url:
        yield url


def found_on(browser: Browser, url: str, **look: bool) -> list[str]:
    page = browser.page()
    page.look(width=390 if look.get("phone") else 1440, height=844, **look)
    page.open(url)
    page.wait(f"location.href === '{url}' && document.readyState === 'complete'")
    assert page.value("document.querySelectorAll('h1').length") == 1
    found = serious(page)
    page.close()
    return found


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious_on_a_recipients_page(browser: Browser, url: str, name: str) -> None:
    for look in ({}, {"dark": True}, {"phone": True}):
        assert found_on(browser, f"{url}/0/en/{name}", **look) == []
    for color in range(1, len(COLORS)):
        assert found_on(browser, f"{url}/{color}/en/{name}") == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_nothing_serious_in_a_language(browser: Browser, url: str, language: str) -> None:
    for name in PAGES:
        assert found_on(browser, f"{url}/0/{language}/{name}") == []
