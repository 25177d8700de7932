"""XOAUTH2 on a real IMAP server, which asks the authorization server whose a token is, and on a real SMTP server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.transport.smtp import SmtpPool
from decisions.sending.answers import SmtpAccepted
from ingest.inbox.imap import connect
from ingest.inbox.mailbox import LoginRefused
from oauth2.renewal import TokenRenewal
from schemas.errors import Misconfigured, Retry
from schemas.senders import Account, Senders, Smtp, load
from schemas.settings import Settings
from tests.oauth2.granted import ANNA
from tests.oauth2.granted_account import MailServer, written
from tests.support.authorization_server import CLIENT_ID, CLIENT_SECRET, AuthorizationServer
from tests.support.imap import ImapServer, missing
from tests.support.processes import ROOT

MESSAGE = b"Subject: hello\r\n\r\nHello.\r\n"


@pytest.fixture
def tokens() -> Iterator[AuthorizationServer]:
    with AuthorizationServer(rotates=True) as server:
        yield server


@pytest.fixture
def imap(tokens: AuthorizationServer) -> Iterator[ImapServer]:
    if missing("dovecot"):
        pytest.skip(missing("dovecot"))
    server = ImapServer("dovecot", [ANNA], introspection=tokens.introspection)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
async def smtp(tokens: AuthorizationServer) -> AsyncIterator[MailServer]:
    server = MailServer(options={"auth_require_tls": False, "auth_required": True})
    server.tokens = tokens
    async with server:
        yield server


class Anna:
    """Anna's account in a process, by a clock of the test's."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, tokens: AuthorizationServer, **ports: int
    ) -> None:
        written(folder, tokens, **ports)
        for name, value in (("T_ID", CLIENT_ID), ("T_SECRET", CLIENT_SECRET), ("T_REFRESH", tokens.consent(ANNA))):
            monkeypatch.setenv(name, value)
        self.now = datetime.now(UTC).timestamp()
        settings = Settings(_env_file=None, data_dir=folder / "data", senders=folder / "senders.toml")  # type: ignore[call-arg]
        self.senders: Senders = load(settings, TokenRenewal(settings, clock=lambda: self.now, share=lambda: 0.5))
        self.account: Account = self.senders.accounts[0]

    def pool(self) -> SmtpPool:
        assert self.account.smtp
        server: Smtp = self.account.smtp
        return SmtpPool(server, clock=lambda: datetime.now(UTC), credential=lambda: self.senders.credential(server))


def test_a_mailbox_is_read_with_a_renewed_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: AuthorizationServer, imap: ImapServer
) -> None:
    anna = Anna(tmp_path, monkeypatch, tokens, imap=imap.port)
    for hours in range(3):
        mailbox = connect(anna.account, anna.senders)
        assert mailbox.examine("INBOX").last == 0
        mailbox.close()
        assert len(tokens.requests) == hours + 1
        anna.now += 3600
    assert tokens.introspected >= 3


def test_a_mailbox_whose_token_was_revoked_early_is_read_again_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: AuthorizationServer, imap: ImapServer
) -> None:
    anna = Anna(tmp_path, monkeypatch, tokens, imap=imap.port)
    connect(anna.account, anna.senders).close()
    tokens.revoke_access(ANNA)
    anna.now += 600
    with pytest.raises(LoginRefused) as refused:
        connect(anna.account, anna.senders)
    assert "access." not in str(refused.value)
    connect(anna.account, anna.senders).close()
    tokens.revoke(ANNA)
    anna.now += 3600
    with pytest.raises(Misconfigured, match="put the new refresh token into T_REFRESH"):
        connect(anna.account, anna.senders)


@pytest.mark.parametrize("challenges", [False, True])
async def test_an_email_leaves_with_a_renewed_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: AuthorizationServer, smtp: MailServer, challenges: bool
) -> None:
    smtp.challenges = challenges
    anna = Anna(tmp_path, monkeypatch, tokens, smtp=smtp.port)
    pool = anna.pool()
    assert isinstance(await pool.deliver(ANNA, "ada@example.net", MESSAGE), SmtpAccepted)
    smtp.drop_connections()
    tokens.revoke_access(ANNA)
    anna.now += 600
    with pytest.raises(Retry, match="login refused, see T_REFRESH"):
        await pool.deliver(ANNA, "ada@example.net", MESSAGE)
    assert isinstance(await pool.deliver(ANNA, "ada@example.net", MESSAGE), SmtpAccepted)
    assert len(tokens.requests) == 2
    await pool.close()


async def test_an_email_waits_while_the_grant_is_refused_and_leaves_with_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: AuthorizationServer, smtp: MailServer
) -> None:
    anna = Anna(tmp_path, monkeypatch, tokens, smtp=smtp.port)
    tokens.revoke(ANNA)
    pool = anna.pool()
    for _ in range(3):
        with pytest.raises(Retry, match="put the new refresh token into T_REFRESH"):
            await pool.deliver(ANNA, "ada@example.net", MESSAGE)
    assert (len(tokens.requests), smtp.connections) == (1, 0)
    monkeypatch.setenv("T_REFRESH", tokens.consent(ANNA))
    assert isinstance(await pool.deliver(ANNA, "ada@example.net", MESSAGE), SmtpAccepted)
    await pool.close()


async def test_several_connections_that_open_at_once_ask_for_one_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: AuthorizationServer, smtp: MailServer
) -> None:
    anna = Anna(tmp_path, monkeypatch, tokens, smtp=smtp.port)
    smtp.seconds_per_mail = 0.1
    pool = anna.pool()
    leads = [f"lead{n}@example.net" for n in range(8)]
    await asyncio.gather(*(pool.deliver(ANNA, lead, MESSAGE) for lead in leads))
    assert (smtp.connections, len(tokens.requests)) == (4, 1)
    await pool.close()


async def sendlens(folder: Path, refresh: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {
        "SENDLENS_SENDERS": str(folder / "senders.toml"), "SENDLENS_DATA_DIR": str(folder / "data"),
        "T_ID": CLIENT_ID, "T_SECRET": CLIENT_SECRET, "T_REFRESH": refresh,
    }  # fmt: skip
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "sendlens", *words],
        cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert refresh not in done.stdout + done.stderr
    assert "access." not in done.stdout + done.stderr
    return done


async def check(folder: Path, refresh: str) -> tuple[int, list[list[str]]]:
    done = await sendlens(folder, refresh, "senders", "check", "--no-mail")
    return done.returncode, [line.split("  ")[1:] for line in done.stdout.splitlines() if line.startswith(ANNA)]


async def test_the_check_says_how_the_grant_is(
    tmp_path: Path, tokens: AuthorizationServer, smtp: MailServer, imap: ImapServer
) -> None:
    written(tmp_path, tokens, smtp.port, imap.port)
    refresh = tokens.consent(ANNA)
    code, lines = await check(tmp_path, refresh)
    assert code == 0, lines
    assert [line[0] for line in lines][:3] == ["oauth2", "smtp", "smtp login"]
    assert lines[0][1:] == ["ok", lines[0][2]]
    assert lines[0][2].startswith("access token of T_REFRESH until 20")
    code, again = await check(tmp_path, refresh)
    assert (code, again[0], len(tokens.requests)) == (0, lines[0], 1)
    tokens.revoke(ANNA)
    (tmp_path / "data" / "oauth2" / "T_REFRESH.json").unlink()
    code, lines = await check(tmp_path, refresh)
    assert code == 1
    told = {line[0]: line for line in lines}
    assert told["oauth2"][1] == "wrong"
    assert "put the new refresh token into T_REFRESH" in told["oauth2"][2]
    assert told["smtp login"][1:] == ["wrong", "not tried: see oauth2 above"]
    assert told["imap login"][1:] == ["wrong", "not tried: see oauth2 above"]
    asked = len(tokens.requests)
    doctor = await sendlens(tmp_path, refresh, "doctor", "--only", "accounts", "--no-mail")
    assert f"{ANNA} oauth2: no access token: " in doctor.stdout
    assert "put the new refresh token into T_REFRESH" in doctor.stdout
    assert len(tokens.requests) == asked, "the doctor may look every few minutes"
    await check(tmp_path, refresh)
    assert len(tokens.requests) == asked + 1
