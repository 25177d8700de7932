"""Three brokers of Apache Kafka on this machine that keep three copies of everything, for what one node can't show.

`migrate` makes the topics as on a real cluster: with three copies, of which two must have a record before it is
acknowledged.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from tests.support.kafka import Kafka, cluster_settings
from tests.support.processes import free_port
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

NODES = 3
_START_SECONDS = 90.0
_SMALL_DISK_MB = 1024  # the records of a load of 200,000 hits, and room
# How long a follower may lag before the leader goes on without it. Kafka's own is 30 s: so a fault of seconds shows what
# one of minutes does. A broker that is silent for 9 s is taken for dead, as everywhere.
_QUICK = {"replica.lag.time.max.ms": 10_000}


@dataclass
class Cluster:
    """All brokers, as one: a broker to the tests. `nodes` are its own, to be killed one by one; the data of the last is
    on a disk that can be filled, where we may mount one."""

    nodes: list[Kafka]
    on_small_disk: Kafka | None = None

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes)

    @property
    def surroundings(self) -> dict[str, object]:
        return cluster_settings() | {"replication": NODES}

    def start(self) -> None:
        """Start those that don't run, and wait until all are there."""
        with ThreadPoolExecutor(NODES) as side_by_side:
            list(side_by_side.map(Kafka.launch, [node for node in self.nodes if node.process is None]))
        for node in self.nodes:
            node.wait_until_it_speaks()
        self.wait_until_whole()

    def stop(self) -> None:
        for node in self.nodes:
            node.resume()
        for node in self.nodes:  # at once: the last could not hand over to anybody
            if node.process is not None:
                node.process.terminate()
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def forget(self) -> None:
        raise NotImplementedError("a cluster does not forget")

    def heal(self) -> None:
        """All as they were: for the next test, whatever the last one left."""
        for node in self.nodes:
            node.resume()
            if node.process is not None and node.process.poll() is not None:
                node.process = None
        self.start()

    def wait_until_whole(self, deadline: float = _START_SECONDS) -> None:
        """Wait until every broker is there and every partition has all its copies in sync."""
        wait_until(self._whole, deadline, "a cluster with every copy in sync", every=0.3)

    def leader(self, topic: str, partition: int) -> Kafka:
        """The broker that leads a partition."""
        with self._admin() as admin:
            (described,) = admin.describe_topics([topic])
        (number,) = [p["leader_id"] for p in described["partitions"] if p["partition_index"] == partition]
        return self._node(number)

    def coordinator(self, group: str) -> Kafka:
        """The broker that coordinates a consumer group."""
        with self._admin() as admin:
            return self._node(admin._manager.run(admin._find_coordinator_id, group))

    def others(self, node: Kafka) -> list[Kafka]:
        return [one for one in self.nodes if one is not node]

    def _whole(self) -> bool:
        try:
            with self._admin() as admin:
                if len(admin.describe_cluster()["brokers"]) < NODES:
                    return False
                return all(
                    len(partition["isr_nodes"]) == len(partition["replica_nodes"]) and partition["leader_id"] >= 0
                    for topic in admin.describe_topics()
                    for partition in topic["partitions"]
                )
        except (KafkaError, OSError):
            return False

    def _node(self, number: int) -> Kafka:
        return next(node for node in self.nodes if node.node == number)

    @contextmanager
    def _admin(self) -> Iterator[KafkaAdminClient]:
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","), bootstrap_timeout_ms=2000)
        try:
            yield admin
        finally:
            admin.close()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Three nodes whose records lie in `folder`, killed and forgotten at the end."""
    ports = [(free_port(), free_port()) for _ in range(NODES)]
    voters = ",".join(f"{n}@127.0.0.1:{controller}" for n, (_, controller) in enumerate(ports, 1))
    nodes = [
        Kafka(folder / f"node-{n}", port, controller, n, voters, NODES, "256m", dict(_QUICK))
        for n, (port, controller) in enumerate(ports, 1)
    ]
    for node in nodes:
        node.folder.mkdir(parents=True, exist_ok=True)
    with small_disk(nodes[-1].data, _SMALL_DISK_MB) as mounted:
        cluster = Cluster(nodes, nodes[-1] if mounted else None)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.kill()
            for node in nodes:
                shutil.rmtree(node.data, ignore_errors=True)
