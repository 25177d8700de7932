"""What breaks under load on Apache Kafka changes no number.

Some under small loads always; all under 200,000 hits each by `make faults` (docs/reliability.md has what was seen).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scenarios import (
    FAULTS,
    Fault,
    befall,
    befall_in_a_row,
    kill_broker,
    kill_ingest,
    kill_ingest_without_broker,
    kill_worker,
    rebalance,
    stop_broker,
)
from tests.support.broker import Broker

# What the small loads on three brokers don't break (test_cluster.py), nor a stack that is killed (test_one_machine.py).
_OFTEN: tuple[Fault, ...] = (kill_ingest, kill_worker, kill_ingest_without_broker, rebalance)
_WITHOUT_KAFKA = (stop_broker, kill_broker, kill_ingest_without_broker)


def by_name(fault: Fault) -> str:
    return fault.__name__


def test_faults_in_a_row_under_load_change_no_number(tmp_path: Path, kafka: Broker) -> None:
    row = [(fault, 2.0) for fault in _OFTEN]
    count = befall_in_a_row(row, tmp_path, kafka, hits=2_400, rate=800, settle=1.0, session_seconds=6.0)
    assert count.answered >= 0.92 * 2_400 * len(row)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=by_name)
def test_a_fault_under_a_load_of_200_000_hits_changes_no_number(fault: Fault, tmp_path: Path, kafka: Broker) -> None:
    pause = 30.0 if fault in _WITHOUT_KAFKA else 10.0
    count = befall(fault, tmp_path, kafka, hits=201_000, rate=None, settle=5.0, pause=pause)
    assert count.answered >= 200_000
