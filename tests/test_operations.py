"""The commands of docs/operations.md, run as they stand there on a whole Sendlens: backed up while it runs, wiped, restored."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest
from aiosmtpd.controller import Controller

from tests.docs.shown import commands
from tests.support.installation import environment, running
from tests.support.migrated import lay_migrated
from tests.support.processes import ROOT, Process
from tests.support.waiting import wait_until
from tests.test_up import FIREFOX, Inbox, a_send, ask, is_ready, kinds
from tests.world.mailserver import Received

PAGE = (ROOT / "docs" / "operations.md").read_text()
# What the page shows and other tests run, because it takes Apache Kafka or processes that report their keys.
ELSEWHERE = {
    "sendlens migrate": "tests/commands/test_command.py",
    "sendlens rewind backups/monday": "tests/commands/backup/test_rewind.py",
    "sendlens token-keys add": "tests/commands/test_token_keys.py",
    "sendlens token-keys list": "tests/commands/test_token_keys.py",
    "sendlens token-keys sign 2": "tests/commands/test_token_keys.py",
}
NUMBERS = (
    "SELECT * FROM v_campaigns",
    "SELECT * FROM v_outcomes ORDER BY delivery_id",
    "SELECT kind, toString(id), at, lead FROM events FINAL ORDER BY id",
)


def shown(section: str) -> list[str]:
    """The commands of a section of the page."""
    text = re.search(rf"^## {section}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert text is not None, section
    return [command.text for command in commands(text[1])]


def test_every_command_of_the_page_is_run_by_a_test() -> None:
    here = {shown("Back up")[0], shown("Restore")[0]}
    assert {command.text for command in commands(PAGE)} == here | set(ELSEWHERE)
    for command, test in ELSEWHERE.items():
        words = command.split()[1:3]
        text = (ROOT / test).read_text()
        assert all(f'"{word}"' in text for word in words if "/" not in word), command


def run(command: str, folder: Path, settings: dict[str, str]) -> str:
    """A command as it stands on the page, in this folder."""
    program, *words = shlex.split(command)
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *words],
        cwd=folder, env=os.environ | settings, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def settings(tmp_path: Path, inbox: Inbox) -> Iterator[dict[str, str]]:
    values = environment(tmp_path / "data")
    lay_migrated(tmp_path / "data" / "clickhouse")
    server = Controller(inbox, hostname="127.0.0.1", port=int(values["SENDLENS_SMTP_PORT"]))
    server.start()
    yield values
    server.stop()


def stop(stack: Process) -> None:
    stack.popen.send_signal(signal.SIGINT)
    assert stack.popen.wait(90) == 0, stack.output()


@pytest.mark.timeout(600)
def test_backed_up_while_it_runs_wiped_and_restored_it_goes_on_with_the_same_numbers(
    settings: dict[str, str], inbox: Inbox, tmp_path: Path
) -> None:
    url, log = settings["SENDLENS_PUBLIC_URL"], tmp_path / "up.log"
    (backup,), (restore, *_) = shown("Back up"), shown("Restore")
    with running(["up"], settings, log) as stack, httpx.Client(base_url=url, timeout=10) as http:
        wait_until(lambda: is_ready(http), 60, "ingest")
        http.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).raise_for_status()
        http.post("/v1/sends", json={"sends": [a_send(1, "ada"), a_send(1, "bob")]}).raise_for_status()
        wait_until(lambda: len(inbox.mails) == 2, 60, "both emails")
        mails = {str(message_from_bytes(raw, policy=policy.default)["To"]): Received(raw) for raw in inbox.mails}
        ada, bob = mails["ada@example.com"], mails["bob@example.com"]
        assert http.get(ada.links[0], headers=FIREFOX).status_code == 302
        http.post(bob.one_click, data={"List-Unsubscribe": "One-Click"}).raise_for_status()
        wait_until(
            lambda: {kind for kind, _, _ in kinds(settings)} >= {"sent", "delivered", "click", "unsubscribe"},
            60,
            "all that happened to be stored",
        )
        assert "rows of events" in run(backup, tmp_path, settings)
        before = [ask(settings, sql) for sql in NUMBERS]
        stop(stack)

    shutil.rmtree(tmp_path / "data")
    assert "restored: " in run(restore, tmp_path, settings)

    with running(["up"], settings, log) as stack, httpx.Client(base_url=url, timeout=10) as http:
        wait_until(lambda: is_ready(http), 60, "ingest after the restore")
        assert [ask(settings, sql) for sql in NUMBERS] == before
        assert http.get(ada.links[0], headers=FIREFOX).status_code == 302, "a link of an earlier life"
        sends = [a_send(1, "ada"), a_send(2, "ada"), a_send(2, "bob")]
        assert http.post("/v1/sends", json={"sends": sends}).json()["accepted"] == 3, "the campaign is still known"
        wait_until(lambda: ("sent", 2, "ada") in kinds(settings), 60, "the second step")
        wait_until(lambda: ("skipped", 2, "bob") in kinds(settings), 30, "the unsubscribed lead to be skipped")
        wait_until(lambda: ("skipped", 1, "ada") in kinds(settings), 30, "the email sent before to be skipped")
        assert len(inbox.mails) == 3
        stop(stack)
