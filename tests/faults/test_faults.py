"""What breaks under load on Apache Kafka changes no number.

Small loads always; 200,000 hits each by `make faults` (docs/reliability.md has what was seen).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scenarios import FAULTS, Fault, befall, kill_broker, stop_broker
from tests.support.broker import Broker

_OFTEN = tuple(fault for fault in FAULTS if fault is not kill_broker)


def by_name(fault: Fault) -> str:
    return fault.__name__


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", _OFTEN, ids=by_name)
def test_a_fault_under_load_changes_no_number(fault: Fault, tmp_path: Path, kafka: Broker) -> None:
    count = befall(fault, tmp_path, kafka, hits=10_000, rate=800, settle=1.0, pause=3.0)
    assert count.answered >= 9_000


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fault", FAULTS, ids=by_name)
def test_a_fault_under_a_load_of_200_000_hits_changes_no_number(fault: Fault, tmp_path: Path, kafka: Broker) -> None:
    pause = 30.0 if fault in (stop_broker, kill_broker) else 10.0
    count = befall(fault, tmp_path, kafka, hits=201_000, rate=None, settle=5.0, pause=pause)
    assert count.answered >= 200_000
