"""What an authorization server may answer, and what comes of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth2.authorization_server import GrantRefused, NotRenewed, Renewed, ask, read
from tests.oauth2.granted import Granted, granted
from tests.support.authority import Authority, tls_in_front
from tests.support.processes import free_port

GOOD: dict[str, object] = {"access_token": "ya29.a0-_/+=~", "token_type": "Bearer", "expires_in": 3599}


@pytest.fixture
def anna(tmp_path: Path) -> Iterator[Granted]:
    yield from granted(tmp_path / "data")


def answer(anna: Granted, body: object, status: int = 200) -> Renewed | GrantRefused | NotRenewed:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    anna.server.script.append((status, {}, data))
    return ask(anna.grant)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 3599),
        ({"expires_in": "3599"}, 3599),
        ({"token_type": "bearer", "scope": "x", "ext_expires_in": 1}, 3599),
        ({"expires_in": None}, 600),
        ({"expires_in": "soon"}, 600),
        ({"expires_in": -1}, 600),
        ({"expires_in": 1e300}, 30 * 86_400),
    ],
)
def test_a_token_lives_as_long_as_is_said(anna: Granted, changes: dict[str, object], seconds: float) -> None:
    assert answer(anna, GOOD | changes) == Renewed("ya29.a0-_/+=~", seconds, "")


def test_a_refresh_token_may_be_replaced(anna: Granted) -> None:
    assert answer(anna, GOOD | {"refresh_token": "next"}) == Renewed("ya29.a0-_/+=~", 3599, "next")
    assert answer(anna, GOOD | {"refresh_token": None}) == Renewed("ya29.a0-_/+=~", 3599, "")


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "invalid_scope", "unauthorized_client"])
@pytest.mark.parametrize("status", [400, 401])
def test_errors_that_stay_are_refusals(anna: Granted, error: str, status: int) -> None:
    said = answer(anna, {"error": error, "error_description": "AADSTS700082: of ada@example.com"}, status)
    assert isinstance(said, GrantRefused)
    assert said.why.startswith(f"status {status}, {error} AADSTS700082: ")
    assert "ada" not in said.why


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (503, b'{"error": "temporarily_unavailable"}'),
        (503, b'{"error": "invalid_grant"}'),
        (429, b'{"error": "invalid_request"}'),
        (400, b'{"error": "something_new"}'),
        (400, b'{"error": "line\\nbreak"}'),
        (200, b"<html>log in</html>"),
        (200, b"[" * 10_000),
        (200, b"{}"),
        (200, json.dumps(GOOD | {"token_type": "mac"}).encode()),
        (200, json.dumps(GOOD | {"access_token": "a\x01auth=Bearer b"}).encode()),
        (200, json.dumps(GOOD | {"access_token": "a" * 20_000}).encode()),
        (200, json.dumps(GOOD | {"refresh_token": "a\r\nb"}).encode()),
        (200, json.dumps(GOOD | {"padding": "x" * 70_000}).encode()),
        (302, b""),
    ],
)
def test_anything_else_may_pass(anna: Granted, status: int, body: bytes) -> None:
    said = answer(anna, body, status)
    assert isinstance(said, NotRenewed)
    assert said.why
    assert said.why.isprintable()
    assert len(said.why) < 400


def test_a_redirect_is_not_followed_with_the_secrets(anna: Granted) -> None:
    anna.server.script.append((307, {"Location": anna.server.url}, b""))
    assert isinstance(ask(anna.grant), NotRenewed)
    assert anna.asked == 1


def test_a_server_that_is_not_there_or_silent_is_given_up(anna: Granted) -> None:
    anna.changes = {"token_url": f"http://127.0.0.1:{free_port()}/token"}
    assert isinstance(ask(anna.grant), NotRenewed)
    anna.changes = {}
    anna.server.answer_after = threading.Event()
    assert ask(anna.grant, seconds=0.2) == NotRenewed("no answer in time")


def test_a_bad_file_of_authorities_is_told(anna: Granted, tmp_path: Path) -> None:
    said = ask(anna.grant, str(tmp_path / "none.pem"))
    assert isinstance(said, NotRenewed)
    assert "SENDLENS_CA_FILE" in said.why
    assert anna.asked == 0


def test_a_private_authority_is_believed_where_it_is_named(anna: Granted, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with tls_in_front(int(anna.server.url.split(":")[2].split("/")[0]), authority.signed("DNS:localhost")) as port:
        anna.changes = {"token_url": f"https://localhost:{port}/token"}
        assert isinstance(ask(anna.grant, str(authority.file)), Renewed)
        said = ask(anna.grant)
    assert isinstance(said, NotRenewed)
    assert "SENDLENS_CA_FILE" in said.why
    assert anna.asked == 1


def test_no_secret_is_in_what_is_said(anna: Granted) -> None:
    renewed = ask(anna.grant)
    assert isinstance(renewed, Renewed)
    assert renewed.access_token not in repr(renewed)
    assert anna.refresh_token not in repr(anna.grant)
    assert read(anna.grant, 200, b"{}") == NotRenewed("it gives no bearer token")
