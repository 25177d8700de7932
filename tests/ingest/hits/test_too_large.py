"""One record that Kafka refuses for its size: what comes after it is as safe as before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from schemas.topics import HITS, SENDS, Topic
from stream.topic_admin import limits_of, raise_limits
from tests.ingest.room import Room, hits, running, until
from tests.support.broker import Broker, create_topics
from tests.support.processes import wait_until

SettingsFor = Callable[..., Settings]


@pytest.fixture
def limited(standing_kafka: Broker, settings_for: SettingsFor) -> Settings:
    """Settings on an Apache Kafka, whose limits hold: the embedded broker has none."""
    settings = settings_for(standing_kafka.bootstrap)
    create_topics(settings)
    return settings


def limit(settings: Settings, topic: Topic, size: int) -> None:
    """Let the topic take records of so many bytes and no larger."""
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka_servers)
    name = settings.topic(topic)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": str(size)})])
    admin.close()
    # Kafka says yes before each broker has heard of it.
    wait_until(lambda: limits_of(settings, [topic]) == {topic: size}, 20, "the limit")


async def open_pixel(room: Room, lead: str) -> int:
    claim = Claim(delivery_id("spring", 1, lead), "spring", 1, "A", lead, 1_790_000_000)
    return (await room.client.get(f"/o/{room.token(Purpose.OPEN, claim)}.gif")).status_code


def a_large_send(lead: str) -> dict[str, Any]:
    send = {"campaign": "spring", "step": 1, "lead": lead, "to": "a@example.com", "sender": "b@example.com"}
    return {"sends": [{**send, "subject": "Hi", "html": "<p>" + "x" * 1_900_000 + "</p>"}]}


async def until_recorded(settings: Settings, leads: set[str]) -> None:
    async def arrived() -> bool:
        return leads <= {hit.lead for hit in await asyncio.to_thread(hits, settings)}

    await until(arrived, what="recorded")


def leads(count: int) -> set[str]:
    return {f"l{number}" for number in range(count)}


@pytest.mark.parametrize("known", [False, True], ids=["before-the-limit-is-known", "when-the-limit-is-known"])
async def test_after_a_send_that_is_too_large_every_hit_is_as_safe_as_before(limited: Settings, known: bool) -> None:
    if known:
        limit(limited, SENDS, 1_000_000)
    async with running(limited) as room:
        await room.until_ready()
        limit(limited, SENDS, 1_000_000)
        await room.client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"})
        refused = await room.client.post("/v1/sends", json=a_large_send("lead-0"))
        assert refused.status_code == 422
        assert {await open_pixel(room, lead) for lead in leads(50)} == {200}
        await until_recorded(limited, leads(50))
        assert (await room.client.post("/v1/sends", json=a_large_send("lead-0"))).status_code == 422


async def test_sends_that_are_too_large_and_hits_at_once(limited: Settings) -> None:
    """What the producer held when it failed is sent again, or kept on disk: nobody else's record is called too large."""
    async with running(limited) as room:
        await room.until_ready()
        limit(limited, SENDS, 1_000_000)
        await room.client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"})
        sends = [room.client.post("/v1/sends", json=a_large_send(f"large-{n}")) for n in range(4)]
        opens = [open_pixel(room, lead) for lead in leads(300)]
        refused, answered = await asyncio.gather(asyncio.gather(*sends), asyncio.gather(*opens))
        assert set(answered) == {200}
        # A send that was held by the failed producer is to be asked for again: nobody has said that it is too large.
        assert {answer.status_code for answer in refused} <= {422, 503}
        await until_recorded(limited, leads(300))
        small = {"campaign": "spring", "step": 1, "lead": "lead-1", "to": "a@example.com", "sender": "b@example.com"}
        one_more = {"sends": [{**small, "subject": "Hi", "text": "Hello"}]}

        async def sent() -> bool:
            return (await room.client.post("/v1/sends", json=one_more)).status_code == 202

        await until(sent, what="sent")


@pytest.mark.parametrize("known", [False, True], ids=["before-the-limit-is-known", "when-the-limit-is-known"])
async def test_hits_that_are_too_large_together_go_one_by_one(limited: Settings, known: bool) -> None:
    slow = limited.model_copy(update={"group_commit_ms": 200.0, "answer_within_ms": 20_000})
    if known:
        limit(limited, HITS, 1000)
    async with running(slow) as room:
        await room.until_ready()
        limit(limited, HITS, 1000)
        assert set(await asyncio.gather(*(open_pixel(room, lead) for lead in leads(40)))) == {200}
        await until_recorded(limited, leads(40))


async def test_a_hit_that_is_too_large_alone_waits_on_disk_until_the_limit_is_raised(limited: Settings) -> None:
    limit(limited, HITS, 100)
    async with running(limited) as room:
        await room.until_ready()
        assert {await open_pixel(room, lead) for lead in leads(10)} == {200}
        assert await room.counted("sendlens_hits_total", kind="open", result="spooled") == 10
        assert hits(limited) == []
    async with running(limited) as room:  # whoever comes next keeps them too
        assert raise_limits(limited) == [limited.topic(HITS)]
        await until_recorded(limited, leads(10))

        async def empty() -> bool:
            return await room.counted("sendlens_spool_hits") == 0

        await until(empty, what="empty")
