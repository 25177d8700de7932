"""What Faust notes of a commit agrees with where a partition was resumed, however late the broker refuses it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import faust
import pytest
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from agents.runtime.commits import LateRefusals

HITS = TP("hits", 0)


class _WithoutKafka(LateRefusals, Consumer):
    """What wiring makes of Faust's consumer; the broker's side is played: it holds an offset and answers when let go."""

    def __init__(self, held: int | None, takes: bool) -> None:
        app = faust.App("commits", broker="kafka://127.0.0.1:1", web_enabled=False)
        app.finalize()

        async def nothing(*_: Any, **__: Any) -> None: ...

        super().__init__(app.transport, callback=nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing)
        app.topics.acks_enabled_for = lambda topic: True  # type: ignore[method-assign]
        self.held, self.takes = held, takes
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    def assignment(self) -> set[TP]:
        return {HITS}

    async def seek_to_committed(self) -> Mapping[TP, int]:
        return {HITS: self.held}  # type: ignore[dict-item]  # None where nothing was committed, as aiokafka has it

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        self.asked.set()
        await self.answer.wait()
        if self.takes:
            self.held = offsets[HITS]
        return self.takes

    def handled(self, *offsets: int) -> None:
        """Acknowledge records that were read at these offsets."""
        for offset in offsets:
            self.ack(ConsumerMessage("hits", 0, offset, 0.0, 0, [], None, None, None, tp=HITS))


@pytest.mark.parametrize("held", [10, None], ids=["after a commit", "of a partition never committed"])
@pytest.mark.parametrize("answered", ["before the seek", "after the seek"])
def test_what_comes_again_after_a_refused_commit_is_committed(held: int | None, answered: str) -> None:
    first = held or 0

    async def refused_during_a_rebalance() -> int | None:
        consumer = _WithoutKafka(held, takes=False)
        await consumer.perform_seek()
        consumer.handled(first, first + 1, first + 2)
        commit = asyncio.create_task(consumer.commit())
        await consumer.asked.wait()
        await consumer.on_partitions_revoked({HITS})
        if answered == "before the seek":
            consumer.answer.set()
            await commit
        await consumer.perform_seek()
        consumer.answer.set()
        await commit
        consumer.takes = True
        consumer.handled(first, first + 1, first + 2)
        await consumer.commit()
        return consumer.held

    assert asyncio.run(refused_during_a_rebalance()) == first + 3


def test_nothing_is_committed_past_a_record_that_comes_again() -> None:
    async def refused_during_a_rebalance() -> int | None:
        consumer = _WithoutKafka(10, takes=False)
        await consumer.perform_seek()
        consumer.handled(10, 11, 12)
        commit = asyncio.create_task(consumer.commit())
        await consumer.asked.wait()
        await consumer.on_partitions_revoked({HITS})
        await consumer.perform_seek()
        consumer.answer.set()
        await commit
        consumer.takes = True
        consumer.handled(13, 14)  # read already, and done before those that come again
        await consumer.commit()
        return consumer.held

    assert asyncio.run(refused_during_a_rebalance()) == 10


def test_a_commit_that_was_taken_stays_noted_though_the_partition_was_resumed_meanwhile() -> None:
    async def taken_after_a_seek() -> tuple[int | None, bool]:
        consumer = _WithoutKafka(10, takes=True)
        await consumer.perform_seek()
        consumer.handled(10, 11, 12)
        commit = asyncio.create_task(consumer.commit())
        await consumer.asked.wait()
        await consumer.perform_seek()
        consumer.answer.set()
        await commit
        consumer.handled(10, 11)
        return consumer.held, await consumer.commit()

    assert asyncio.run(taken_after_a_seek()) == (13, False)
