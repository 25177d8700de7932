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
from tests.support.name_server import NameServer
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


def check(
    folder: Path, text: str, *words: str, password: str = PASSWORD, dns: int = 0, public_url: str = ""
) -> subprocess.CompletedProcess[str]:
    """What the command says; DNS is looked at where a name server's port is given."""
    (folder / "senders.toml").write_text(text)
    env = os.environ | {
        "SENDLENS_SENDERS": str(folder / "senders.toml"),
        "SENDLENS_DATA_DIR": str(folder / "data"),
        "SENDLENS_PUBLIC_URL": public_url or "http://127.0.0.1:8080",
        "TEST_PASSWORD": password,
    }
    asking = ["--name-server", f"127.0.0.1:{dns}"] if dns else ["--no-dns"]
    return subprocess.run(
        [sys.executable, "-m", "sendlens", "senders", "check", "--no-mail", *asking, *words],
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


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer({("t.garden.internal.", "A"): ["127.0.0.1"], ("garden.internal.", "A"): ["127.0.0.1"]})
    yield server
    server.close()


def test_dns_and_tracking_domains_are_looked_at_and_what_is_missing_is_said(
    tmp_path: Path, smtp: int, name_server: NameServer
) -> None:
    closed = free_port()
    text = account(
        smtp, more=f'envelope_domain = "b.garden.internal"\ntracking_url = "https://t.garden.internal:{closed}"'
    )
    text = text.replace(ANNA, "anna@garden.internal")
    more = ("--tracking-url", "https://t.shop.internal")
    done = check(tmp_path, text, *more, dns=name_server.port, public_url="https://t.garden.internal")
    assert (done.returncode, done.stderr) == (1, "")
    said = [line for line in done.stdout.splitlines() if line.startswith("everybody")]
    for wanted in (
        "dns  wrong  b.garden.internal has no MX and no address: no bounce comes back: add `b.garden.internal. MX 10 SERVER.`",
        'dns  warn  b.garden.internal has no SPF: add `b.garden.internal. TXT "v=spf1 ip4:ADDRESS ~all"`',
        'dns  warn  garden.internal has no DMARC: add `_dmarc.garden.internal. TXT "v=DMARC1; p=none"`',
        "tracking  ok  t.garden.internal leads to 127.0.0.1",
        f"tracking  wrong  nothing of use answers at port {closed} of t.garden.internal",
        "tracking  wrong  t.shop.internal has no record in DNS: make it `t.shop.internal. CNAME t.garden.internal.`",
    ):
        assert any(line.startswith(f"everybody  {wanted}") for line in said), (wanted, said)


def test_what_warns_is_no_fault_and_what_is_wrong_is_one(tmp_path: Path, smtp: int, name_server: NameServer) -> None:
    text = account(smtp, more='envelope_domain = "b.garden.internal"').replace(ANNA, "anna@garden.internal")
    name_server.zone["b.garden.internal.", "MX"] = ["10 mx.garden.internal."]
    done = check(tmp_path, text, dns=name_server.port)
    verdicts = [line.split("  ")[2] for line in done.stdout.splitlines() if line.startswith("everybody")]
    assert (done.returncode, verdicts) == (0, ["ok", "warn", "warn", "warn"]), done.stdout
    name_server.zone["b.garden.internal.", "TXT"] = ['"v=spf1 -all"']
    done = check(tmp_path, text, dns=name_server.port)
    verdicts = [line.split("  ")[2] for line in done.stdout.splitlines() if line.startswith("everybody")]
    assert (done.returncode, verdicts) == (1, ["ok", "wrong", "warn", "warn"]), done.stdout


def test_a_tracking_domain_without_an_answer_ends_no_other(tmp_path: Path, smtp: int, name_server: NameServer) -> None:
    name_server.failing = ["t.garden.internal."]
    more = ("--tracking-url", "https://t.garden.internal", "--tracking-url", "https://t.shop.internal")
    done = check(tmp_path, account(smtp), *more, dns=name_server.port)
    assert "warn  DNS gives no answer for t.garden.internal: " in done.stdout
    assert "tracking  wrong  t.shop.internal has no record in DNS" in done.stdout


def test_a_tracking_address_or_a_name_server_that_is_none_is_explained(tmp_path: Path, smtp: int) -> None:
    for words, what in (
        (("--tracking-url", "t.shop.internal"), "want an address like https://t.example.com"),
        (("--name-server", "ns.example.com"), "want an address like 192.0.2.1"),
    ):
        done = check(tmp_path, account(smtp), "--dns", *words)
        assert done.returncode == 2
        assert what in done.stderr
        assert "Traceback" not in done.stderr


def test_a_tracking_address_of_a_wrong_form_is_explained_with_its_account(tmp_path: Path, smtp: int) -> None:
    done = check(tmp_path, account(smtp, more='tracking_url = "t.example.com"'))
    assert done.returncode == 2
    assert f"({ANNA}): tracking_url: want an address like https://t.example.com" in done.stderr
