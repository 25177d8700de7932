"""Records that were fetched and not handed on come again, and are not committed past meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from agents.runtime.passed_over import PassedOver

HITS = TP("hits", 0)
_BATCH = 5


class _Played(Consumer):
    """Faust's consumer on a partition that has records at some offsets. Before the fetches in `skips` it forgets what
    comes next, once; `committed` is each commit as it came."""

    def __init__(self, held: int, there: Sequence[int], skips: Mapping[int, int]) -> None:
        app = faust.App("passed-over", broker="kafka://127.0.0.1:1", web_enabled=False)
        app.finalize()

        async def nothing(*_: Any, **__: Any) -> None: ...

        super().__init__(app.transport, self.take, on_partitions_revoked=nothing, on_partitions_assigned=nothing)
        app.topics.acks_enabled_for = lambda topic: True  # type: ignore[method-assign]
        self.held, self.there, self.skips = held, there, dict(skips)
        self.position, self.fetches = held, 0
        self.taken: list[ConsumerMessage] = []
        self.committed: list[int] = []
        self.done = asyncio.Event()

    async def take(self, message: ConsumerMessage) -> None:
        self.taken.append(message)

    def assignment(self) -> set[TP]:
        return {HITS}

    def highwater(self, tp: TP) -> int:
        return self.there[-1] + 1

    async def seek_to_committed(self) -> Mapping[TP, int]:
        self.position = self.held
        return {HITS: self.held}

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        self.position = partitions[HITS]

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self.committed.append(offsets[HITS])
        return True

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109
        self.position += self.skips.pop(self.fetches, 0)
        self.fetches += 1
        left = [offset for offset in self.there if offset >= self.position][:_BATCH]
        if not left:
            self.done.set()
            await asyncio.sleep(0.01)
            return {}
        self.position = left[-1] + 1
        return {HITS: [SimpleNamespace(offset=offset) for offset in left]}

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        return ConsumerMessage(tp.topic, tp.partition, record.offset, 0.0, 0, [], None, None, None, tp=tp)


class _Asking(PassedOver, _Played):
    """What wiring makes of it."""


async def read_all(consumer: _Played) -> list[int]:
    """All that is handed on, each acknowledged and committed as it comes."""
    await consumer.perform_seek()
    consumer.resume_partitions({HITS})
    consumer.resume_flow()
    stopped = asyncio.Event()
    draining = asyncio.create_task(consumer._drain_messages(SimpleNamespace(_stopped=stopped)))  # type: ignore[arg-type]
    acknowledged = 0
    while not (consumer.done.is_set() and acknowledged == len(consumer.taken)):
        await asyncio.sleep(0)
        for message in consumer.taken[acknowledged:]:
            acknowledged += 1
            before = consumer.committed[-1:] or [consumer.held]
            consumer.ack(message)
            await consumer.commit()
            seen = {one.offset for one in consumer.taken[:acknowledged]}
            passed = set(consumer.there) & set(range(before[0], (consumer.committed[-1:] or before)[0]))
            assert passed <= seen, "committed past what was not handed on"
    await consumer.commit()  # Faust has the record behind a gap twice, and needs a second time for it
    stopped.set()
    await draining
    return [message.offset for message in consumer.taken]


@pytest.mark.parametrize("skips", [{0: 3}, {0: 1}, {1: 3}, {1: 1}, {2: 7}], ids=str)
@pytest.mark.parametrize("held", [0, 10])
def test_what_was_passed_over_comes_again_before_it_is_committed(held: int, skips: dict[int, int]) -> None:
    there = range(held, held + 20)

    async def read() -> tuple[list[int], list[int]]:
        consumer = _Asking(held, there, skips)
        return await read_all(consumer), consumer.committed

    taken, committed = asyncio.run(read())
    assert set(taken) == set(there)
    assert committed[-1] == held + 20


def test_what_was_committed_meanwhile_is_not_waited_for() -> None:
    """A commit that was on its way when the partition was sought: what it covers is acknowledged as old."""

    async def read() -> int:
        consumer = _Asking(10, range(10, 30), {0: 3})
        reading = asyncio.create_task(read_all(consumer))
        while not consumer._missed:
            await asyncio.sleep(0)
        consumer._committed_offset[HITS] = consumer.held = 12
        await reading
        return consumer.committed[-1]

    assert asyncio.run(read()) == 30


def test_faust_alone_commits_past_it() -> None:
    async def read() -> None:
        await read_all(_Played(10, range(10, 30), {0: 3}))

    with pytest.raises(AssertionError, match="committed past"):
        asyncio.run(read())


def test_a_gap_that_is_there_again_is_one_of_compaction() -> None:
    there = [10, 11, 14, 15, 20, 21, 22, 30, 40, 41]

    async def read() -> tuple[list[int], int]:
        consumer = _Asking(10, there, {})
        return sorted(set(await read_all(consumer))), consumer.committed[-1]

    assert asyncio.run(read()) == (there, 42)


def test_records_that_have_expired_are_not_waited_for() -> None:
    async def read() -> tuple[list[int], int]:
        consumer = _Asking(10, range(17, 25), {})
        return sorted(set(await read_all(consumer))), consumer.committed[-1]

    assert asyncio.run(read()) == (list(range(17, 25)), 25)
