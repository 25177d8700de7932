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

from tests.support.broker import Broker, speaks
from tests.support.processes import ROOT, free_port

HERE = ROOT / ".kafka"
ELSEWHERE = "SENDLENS_TEST_KAFKA"

# Beside what a test starts there are other tests and two cores: little memory, little compiling.
_JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_CLUSTER_ID = "nH04x5nOQ0yExOGdkF1aCA"
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0


def missing() -> str:
    """Why there is no Apache Kafka to test on; empty when there is."""
    if os.environ.get(ELSEWHERE):
        return ""
    if shutil.which("java") is None:
        return "no Java here for Apache Kafka"
    if not (HERE / "ready").exists():
        return "no Apache Kafka here: `make kafka` brings it"
    return ""


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
        return self.folder / "data"

    def start(self) -> None:
        """Start it, with what it kept, and wait until it speaks Kafka."""
        self.launch()
        self.wait_until_it_speaks()

    def launch(self) -> None:
        """Start it and return at once: a node of a cluster speaks only when others do."""
        assert self.process is None, "it runs already"
        if not (self.data / "meta.properties").exists():
            self._format()
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._properties)), cwd=self.folder, stdout=out, stderr=subprocess.STDOUT
            )

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
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _format(self) -> None:
        """Give the node an empty folder and its identity, as Kafka wants before the first start."""
        self.data.mkdir(parents=True, exist_ok=True)
        alone = f"{self.node}@127.0.0.1:{self.controller_port}"
        settings: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": self.node,
            "controller.quorum.voters": self.voters or alone,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": self.data,
            "auto.create.topics.enable": "false",  # as in docker-compose.yml
            # A single node can't keep the 3 copies that these have by default.
            "offsets.topic.replication.factor": self.replicas,
            "transaction.state.log.replication.factor": self.replicas,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": self.replicas,
            "share.coordinator.state.topic.min.isr": 1,
            # For speed: a first join otherwise waits 3 s for others, and 50 partitions take their time to make.
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.num.partitions": 4,
        }
        said = settings | self.properties
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
        command = self._java("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._properties))
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def _java(self, *arguments: str) -> list[str]:
        log_config = f"-Dlog4j2.configurationFile={ROOT / 'tests' / 'kafka' / 'log4j2.properties'}"
        return [*_JAVA, f"-Xmx{self.memory}", log_config, "-cp", f"{HERE / 'libs'}/*", *arguments]


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
