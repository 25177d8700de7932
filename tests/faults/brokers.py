"""Faults of single brokers of three. Each befalls the cluster in the middle of a load, and the cluster is whole at the
end."""

from __future__ import annotations

import threading

import pytest

from agents.pipeline import JUDGE
from schemas.topics import HITS
from stream.offsets import group_of
from tests.faults.load import Load
from tests.faults.works import Works
from tests.support.cluster import Cluster
from tests.support.small_disk import empty, fill
from tests.support.waiting import wait_until


def leader_killed(works: Works, load: Load, pause: float) -> None:
    """SIGKILL to the broker that leads a partition of hits; it comes back later."""
    cluster = _under_load(works, load)
    node = cluster.leader(works.stream.settings.topic(HITS), 0)
    node.kill()
    threading.Event().wait(pause)
    cluster.start()


def coordinator_killed(works: Works, load: Load, pause: float) -> None:
    """SIGKILL to the broker that coordinates the judge's group, so that its workers must find another."""
    cluster = _under_load(works, load)
    cluster.coordinator(group_of(works.stream.settings, JUDGE.name)).kill()
    threading.Event().wait(pause)
    cluster.start()


def rolling_restart(works: Works, load: Load, pause: float) -> None:
    """Each broker is stopped in an orderly way and started again, one after the other, as at an upgrade."""
    cluster = _under_load(works, load)
    for node in cluster.nodes:
        node.stop()
        cluster.start()


def broker_paused(works: Works, load: Load, pause: float) -> None:
    """The broker that leads a partition of hits hangs; its connections stay open and say nothing."""
    cluster = _under_load(works, load)
    node = cluster.leader(works.stream.settings.topic(HITS), 0)
    node.pause()
    threading.Event().wait(pause)
    node.resume()
    cluster.wait_until_whole()


def two_brokers_paused(works: Works, load: Load, pause: float) -> None:
    """Two of three hang: nothing can be acknowledged, nor a leader be chosen."""
    cluster = _under_load(works, load)
    for node in cluster.nodes[:2]:
        node.pause()
    threading.Event().wait(pause)
    for node in cluster.nodes[:2]:
        node.resume()
    cluster.wait_until_whole()


def broker_disk_full(works: Works, load: Load, pause: float) -> None:
    """The disk of one broker is full. Kafka ends a broker that can't write; it is started again with room."""
    cluster = _cluster(works)
    node = cluster.on_small_disk
    if node is None:
        pytest.skip("only root may mount a small disk")
    _under_load(works, load)
    process = node.process
    assert process is not None

    def ended() -> bool:
        fill(node.data)  # again and again: Kafka deletes old topics meanwhile
        return process.poll() is not None

    try:
        wait_until(ended, 120, "the end of the broker that can't write", every=0.2)
        threading.Event().wait(pause)
    finally:
        empty(node.data)
    cluster.heal()


def _under_load(works: Works, load: Load) -> Cluster:
    """A worker, and a third of the load."""
    works.a_worker()
    load.start()
    load.wait_for(1 / 3)
    return _cluster(works)


def _cluster(works: Works) -> Cluster:
    broker = works.stream.broker
    assert isinstance(broker, Cluster)
    return broker


BROKER_FAULTS = (
    leader_killed, coordinator_killed, rolling_restart, broker_paused, two_brokers_paused, broker_disk_full,
)  # fmt: skip
