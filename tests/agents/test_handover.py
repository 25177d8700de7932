"""Workers that come and go: an email that one has at the mail server is not sent again by the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from schemas.events import Campaign, Send
from schemas.tokens import delivery_id
from schemas.topics import CAMPAIGNS, SENDS, text_partition
from tests.agents.sender_house import until
from tests.agents.smtp_server import Server
from tests.support.stream import Stream, running_stream

NOW = datetime.now(UTC)
EMAILS = 120


def write_sends(stream: Stream) -> None:
    stream.write(CAMPAIGNS, msgspec.json.encode(Campaign(id="spring", name="Spring", created_at=NOW)))
    by_partition: dict[int, list[bytes]] = {}
    for number in range(EMAILS):
        lead = f"lead-{number}"
        send = Send(
            request_id=str(uuid4()), delivery_id=str(delivery_id("spring", 1, lead)), campaign="spring", step=1,
            variant="A", lead=lead, to=f"{lead}@example.net", sender="news@example.com", subject="Seeds",
            text="They are in.", requested_at=NOW,
        )  # fmt: skip
        partition = text_partition(lead, stream.settings.partitions)
        by_partition.setdefault(partition, []).append(msgspec.json.encode(send))
    for partition, values in by_partition.items():
        stream.write(SENDS, *values, partition=partition)


async def test_a_worker_that_joins_sends_no_email_that_another_has_under_way(tmp_path: Path) -> None:
    async with Server(seconds_per_mail=0.25) as server:
        with running_stream(tmp_path, smtp_port=server.port) as stream:
            await asyncio.to_thread(write_sends, stream)
            await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            await until(lambda: len(server.mails) > 8)
            await asyncio.to_thread(stream.start_worker, "--stage", "sender")
            async with asyncio.timeout(120):
                while len(set(server.recipients())) < EMAILS:
                    await asyncio.sleep(0.1)
                await asyncio.to_thread(stream.workers[0].stop)
                await asyncio.to_thread(stream.workers[1].stop)
            assert Counter(Counter(server.recipients()).values()) == {1: EMAILS}
