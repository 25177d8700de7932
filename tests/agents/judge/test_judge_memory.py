"""A judge that runs for weeks: what it holds is bounded, however many hits it has seen."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from ipaddress import IPv4Address
from unittest.mock import patch
from uuid import UUID

from agents.judge.judge import Judge
from decisions.robots.rules import Rules
from schemas.events import lines
from schemas.settings import load
from schemas.topics import HITS
from stream.records import Record
from tests.agents.paper_kafka import Log, View
from tests.decisions.robots.hits import hit

A_SECOND, A_RECORD, PARTITIONS = 500, 50, 4
BEGIN = 1_795_000_000
# More addresses than are remembered, and longer than clicks are: from then on as much is forgotten as comes.
WARM_SECONDS = 40
# A fifth of what the same number of hits takes when one of a judge's memories grows with each (190 bytes an address).
GROWTH = 768 << 10


def hits_of(second: int) -> list[Record]:
    """The hits of a second, each of an email and an address of its own, a fifth of them clicks."""
    at = BEGIN + second
    records = []
    for first in range(second * A_SECOND, (second + 1) * A_SECOND, A_RECORD):
        value = lines(
            [
                hit(
                    id=str(UUID(int=number)),
                    at=datetime.fromtimestamp(at, UTC),
                    delivery_id=str(UUID(int=number)),
                    ip=str(IPv4Address(0x0B000000 + number)),
                    kind="open" if number % 5 else "click",
                    link_id="" if number % 5 else "a",
                )
                for number in range(first, first + A_RECORD)
            ]
        )
        records.append(Record(HITS, first // A_RECORD % PARTITIONS, first, b"", value, float(at)))
    return records


async def test_what_a_judge_holds_does_not_grow_with_the_hits_that_it_has_judged(rules: Rules) -> None:
    now = float(BEGIN)
    judge = Judge(load(), rules, clock=lambda: now)
    judge._deliveries = View(Log(lambda: now))  # type: ignore[assignment]
    held = []
    tracemalloc.start()
    try:
        with patch("agents.judge.judge.records_before", lambda *_: []):
            for second in range(2 * WARM_SECONDS):
                now = float(BEGIN + second)
                records = hits_of(second)
                for record in records:
                    judge.arrived(record)
                handled = await judge.handle(records)
                assert sum(one.value.count(b"\n") for one in handled.out) == A_SECOND
                del records, record, handled
                held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert held[-1] - held[WARM_SECONDS - 1] < GROWTH
