"""Apache Kafka for the tests: a node of its own on free loopback ports, or one that stands elsewhere.

`make kafka` brings it. SENDLENS_TEST_KAFKA=host:port takes a running broker instead; topic prefixes keep runs apart.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from commands.broker.kafka_node import KafkaNode, java_command
from schemas.settings.kafka_files import kafka_missing
from tests.support.broker import Broker, speaks
from tests.support.processes import free_port

ELSEWHERE = "SENDLENS_TEST_KAFKA"

_START_SECONDS = 120.0
_STOP_SECONDS = 30.0


def missing() -> str:
    """Why there is no Apache Kafka to test on; empty when there is."""
    if os.environ.get(ELSEWHERE):
        return ""
    return kafka_missing()


def cluster_settings() -> dict[str, object]:
    """An installation in cluster mode, with the secrets that it insists on."""
    return {
        "mode": "cluster",
        "token_keys": "1:a-key-of-these-tests",
        "api_key": "an-api-key-of-these-tests",
        "relay_list_url": "",  # tests ask nobody outside
        "session_seconds": 10.0,  # a test that kills a worker waits for it to be missed: 30 s by default
    }


@dataclass
class Kafka:
    """One KRaft node, broker and controller. Its records lie in `data` and outlive the process.

    `voters` are the controllers of its cluster, `id@host:port` each; empty: it is alone. `replicas` is how many copies
    the cluster keeps of its own topics.
    """

    folder: Path
    port: int
    controller_port: int
    node: int = 1
    voters: str = ""
    replicas: int = 1
    memory: str = "512m"
    properties: dict[str, object] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def surroundings(self) -> dict[str, object]:
        return cluster_settings()

    @property
    def log(self) -> Path:
        return self.folder / "kafka.log"

    @property
    def data(self) -> Path:
        return self._node.data

    def start(self) -> None:
        """Start it, with what it kept, and wait until it speaks Kafka."""
        self.launch()
        self.wait_until_it_speaks()

    def launch(self) -> None:
        """Start it and return at once: a node of a cluster speaks only when others do."""
        assert self.process is None, "it runs already"
        self._node.prepare()
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(self._node.command, cwd=self.folder, stdout=out, stderr=subprocess.STDOUT)

    def wait_until_it_speaks(self) -> None:
        """Fails when it ends instead."""
        assert self.process is not None, "it was not launched"
        deadline = time.monotonic() + _START_SECONDS
        while not speaks(self.bootstrap):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Kafka did not start on port {self.port}:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process is None:
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self) -> None:
        """Stop it from doing anything, as a machine does that hangs (SIGSTOP). Its connections stay open."""
        assert self.process is not None, "it does not run"
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        self.kill()
        shutil.rmtree(self.data)
        self.start()

    @property
    def _node(self) -> KafkaNode:
        return KafkaNode(
            self.folder,
            self.port,
            self.controller_port,
            number=self.node,
            voters=self.voters,
            replicas=self.replicas,
            java=(*java_command(), f"-Xmx{self.memory}"),
            properties=self.properties,
        )


@dataclass
class Elsewhere:
    """A broker that the tests were pointed at. They use it; they can't end it, and don't empty it."""

    bootstrap: str

    @property
    def surroundings(self) -> dict[str, object]:
        return cluster_settings()

    def stop(self) -> None:
        """Others use it."""

    def kill(self) -> None:
        pytest.skip(f"the broker of {ELSEWHERE} is not ours to kill")

    def start(self) -> None:
        """It runs."""

    def forget(self) -> None:
        pytest.skip(f"the broker of {ELSEWHERE} is not ours to empty")


def start_kafka(folder: Path) -> Kafka:
    """Start a node whose records lie in `folder`."""
    kafka = Kafka(folder, free_port(), free_port())
    kafka.folder.mkdir(parents=True, exist_ok=True)
    kafka.start()
    return kafka


def a_kafka(folder: Path) -> Broker:
    """The broker that the tests were pointed at, or a node of their own; skips the test where there is neither."""
    if why := missing():
        pytest.skip(why)
    elsewhere = os.environ.get(ELSEWHERE)
    return Elsewhere(elsewhere) if elsewhere else start_kafka(folder)
