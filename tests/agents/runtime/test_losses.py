"""No record is passed over, however Faust loses it: it comes again, and is not committed past meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from tests.agents.runtime.played_consumer import HITS, Contiguous, Loss, PlayedConsumer, lose, until


async def queue_emptied_in_the_middle(consumer: PlayedConsumer) -> None:
    await consumer.work(2)
    await until(lambda: consumer.topic.queue.qsize() >= 3)
    consumer.app.flow_control.clear()


async def queue_emptied_at_the_end(consumer: PlayedConsumer) -> None:
    await consumer.work(16)
    await until(lambda: consumer.idle)
    assert consumer.topic.queue.qsize() == 4
    consumer.app.flow_control.clear()


async def fetched_and_not_handed_on(consumer: PlayedConsumer) -> None:
    consumer.skips = {consumer.fetches + 1: 3}


async def one_fetched_and_not_handed_on(consumer: PlayedConsumer) -> None:
    consumer.skips = {consumer.fetches: 1}


async def paused_while_it_is_handed_on(consumer: PlayedConsumer) -> None:
    consumer.paused_at = consumer.fetches + 1


async def two_rebalances_in_succession(consumer: PlayedConsumer) -> None:
    """The end of the first lets records flow in the second, which seeks and then empties the streams."""
    await consumer.work(3)
    await consumer.commit()
    await consumer.rebalance()
    consumer.seek_answered.clear()
    consumer.sought.clear()
    first = asyncio.create_task(consumer.resume())
    for _ in range(10):
        await asyncio.sleep(0)
    await consumer.on_partitions_revoked({HITS})
    consumer.seek_answered.set()
    await first
    consumer.seek_answered.clear()
    await consumer.on_partitions_assigned({HITS}, consumer.assigned)
    second = asyncio.create_task(consumer.resume())
    for _ in range(100):
        await asyncio.sleep(0)
    consumer.seek_answered.set()
    await second


LOSSES: tuple[Loss, ...] = (
    queue_emptied_in_the_middle,
    queue_emptied_at_the_end,
    fetched_and_not_handed_on,
    one_fetched_and_not_handed_on,
    paused_while_it_is_handed_on,
    two_rebalances_in_succession,
)


@pytest.mark.parametrize("held", [None, 0, 10])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_what_was_lost_comes_again_before_it_is_committed_past(loss: Loss, held: int | None) -> None:
    there = range(held or 0, (held or 0) + 20)
    consumer = asyncio.run(lose(Contiguous, held, there, loss))
    assert set(consumer.handled) == set(there)
    assert consumer.held == there[-1] + 1


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_faust_alone_loses_it(loss: Loss) -> None:
    async def read() -> None:
        consumer = await lose(PlayedConsumer, 10, range(10, 30), loss)
        assert (set(consumer.handled), consumer.held) == (set(range(10, 30)), 30), "never read, or committed past"

    with pytest.raises(AssertionError, match="committed past"):
        asyncio.run(read())
