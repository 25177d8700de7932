"""`sendlens senders check` writes to the addresses that every email names, over real servers, and sees what comes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.imap import KINDS, PASSWORD, ImapServer, missing
from tests.support.processes import ROOT, free_port

BOUNCES = "bounces@bounces.garden.example"
DOMAIN = "bounces.garden.example"


class MailHost:
    """A host that delivers mail to some addresses into a mailbox, drops mail to others, and refuses the rest."""

    def __init__(self, mailbox: ImapServer) -> None:
        self.mailbox = mailbox
        self.port = 0
        self.takes: tuple[str, ...] = ("bounce+", "unsubscribe@")
        self.refuses: tuple[str, ...] = ()
        self.folder = "INBOX"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith(self.refuses):
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if envelope.rcpt_tos[0].startswith(self.takes):
            assert isinstance(envelope.content, bytes)
            await asyncio.to_thread(self.mailbox.deliver, BOUNCES, envelope.content, self.folder)
        return "250 taken"


@pytest.fixture(scope="module", params=KINDS)
def imap(request: pytest.FixtureRequest) -> Iterator[ImapServer]:
    if missing(str(request.param)):
        pytest.skip(missing(str(request.param)))
    server = ImapServer(str(request.param), [BOUNCES])
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def host(imap: ImapServer) -> Iterator[MailHost]:
    host = MailHost(imap)
    controller = Controller(host, hostname="127.0.0.1", port=free_port())
    controller.start()
    host.port = controller.port
    yield host
    controller.stop()


def check(folder: Path, host: MailHost, *words: str) -> tuple[int, list[str]]:
    """Exit code, and the lines about our own mail."""
    (folder / "senders.toml").write_text(
        f'[[account]]\naddress = "anna@garden.example"\nenvelope_domain = "{DOMAIN}"\n'
        f'[account.smtp]\nhost = "127.0.0.1"\nport = {host.port}\ntls = "none"\n'
        f'[[account]]\naddress = "{BOUNCES}"\n[account.imap]\nhost = "127.0.0.1"\nport = {host.mailbox.port}\n'
        'tls = "none"\npassword_env = "TEST_PASSWORD"\n'
    )
    env = os.environ | {
        "SENDLENS_SENDERS": str(folder / "senders.toml"),
        "SENDLENS_DATA_DIR": str(folder / "data"),
        "TEST_PASSWORD": PASSWORD,
    }
    done = subprocess.run(
        [sys.executable, "-m", "sendlens", "senders", "check", *words],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, [line for line in done.stdout.splitlines() if "  return mail  " in line]


def test_both_addresses_lead_into_a_mailbox_that_is_read(tmp_path: Path, host: MailHost) -> None:
    host.mailbox.deliver(BOUNCES, b"Subject: other mail\r\n\r\nhello\r\n")
    code, lines = check(tmp_path, host)
    assert code == 0, lines
    bounce, unsubscribe = sorted(lines)
    assert f"ok  bounce+TOKEN@{DOMAIN} came to {BOUNCES} (INBOX) after" in bounce
    assert f"ok  unsubscribe@{DOMAIN} came to {BOUNCES} (INBOX) after" in unsubscribe
    again, told = check(tmp_path, host)  # nor is a mail of the last time taken for today's
    assert (again, len(told)) == (0, 2)


def test_an_address_that_leads_nowhere_is_said_with_how_to_make_it(tmp_path: Path, host: MailHost) -> None:
    host.takes = ("bounce+",)
    host.folder = "Junk"
    began = time.monotonic()
    code, lines = check(tmp_path, host, "--wait", "2")
    assert time.monotonic() - began < 30
    assert code == 1
    bounce, unsubscribe = sorted(lines, key=lambda line: "create" in line)
    assert f"came to {BOUNCES} (Junk)" in bounce
    assert (
        f"wrong  mail to unsubscribe@{DOMAIN} did not come within 2 s: create the address unsubscribe@" in unsubscribe
    )


def test_a_host_that_refuses_it_is_quoted(tmp_path: Path, host: MailHost) -> None:
    host.refuses = ("bounce+",)
    code, lines = check(tmp_path, host)
    assert code == 1
    (refused,) = [line for line in lines if "wrong" in line]
    assert "refuses mail to bounce+TOKEN@" in refused
    assert "no such user here" in refused
    assert "recipient_delimiter = +" in refused


def test_without_a_mailbox_that_is_read_nothing_is_sent(tmp_path: Path, host: MailHost) -> None:
    env = os.environ | {
        "SENDLENS_SENDERS": str(tmp_path / "none.toml"),
        "SENDLENS_DATA_DIR": str(tmp_path / "data"),
        "SENDLENS_SMTP_PORT": str(host.port),
        "SENDLENS_ENVELOPE_DOMAIN": DOMAIN,
    }
    done = subprocess.run(
        [sys.executable, "-m", "sendlens", "senders", "check"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert f"no mailbox is read: bounces and unsubscribes by mail to {DOMAIN} are lost" in done.stdout
    assert done.returncode == 0, "who only tries it has no mailbox"
