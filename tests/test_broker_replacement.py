"""One machine with the broker in memory, which is replaced again and again under load: nothing is lost, nothing twice."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.installation import environment, running
from tests.support.processes import Process
from tests.support.waiting import wait_until
from tests.test_one_machine import Load, all_of, stored
from tests.test_up import Inbox, a_send, is_ready, serving
from tests.world.mailserver import Received

_LIMIT_MB = 24
_SWAPS = 5
_REPLACED = "the broker was replaced by an empty one"


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def settings(tmp_path: Path, inbox: Inbox) -> Iterator[dict[str, str]]:
    values = environment(tmp_path / "data") | {
        "SENDLENS_BROKER_MB": str(_LIMIT_MB),
        "SENDLENS_SETTLE_SECONDS": "1",
        "SENDLENS_SOURCE_HITS_PER_SECOND": "0",  # one address asks for all
    }
    with serving(inbox, int(values["SENDLENS_SMTP_PORT"])):
        yield values


class Persistent(Load):
    """A load that also notes what was not answered with the pixel."""

    def __init__(self, pixel: str) -> None:
        super().__init__(pixel)
        self.failed: list[str] = []

    def _run(self) -> None:
        with httpx.Client(timeout=30) as http:
            while not self._stopping.is_set():
                with self._lock:
                    self._number += 1
                    agent = f"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) {'x' * 300} Firefox/133.0 hit-{self._number}"
                try:
                    status = http.get(self._pixel, headers={"User-Agent": agent}).status_code
                except httpx.TransportError as error:
                    self.failed.append(repr(error))
                    continue
                if status == 200:
                    self.answered.add(agent)
                else:
                    self.failed.append(str(status))


def replaced(stack: Process) -> int:
    return stack.output().count(_REPLACED)


@pytest.mark.timeout(900)
def test_five_brokers_later_every_answered_hit_is_there_once(
    settings: dict[str, str], inbox: Inbox, tmp_path: Path
) -> None:
    url = settings["SENDLENS_PUBLIC_URL"]
    sends = {"sends": [a_send(1, "ada"), a_send(1, "bob")]}
    with running(["up"], settings, tmp_path / "up.log") as stack, httpx.Client(base_url=url, timeout=30) as http:
        wait_until(lambda: is_ready(http), 60, "ingest")
        assert http.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        assert http.post("/v1/sends", json=sends).json()["accepted"] == 2
        wait_until(lambda: len(inbox.mails) == 2, 60, "both emails")
        with Persistent(Received(inbox.mails[0]).pixels[0]) as load:
            wait_until(lambda: replaced(stack) >= _SWAPS, 700, "five brokers")
        assert not load.failed, load.failed[:5]
        for table in ("hits", "events"):
            wait_until(all_of(load, settings, table), 60, f"every answered hit in {table}", every=0.5)
            assert set(stored(settings, table).values()) == {1}
        assert len(inbox.mails) == 2
        stack.popen.send_signal(signal.SIGINT)
        assert stack.popen.wait(120) == 0, stack.output()
