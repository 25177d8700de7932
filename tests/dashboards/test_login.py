"""Who may see the page: the form, the cookie, keys in headers, and what is refused; over real HTTP and in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from dashboards.page.login import COOKIE, Authenticator
from dashboards.page.page import router
from dashboards.page.sessions import SESSION_SECONDS
from schemas.keys import new_key
from schemas.settings import Settings, load
from tests.support.browser import CHROMIUM, chromium
from tests.support.served import served

KEY = "a key that somebody made up"
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
SCRIPT = {"Accept": "application/json", "Sec-Fetch-Dest": "empty"}
NUMBERS = "/boards/overview.json?since=2026-03-02&until=2026-03-09"


@pytest.fixture
def locked(full: Settings, tmp_path: Path) -> Settings:
    return full.model_copy(update={"api_key": KEY, "data_dir": tmp_path})


@pytest.fixture
def http(locked: Settings) -> Iterator[httpx.Client]:
    app = FastAPI()
    app.include_router(router(locked))
    with served(app) as url, httpx.Client(base_url=url) as client:
        yield client


def login(http: httpx.Client, key: str = KEY, query: str = "", **headers: str) -> httpx.Response:
    return http.post(f"/login{query}", data={"key": key}, headers=headers)


def test_a_person_is_sent_to_the_form_and_back_to_the_board_that_was_asked_for(http: httpx.Client) -> None:
    away = http.get("/?board=ab&campaign=spring", headers=BROWSER)
    assert (away.status_code, away.headers["location"]) == (303, "login?next=%3Fboard%3Dab%26campaign%3Dspring")
    form = http.get("/" + away.headers["location"])
    assert form.status_code == 200
    assert 'type="password"' in form.text
    assert "form-action 'self'" in form.headers["content-security-policy"]
    inside = login(http, query="?next=%3Fboard%3Dab%26campaign%3Dspring")
    assert (inside.status_code, inside.headers["location"]) == (303, "./?board=ab&campaign=spring")
    assert http.get("/", headers=BROWSER).status_code == 200
    assert http.get(NUMBERS, headers=SCRIPT).json()["logged_in"] is True
    assert http.get("/static/app.js").status_code == 200


def test_the_cookie_is_for_this_site_and_no_script_and_ends_with_the_day(http: httpx.Client) -> None:
    cookie = login(http).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=lax", f"Max-Age={SESSION_SECONDS}", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    assert "Secure" in login(http, **{"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert KEY not in cookie


def test_logging_out_takes_the_cookie_away(http: httpx.Client) -> None:
    login(http)
    assert http.post("/logout").status_code == 303
    assert http.get(NUMBERS, headers=SCRIPT).status_code == 401


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "?a\r\nSet-Cookie: x=y", "/etc"])
def test_the_way_back_leads_nowhere_else(http: httpx.Client, elsewhere: str) -> None:
    answer = http.post("/login", params={"next": elsewhere}, data={"key": KEY})
    assert answer.headers["location"] == "./"


def test_a_wrong_key_is_told_and_text_stays_text(http: httpx.Client) -> None:
    answer = login(http, "<script>alert(1)</script>")
    assert answer.status_code == 401
    assert "That is no key to this page" in answer.text
    assert "alert(1)" not in answer.text
    assert "set-cookie" not in answer.headers
    assert http.post("/login", content=b"key=" + b"x" * 5000).status_code == 413


def test_a_program_uses_the_key_itself_and_is_not_sent_to_a_form(http: httpx.Client) -> None:
    assert http.get(NUMBERS, headers={"Authorization": f"Bearer {KEY}"}).json()["logged_in"] is False
    assert http.get(NUMBERS, auth=("anyone", KEY)).status_code == 200
    refused = http.get(NUMBERS)
    assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")
    # A browser would ask for a password in the middle of the page, again and again.
    assert http.get(NUMBERS, headers=SCRIPT).headers["www-authenticate"].startswith("Bearer")


def cookie_holds(settings: Settings, cookie: str, now: float = 1_000.0) -> bool:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode("latin-1"))]
    return Authenticator(settings, lambda: now).by_cookie(Request({"type": "http", "headers": headers}))


def cookie_of(settings: Settings, key: str) -> str:
    cookie = Authenticator(settings, lambda: 1_000.0).enter(key.encode())
    assert cookie is not None
    return cookie


def test_a_session_ends_with_its_time_its_key_and_the_token_keys(tmp_path: Path) -> None:
    key, kept = new_key()

    old, new = "1:a-secret-of-some-length", "2:another-secret-of-some-length"

    def settings(api_keys: str = f"analyst=page={kept}", *, signed_by: str = old) -> Settings:
        return load(api_keys=api_keys, token_keys=signed_by, data_dir=tmp_path)

    cookie = cookie_of(settings(), key)
    assert cookie_holds(settings(), cookie)
    assert not cookie_holds(settings(), cookie, now=1_000.0 + SESSION_SECONDS)
    assert not cookie_holds(settings(api_keys=f"analyst=sends={kept}"), cookie)
    assert not cookie_holds(settings(api_keys=f"analyst=page={new_key()[1]}"), cookie)
    assert cookie_holds(settings(signed_by=f"{new},{old}"), cookie)
    assert not cookie_holds(settings(signed_by=new), cookie)


@pytest.mark.parametrize("forged", ["", ".", "9999999999.", "9999999999." + "0" * 64, "x.y", "²." + "0" * 64, "1" * 40])
def test_a_cookie_that_proves_nothing_lets_nobody_in(locked: Settings, forged: str) -> None:
    assert not cookie_holds(locked, forged)


def test_a_key_for_something_else_opens_no_page(full: Settings) -> None:
    key, kept = new_key()
    app = FastAPI()
    app.include_router(router(full.model_copy(update={"api_keys": f"crm=sends={kept}"})))
    with served(app) as url:
        assert httpx.get(url + NUMBERS, headers={"Authorization": f"Bearer {key}"}).status_code == 401
        assert httpx.post(url + "/login", data={"key": key}).status_code == 401


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_in_a_browser_one_logs_in_looks_is_logged_out_and_is_told_so(locked: Settings) -> None:
    drawn = "document.querySelector('#panel-sent .value')?.innerText === '40'"
    app = FastAPI()
    app.include_router(router(locked))
    with served(app) as url, chromium() as browser:
        page = browser.page()
        page.open(f"{url}/?since=2026-03-02&until=2026-03-09&campaign=spring&timezone=UTC")
        page.wait("document.activeElement.id === 'key'")
        assert page.errors == []
        page.send("Input.insertText", text="no key")
        page.press("Enter")
        page.wait("document.querySelector('.wrong').innerText.startsWith('That is no key')")
        page.send("Input.insertText", text=KEY)
        page.press("Enter")
        page.wait(drawn)
        # Meanwhile the session ends: the page says so instead of asking for a password, and keeps the choice.
        page.send("Network.clearBrowserCookies")
        page.wait("document.querySelector('#notice').innerText.includes('You are logged out')")
        page.click("#notice a")
        page.wait("document.activeElement.id === 'key'")
        page.send("Input.insertText", text=KEY)
        page.press("Enter")
        page.wait(drawn)
        page.click("#logout")
        page.wait("document.querySelector('#key')")
        page.close()
