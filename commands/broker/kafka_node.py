"""A node of Apache Kafka on this machine: its properties, its folder, the command that runs it.

Kafka's own scripts are not needed: the libraries that `make kafka` brings are all that a node is.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from schemas.errors import Misconfigured
from schemas.settings.kafka_files import KAFKA_LIBS, KAFKA_LOG_CONFIG, java_program

# Beside a node there is all the rest on one machine: little memory, enough for some hundred partitions and requests of
# 9 MB, and little compiling, a third of the work of a start. One that has run out of memory is better started again.
_JAVA_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+ExitOnOutOfMemoryError", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# A cluster's name must be known before its first start. No two of our nodes ever meet: they listen on loopback.
_CLUSTER_ID = "nH04x5nOQ0yExOGdkF1aCA"


def java_command() -> list[str]:
    """What runs Java for a node, with our options."""
    return [java_program(), *_JAVA_OPTIONS]


@dataclass(frozen=True)
class KafkaNode:
    """A KRaft node, broker and controller, that listens on loopback alone. Its records lie in `data`.

    `voters` are the controllers of its cluster, `id@host:port` each; empty: it is alone. `replicas` is how many copies
    the cluster keeps of its own topics. `properties` are put over ours.
    """

    folder: Path
    port: int
    controller_port: int
    number: int = 1
    voters: str = ""
    replicas: int = 1
    java: Sequence[str] = field(default_factory=java_command)
    properties: Mapping[str, object] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where it answers, `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        """Where its records lie."""
        return self.folder / "data"

    @property
    def command(self) -> list[str]:
        """What runs it, once it is prepared."""
        return self._java("kafka.Kafka", str(self._file))

    def prepare(self) -> None:
        """Write its properties, and make its folder where there is none. Raises Misconfigured when Kafka does not."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if (self.data / "meta.properties").exists():
            return
        command = self._java("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._file))
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)  # noqa: S603  # our own
        if done.returncode:
            raise Misconfigured(f"Kafka does not take {self.data}: {done.stdout}{done.stderr}".strip())

    @property
    def _file(self) -> Path:
        return self.folder / "server.properties"

    def _properties(self) -> dict[str, object]:
        """Written at every start: another start may have other ports."""
        alone = f"{self.number}@127.0.0.1:{self.controller_port}"
        ours: dict[str, object] = {
            "process.roles": "broker,controller",
            "node.id": self.number,
            "controller.quorum.voters": self.voters or alone,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
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
        return {**ours, **self.properties}

    def _java(self, *arguments: str) -> list[str]:
        log_config = f"-Dlog4j2.configurationFile={KAFKA_LOG_CONFIG}"
        return [*self.java, log_config, "-cp", f"{KAFKA_LIBS}/*", *arguments]
