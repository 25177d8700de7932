"""What the stages do for a hit's sake to be found soon: topics stored side by side, small records of events joined."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch
from uuid import uuid4

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from agents.judge.judge import Judge
from agents.store.store import Store
from clickhouse.store import connect, insert_lines
from decisions.robots.rules import Rules
from schemas.events import Campaign, lines
from schemas.settings import Settings, load
from schemas.topics import CAMPAIGNS, HITS
from stream.records import Record
from tests.agents.paper_kafka import Log, View
from tests.decisions.robots.hits import hit
from tests.support.migrated import start_migrated

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Settings]:
    process = start_migrated(tmp_path / "clickhouse")
    settings = load(clickhouse_url=process.url, data_dir=tmp_path)
    yield settings
    process.kill()


def of_hits(offset: int, count: int, partition: int = 0) -> Record:
    value = lines([hit(id=str(uuid4()), at=NOW) for _ in range(count)])
    return Record(HITS, partition, offset, b"", value, NOW.timestamp())


async def test_no_topic_waits_for_another_ones_insert(database: Settings) -> None:
    """Each insert begins only when the other has: one after the other would wait for ever."""
    both = threading.Barrier(2, timeout=20)

    def meet(client: Client, table: str, rows: bytes) -> None:
        both.wait()
        insert_lines(client, table, rows)

    campaign = replace(
        of_hits(0, 1), topic=CAMPAIGNS, value=lines([Campaign(id="spring", name="Spring", created_at=NOW)])
    )
    store = Store(database)
    with patch("agents.store.store.insert_lines", meet):
        handled = await store.handle([of_hits(0, 3), campaign])
    await store.stop()
    assert handled.dead == []
    with connect(database) as client:
        found = client.query("SELECT (SELECT count() FROM hits), (SELECT count() FROM campaigns)")
        assert found.result_rows == [(3, 1)]


async def test_each_statement_that_counts_ahead_rests_twice_as_long_as_it_took() -> None:
    now, rests = 0.0, []

    def steps(*_: object, **__: object) -> Iterator[int]:
        nonlocal now
        for seconds in (0.1, 0.3):
            now += seconds
            yield 1

    async def rest(seconds: float) -> None:
        nonlocal now
        now += seconds
        rests.append(seconds)

    with (
        patch("agents.store.store.roll_steps", steps),
        patch("agents.store.store.connect"),
        patch("agents.store.store.time", SimpleNamespace(monotonic=lambda: now)),
        patch("agents.store.store.asyncio.sleep", rest),
    ):
        assert await Store(load())._roll() == 2
    assert rests == [pytest.approx(0.2), pytest.approx(0.6)]


def ids(batch: bytes) -> list[str]:
    return [msgspec.json.decode(line)["id"] for line in batch.splitlines()]


async def judged(records: list[Record], rules: Rules) -> list[tuple[int, int]]:
    """Partition and number of events of each record that the judge writes; the events must be the hits', in order."""
    judge = Judge(load(), rules)
    judge._deliveries = View(Log(time.time))  # type: ignore[assignment]
    with patch("agents.judge.judge.records_before", lambda *_: []):
        out = (await judge.handle(records)).out
    for partition in {record.partition for record in records}:
        hits = b"".join(record.value for record in records if record.partition == partition)
        events = b"".join(one.value for one in out if one.partition == partition)
        assert ids(events) == ids(hits)
    return [(one.partition, one.value.count(b"\n")) for one in out]


async def test_small_records_of_a_partition_become_one_record_of_events(rules: Rules) -> None:
    records = [of_hits(0, 1), of_hits(0, 2, partition=1), of_hits(1, 1), of_hits(2, 3)]
    assert await judged(records, rules) == [(0, 5), (1, 2)]


async def test_large_records_stay_what_they_are(rules: Rules) -> None:
    assert await judged([of_hits(0, 300), of_hits(1, 300), of_hits(2, 1)], rules) == [(0, 300), (0, 300), (0, 1)]
