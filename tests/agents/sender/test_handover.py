"""Workers that come and go: an email that one has sent, or has at the mail server, is not sent again by another."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from kafka import KafkaProducer

from schemas.events import Campaign, Delivery, Send
from schemas.tokens import delivery_id
from schemas.topics import CAMPAIGNS, DELIVERIES, EVENTS, SENDS, text_partition
from tests.agents.transport.smtp_server import Server
from tests.support.broker import Broker
from tests.support.stream import Stream, running_stream
from tests.support.waiting import until

pytestmark = pytest.mark.every_broker

NOW = datetime.now(UTC)
EMAILS = 120


def a_send(lead: str) -> Send:
    return Send(
        request_id=str(uuid4()), delivery_id=str(delivery_id("spring", 1, lead)), campaign="spring", step=1,
        variant="A", lead=lead, to=f"{lead}@example.net", sender="news@example.com", subject="Seeds",
        text="They are in.", requested_at=NOW,
    )  # fmt: skip


def write_sends(stream: Stream, emails: int) -> None:
    stream.write(CAMPAIGNS, msgspec.json.encode(Campaign(id="spring", name="Spring", created_at=NOW)))
    by_partition: dict[int, list[bytes]] = {}
    for number in range(emails):
        lead = f"lead-{number}"
        send = a_send(lead)
        partition = text_partition(lead, stream.settings.partitions)
        by_partition.setdefault(partition, []).append(msgspec.json.encode(send))
    for partition, values in by_partition.items():
        stream.write(SENDS, *values, partition=partition)


async def test_a_worker_that_joins_sends_no_email_that_another_has_under_way(tmp_path: Path, broker: Broker) -> None:
    async with Server(seconds_per_mail=0.25) as server:
        with running_stream(tmp_path, broker, smtp_port=server.port) as stream:
            await asyncio.to_thread(write_sends, stream, EMAILS)
            await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            await until(lambda: len(server.mails) > 8)
            await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            async with asyncio.timeout(120):
                await until(lambda: len(set(server.recipients())) >= EMAILS, 120)
                await asyncio.to_thread(stream.workers[0].stop)
                await asyncio.to_thread(stream.workers[1].stop)
            assert Counter(Counter(server.recipients()).values()) == {1: EMAILS}


async def test_what_was_sent_hours_ago_and_is_not_stored_yet_is_not_sent_again(tmp_path: Path, broker: Broker) -> None:
    """The store may be hours behind: only the topic knows of the delivery then."""
    async with Server() as server:
        with running_stream(tmp_path, broker, smtp_port=server.port) as stream:
            id_ = str(delivery_id("spring", 1, "lead-0"))
            delivery = Delivery(delivery_id=id_, request_id=str(uuid4()), at=NOW - timedelta(hours=40))
            producer = KafkaProducer(bootstrap_servers=stream.settings.kafka_servers)
            written_at = int(delivery.at.timestamp() * 1000)
            producer.send(
                stream.settings.topic(DELIVERIES), msgspec.json.encode(delivery), partition=0, timestamp_ms=written_at
            )
            producer.close()
            await asyncio.to_thread(write_sends, stream, 2)
            worker = await asyncio.to_thread(stream.start_worker, "--stage", "sender", "--drain")
            assert await asyncio.to_thread(worker.stop, 60) == 0
            assert server.recipients() == ["lead-1@example.net"]
            (skipped,) = [line for value in stream.read(EVENTS) for line in value.splitlines() if b"skipped" in line]
            assert msgspec.json.decode(skipped)["reason"] == "duplicate"
