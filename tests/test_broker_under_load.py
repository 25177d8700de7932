"""One machine with the broker in memory, under visitors who come all the time and with emails that can't leave: it is
replaced all the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from array import array
from collections import Counter
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest

from tests.support.installation import environment, running
from tests.support.processes import ROOT
from tests.support.waiting import wait_until
from tests.test_up import Inbox, a_send, ask, is_ready, serving

_RATE, _SECONDS = 500, 40
_EMAILS = 300
_CLOSED = "the gate to the broker moves now=closed"
_REPLACED = "the broker was replaced by an empty one"
_COUNTS = """
SELECT (SELECT count() FROM hits FINAL), (SELECT uniqExact(id) FROM hits),
    (SELECT count() FROM events FINAL WHERE kind = 'open'), (SELECT uniqExact(id) FROM events WHERE kind = 'open')
"""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_broker_is_replaced_while_visitors_come_and_emails_wait_for_their_mail_server(tmp_path: Path) -> None:
    settings = environment(tmp_path / "data") | {
        "SENDLENS_BROKER_MB": "24",
        "SENDLENS_PARTITIONS": "12",
        "SENDLENS_TOKEN_KEYS": "1:" + "k" * 32,
        "SENDLENS_TRUSTED_PROXIES": "127.0.0.1/32",
    }
    del settings["SENDLENS_SETTLE_SECONDS"]  # as it is by default
    times, inbox, port = tmp_path / "times", Inbox(), int(settings["SENDLENS_SMTP_PORT"])
    command = ["tests.bench.visitors", settings["SENDLENS_INGEST_PORT"], str(_RATE), str(_SECONDS), str(times)]
    with (
        running(["up"], settings, tmp_path / "up.log") as stack,
        httpx.Client(base_url=settings["SENDLENS_PUBLIC_URL"], timeout=30) as http,
    ):
        wait_until(lambda: is_ready(http), 60, "ingest")
        assert http.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        sends = [a_send(1, f"lead-{number}") for number in range(_EMAILS)]
        assert http.post("/v1/sends", json={"sends": sends}).json()["accepted"] == _EMAILS
        visitors = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=os.environ | settings)
        try:
            wait_until(
                lambda: _CLOSED in stack.output() or visitors.poll() is not None, 120, "a broker without backlog"
            )
            assert visitors.poll() is None, f"it is replaced while they come\n{stack.output()}"
            assert visitors.wait(120) == 0
        finally:
            visitors.kill()
        wait_until(lambda: _REPLACED in stack.output(), 60, "another broker")
        answered = array("d", times.read_bytes())[1::2]
        assert all(answered), f"{answered.count(0.0)} of {len(answered)} were not answered with the pixel"
        everyone = [(_RATE * _SECONDS,) * 4]
        wait_until(lambda: ask(settings, _COUNTS) == everyone, 120, "every visitor once, stored and judged", every=0.5)
        assert inbox.mails == []
        with serving(inbox, port):
            wait_until(lambda: len(inbox.mails) >= _EMAILS, 60, "the emails, of an earlier broker")
            sent = "SELECT count() FROM events FINAL WHERE kind = 'sent'"
            wait_until(lambda: ask(settings, sent) == [(_EMAILS,)], 60, "each to be sent")
            assert set(
                Counter(str(message_from_bytes(raw, policy=policy.default)["To"]) for raw in inbox.mails).values()
            ) == {1}
            assert ask(settings, "SELECT count() FROM events FINAL WHERE kind = 'skipped'") == [(0,)]
            stack.popen.send_signal(signal.SIGINT)
            assert stack.popen.wait(120) == 0, stack.output()
