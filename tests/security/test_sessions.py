"""A session that is logged out has ended: for copies of its cookie, in every process, after a restart."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx
import pytest

from dashboards.page.login import COOKIE
from dashboards.page.sessions import SESSION_SECONDS, LoginSessions
from schemas.errors import Retry
from schemas.keys import new_key, parse
from schemas.settings import Settings, load
from tests.security.front import BEARER, KEY, over_http, settings_of
from tests.support.broker import Broker

GIVEN, KEPT = new_key()
OTHER_GIVEN, OTHER_KEPT = new_key()
KEYS = parse(f"analyst=page={KEPT}")
OTHERS = parse(f"other=page={OTHER_KEPT}")
TOKEN_KEYS = "1:0123456789abcdef0123456789abcdef"


def settings_in(folder: Path, signed_by: str = TOKEN_KEYS) -> Settings:
    return load(data_dir=folder, token_keys=signed_by)


def test_a_copied_cookie_is_worth_nothing_once_somebody_logged_out(tmp_path: Path, broker: Broker) -> None:
    """Over HTTP, on two processes' worth of ingest with one data folder, and on one that starts later."""
    settings = settings_of(tmp_path, broker, api_key=KEY)
    with (
        over_http(settings) as url,
        over_http(settings) as second,
        httpx.Client(base_url=url) as mine,
        httpx.Client(base_url=url) as hers,
    ):
        for client in (mine, hers):
            assert client.post("/login", data={"key": KEY}).status_code == 303
        stolen = {COOKIE: mine.cookies[COOKIE]}
        for at in (url, second):
            assert httpx.get(f"{at}/", cookies=stolen).status_code == 200
        assert mine.post("/logout").status_code == 303
        assert COOKIE not in mine.cookies
        for at in (url, second):
            assert httpx.get(f"{at}/", cookies=stolen).status_code == 401
        assert hers.get("/").status_code == 200  # another session of the same key
        assert httpx.get(f"{url}/", headers=BEARER).status_code == 200
    with over_http(settings) as later:
        assert httpx.get(f"{later}/", cookies=stolen).status_code == 401


def test_each_log_in_is_a_session_of_its_own_and_ends_alone(tmp_path: Path) -> None:
    sessions = LoginSessions(settings_in(tmp_path), lambda: 1_000.0)
    first, second = sessions.begin(KEYS[0]), sessions.begin(KEYS[0])
    assert first != second  # also within one second
    sessions.end(first, KEYS)
    sessions.end(first, KEYS)
    assert [sessions.holds(cookie, KEYS) for cookie in (first, second)] == [False, True]


def test_a_session_ends_with_its_key_also_when_it_comes_back(tmp_path: Path) -> None:
    sessions = LoginSessions(settings_in(tmp_path), lambda: 1_000.0)
    cookie = sessions.begin(KEYS[0])
    assert sessions.holds(cookie, KEYS)
    assert not sessions.holds(cookie, [])
    assert not sessions.holds(cookie, OTHERS)
    sessions.end(cookie, OTHERS)  # nothing of theirs
    assert sessions.holds(cookie, KEYS)
    sessions.end(cookie, KEYS)
    assert not sessions.holds(cookie, KEYS)
    assert not LoginSessions(settings_in(tmp_path), lambda: 1_001.0).holds(cookie, KEYS)


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        "..",
        "../../x",
        "9999999999.../../x." + "0" * 64,
        "1000.x." + "0" * 64,
        f"99999.{'a' * 32}.{'0' * 64}",
        "\0",
    ],
)
def test_who_has_no_session_ends_none_and_names_no_file(tmp_path: Path, forged: str) -> None:
    settings = settings_in(tmp_path / "data")
    before = set(tmp_path.rglob("*"))  # the installation's secrets
    sessions = LoginSessions(settings, lambda: 1_000.0)
    sessions.end(forged, KEYS)
    assert not sessions.holds(forged, KEYS)
    assert set(tmp_path.rglob("*")) == before


def test_what_is_remembered_is_private_and_goes_when_its_time_is_up(tmp_path: Path) -> None:
    now = 1_000.0
    sessions = LoginSessions(settings_in(tmp_path), lambda: now)
    for _ in range(20):
        sessions.end(sessions.begin(KEYS[0]), KEYS)
    folder = tmp_path / "sessions-ended"
    assert len(list(folder.iterdir())) == 20
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    now += SESSION_SECONDS + 1
    sessions.end(sessions.begin(KEYS[0]), KEYS)
    assert len(list(folder.iterdir())) == 1


def test_a_data_folder_that_takes_nothing_is_told_and_lets_no_ended_session_back(tmp_path: Path) -> None:
    sessions = LoginSessions(settings_in(tmp_path), lambda: 1_000.0)
    cookie = sessions.begin(KEYS[0])
    (tmp_path / "sessions-ended").write_text("no folder")
    with pytest.raises(Retry, match="data folder"):
        sessions.end(cookie, KEYS)
    assert not sessions.holds(cookie, KEYS)  # nobody can say whether it ended
    (tmp_path / "sessions-ended").unlink()
    assert sessions.holds(cookie, KEYS)


def test_logging_out_says_so_when_it_could_not_be_kept(tmp_path: Path, broker: Broker) -> None:
    settings = settings_of(tmp_path, broker, api_key=KEY)
    with over_http(settings) as url, httpx.Client(base_url=url) as client:
        assert client.post("/login", data={"key": KEY}).status_code == 303
        (settings.data_dir / "sessions-ended").write_text("no folder")
        refused = client.post("/logout")
        assert (refused.status_code, "still logged in" in refused.json()["detail"]) == (503, True)
        assert COOKIE in client.cookies
