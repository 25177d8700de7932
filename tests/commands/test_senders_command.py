"""`sendlens senders check`: every account on its real servers, and what to do when one is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.imap import KINDS, PASSWORD, ImapServer, missing
from tests.support.processes import ROOT, free_port

ANNA = "anna@example.com"
WRONG = "not-that-password"


@pytest.fixture(scope="module", params=KINDS)
def imap(request: pytest.FixtureRequest) -> Iterator[ImapServer]:
    if missing(str(request.param)):
        pytest.skip(missing(str(request.param)))
    server = ImapServer(str(request.param), [ANNA])
    try:
        server.start()
        yield server
    finally:
        server.close()


def _knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: object) -> AuthResult:
    return AuthResult(success=isinstance(given, LoginPassword) and given.password == PASSWORD.encode(), handled=False)


@pytest.fixture(scope="module")
def smtp() -> Iterator[int]:
    port = free_port()
    server = Controller(
        object(), hostname="127.0.0.1", port=port, authenticator=_knows, auth_require_tls=False, auth_required=True
    )
    server.start()
    yield port
    server.stop()


def check(folder: Path, text: str, *words: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    (folder / "senders.toml").write_text(text)
    env = os.environ | {
        "SENDLENS_SENDERS": str(folder / "senders.toml"),
        "SENDLENS_DATA_DIR": str(folder / "data"),
        "TEST_PASSWORD": password,
    }
    return subprocess.run(
        [sys.executable, "-m", "sendlens", "senders", "check", "--no-mail", *words],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def account(smtp: int = 0, imap: int = 0, more: str = "", folders: str = '["INBOX", "Junk"]', tls: str = "none") -> str:
    text = f'[[account]]\naddress = "{ANNA}"\n{more}\n'
    if smtp:
        text += f'[account.smtp]\nhost = "127.0.0.1"\nport = {smtp}\ntls = "{tls}"\npassword_env = "TEST_PASSWORD"\n'
    if imap:
        text += (
            f'[account.imap]\nhost = "127.0.0.1"\nport = {imap}\ntls = "{tls}"\npassword_env = "TEST_PASSWORD"\n'
            f"folders = {folders}\n"
        )
    return text


def test_an_account_that_works_is_said_to_and_the_command_succeeds(tmp_path: Path, imap: ImapServer, smtp: int) -> None:
    done = check(tmp_path, account(smtp, imap.port, "daily_limit = 100\nhourly_limit = 10"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong" not in done.stdout
    checks = [line.split("  ")[1] for line in done.stdout.splitlines()]
    assert checks == ["limits", "smtp", "smtp login", "imap", "imap login", "imap idle", "imap folder", "imap folder"]


def test_a_wrong_password_is_wrong_on_both_servers_and_not_told(tmp_path: Path, imap: ImapServer, smtp: int) -> None:
    done = check(tmp_path, account(smtp, imap.port), password=WRONG)
    assert done.returncode == 1
    assert "smtp login  wrong" in done.stdout
    assert "imap login  wrong" in done.stdout
    assert "TEST_PASSWORD" in done.stdout
    assert WRONG not in done.stdout + done.stderr


def test_a_folder_that_is_not_there_is_said_with_those_that_are(tmp_path: Path, imap: ImapServer) -> None:
    done = check(tmp_path, account(imap=imap.port, folders='["INBOX", "Nowhere"]'))
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "Nowhere" in line]
    assert "imap folder  wrong" in line
    assert "INBOX, Junk" in line


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_without_the_tls_that_is_wanted_gets_no_password(
    tmp_path: Path, imap: ImapServer, smtp: int, tls: str
) -> None:
    done = check(tmp_path, account(smtp, imap.port, tls=tls))
    assert done.returncode == 1
    assert f"`tls` ({tls})" in done.stdout
    assert "login" not in done.stdout


def test_servers_that_are_not_there_and_limits_and_keys_that_cannot_be(tmp_path: Path) -> None:
    more = "daily_limit = 1000\nhourly_limit = 10"
    keys = '[account.dkim]\nselector = "s"\nkey_file = "nowhere.pem"\n'
    done = check(tmp_path, account(free_port(), free_port(), more) + keys)
    assert done.returncode == 1
    assert [line.split("  ")[1:3] for line in done.stdout.splitlines()] == [
        ["limits", "wrong"],
        ["smtp", "wrong"],
        ["imap", "wrong"],
        ["dkim", "wrong"],
    ]
    assert "240 a day at the most" in done.stdout


def test_an_account_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    done = check(tmp_path, account(free_port()), "ben@example.com")
    assert done.returncode == 2
    assert f"known are {ANNA}" in done.stderr
