"""What breaks under load on Apache Kafka changes no number.

Small loads always; 200,000 hits each by `make faults` (docs/reliability.md has what was seen).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.scenarios import (
    FAULTS,
    Fault,
    befall,
    kill_broker,
    kill_ingest_without_broker,
    scale_out,
    stop_broker,
)
from tests.support.broker import Broker
from tests.support.kafka import Kafka, a_kafka

# A second worker that joins and leaves shows all that a small load can show of two more.
_OFTEN = tuple(fault for fault in FAULTS if fault is not scale_out)
_WITHOUT_KAFKA = (stop_broker, kill_broker, kill_ingest_without_broker)


def by_name(fault: Fault) -> str:
    return fault.__name__


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One Apache Kafka for all faults, which end it and start it again."""
    folder = tmp_path_factory.mktemp("kafka")
    kafka = a_kafka(folder)
    yield kafka
    kafka.stop()
    shutil.rmtree(folder / "data", ignore_errors=True)


@pytest.fixture
def shared(node: Broker) -> Broker:
    """The node, started again where a fault that failed has left it dead."""
    if isinstance(node, Kafka) and node.process is None:
        node.start()
    return node


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", _OFTEN, ids=by_name)
def test_a_fault_under_load_changes_no_number(fault: Fault, tmp_path: Path, shared: Broker) -> None:
    count = befall(fault, tmp_path, shared, hits=6_000, rate=800, settle=1.0, pause=2.0)
    assert count.answered >= 5_500


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=by_name)
def test_a_fault_under_a_load_of_200_000_hits_changes_no_number(fault: Fault, tmp_path: Path, kafka: Broker) -> None:
    pause = 30.0 if fault in _WITHOUT_KAFKA else 10.0
    count = befall(fault, tmp_path, kafka, hits=201_000, rate=None, settle=5.0, pause=pause)
    assert count.answered >= 200_000
