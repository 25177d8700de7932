"""One machine with Apache Kafka, as `make kafka` and `make up` make it: what was answered outlives any kill -9."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.installation import environment, killed, running
from tests.support.kafka import missing
from tests.support.migrated import lay_migrated
from tests.support.processes import Process
from tests.support.waiting import wait_until
from tests.test_up import Inbox, a_send, ask, is_ready, serving
from tests.world.mailserver import Received

_CLIENTS = 4


class Load:
    """Fetches a pixel over several connections, each time as another mail client; `answered` is what was promised."""

    def __init__(self, pixel: str) -> None:
        self._pixel = pixel
        self._number = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(_CLIENTS)]
        self.answered: set[str] = set()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, more: int) -> None:
        """Until so many more were answered."""
        before = len(self.answered)
        wait_until(lambda: len(self.answered) >= before + more, 60, f"{more} more answers")

    def _run(self) -> None:
        with httpx.Client(timeout=30) as http:
            while not self._stopping.is_set():
                with self._lock:
                    self._number += 1
                    agent = f"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0 hit-{self._number}"
                try:
                    status = http.get(self._pixel, headers={"User-Agent": agent}).status_code
                except httpx.TransportError:  # ingest was killed with it in hand: nothing was promised
                    self._stopping.wait(0.05)
                    continue
                if status == 200:
                    self.answered.add(agent)


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def settings(tmp_path: Path, inbox: Inbox) -> Iterator[dict[str, str]]:
    if why := missing():
        pytest.skip(why)
    values = environment(tmp_path / "data") | {
        "SENDLENS_BROKER": "kafka",
        "SENDLENS_SETTLE_SECONDS": "1",
        "SENDLENS_SESSION_SECONDS": "6",  # whose worker was killed waits for that to be known
        "SENDLENS_SOURCE_HITS_PER_SECOND": "0",  # one address asks for all
    }
    lay_migrated(tmp_path / "data" / "clickhouse")
    with serving(inbox, int(values["SENDLENS_SMTP_PORT"])):
        yield values


def broker_pids(stack: Process) -> list[int]:
    """The process ids of Kafka, the newest last."""
    return [int(pid) for pid in re.findall(r"broker is ready.*pid=(\d+)", stack.output())]


def stored(settings: dict[str, str], table: str) -> Counter[str]:
    """How often each hit is in a table, by its mail client."""
    rows = ask(settings, f"SELECT user_agent, count() FROM {table} FINAL WHERE user_agent LIKE '%hit-%' GROUP BY 1")
    return Counter(dict(rows))


def all_of(load: Load, settings: dict[str, str], table: str) -> Callable[[], bool]:
    return lambda: load.answered <= stored(settings, table).keys()


@pytest.mark.timeout(600)
def test_what_was_answered_outlives_a_broker_and_a_machine_s_processes_that_are_killed(
    settings: dict[str, str], inbox: Inbox, tmp_path: Path
) -> None:
    url, log = settings["SENDLENS_PUBLIC_URL"], tmp_path / "up.log"
    sends = {"sends": [a_send(1, "ada"), a_send(1, "bob")]}
    with running(["up"], settings, log) as stack, httpx.Client(base_url=url, timeout=30) as http:
        wait_until(lambda: is_ready(http), 60, "ingest")
        assert "The broker is Apache Kafka, its log in" in stack.output()
        assert http.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        assert http.post("/v1/sends", json=sends).json()["accepted"] == 2
        wait_until(lambda: len(inbox.mails) == 2, 60, "both emails")
        pixel = Received(inbox.mails[0]).pixels[0]
        with Load(pixel) as load:
            load.wait_for(200)
            os.kill(broker_pids(stack)[0], signal.SIGKILL)
            load.wait_for(200)  # while Kafka is away, and when it is back
            wait_until(lambda: len(broker_pids(stack)) == 2, 60, "Kafka again")
            load.wait_for(200)
            killed(stack, settings)  # all at once, as when the machine's memory is up
        assert len(load.answered) >= 600

    with running(["up"], settings, log) as stack, httpx.Client(base_url=url, timeout=30) as http:
        wait_until(lambda: is_ready(http), 60, "ingest after the kill")
        wait_until(all_of(load, settings, "hits"), 60, "every answered hit in hits", every=0.5)
        wait_until(all_of(load, settings, "events"), 60, "every answered hit's event", every=0.5)
        assert set(stored(settings, "events").values()) == {1}, "none counted twice"
        assert http.post("/v1/sends", json=sends).json()["accepted"] == 2, "the campaign is still known"
        skipped = "SELECT count() FROM events FINAL WHERE kind = 'skipped' AND reason = 'duplicate'"
        wait_until(lambda: ask(settings, skipped) == [(2,)], 60, "what was sent before to be skipped", every=0.5)
        assert len(inbox.mails) == 2
        stack.popen.send_signal(signal.SIGINT)
        assert stack.popen.wait(120) == 0, stack.output()
