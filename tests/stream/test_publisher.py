"""The way to Kafka heals by itself, whatever its producer failed of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from kafka.errors import ClusterAuthorizationFailedError, KafkaConnectionError, MessageSizeTooLargeError

from schemas.errors import Reject, Retry
from schemas.settings import load
from schemas.topics import CAMPAIGNS
from stream.publisher import Publisher
from tests.support.broker import Broker, create_topics

ON_EVERY_BROKER = True


@pytest.mark.parametrize("error", [MessageSizeTooLargeError, ClusterAuthorizationFailedError, KafkaConnectionError])
async def test_a_producer_that_has_failed_for_good_is_replaced(
    broker: Broker, tmp_path: Path, error: type[Exception]
) -> None:
    settings = load(kafka=broker.bootstrap, topic_prefix=f"p{uuid4().hex[:8]}-", partitions=2, data_dir=tmp_path)
    create_topics(settings)
    publisher = Publisher(settings, [CAMPAIGNS])
    publisher.start()
    try:
        await _published(publisher, "before")
        failed = publisher._producer
        assert isinstance(failed, KafkaProducer)
        failed._transaction_manager.transition_to_fatal_error(error())
        await _published(publisher, "after")
        assert publisher._producer is not failed
        await asyncio.to_thread(failed._sender.join, 20)
        assert not failed._sender.is_alive()
    finally:
        await publisher.stop(1.0)


async def _published(publisher: Publisher, key: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await publisher.publish(CAMPAIGNS, key, b"{}", 5.0)
            except (Retry, Reject):  # the failed one says its error of all that it is given
                await asyncio.sleep(0.05)
