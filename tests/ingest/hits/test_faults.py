"""Kafka away: pixels and clicks are served all the same, nothing promised is missing, nothing false is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import pytest

from ingest.hits.hits import PIXEL
from schemas.events import Lead
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from schemas.topics import LEADS
from tests.ingest.room import Room, add_link, hits, metric_of, records, running
from tests.support.broker import create_topics, start_broker
from tests.support.waiting import until

SettingsFor = Callable[..., Settings]


def path(room: Room, lead: str) -> str:
    claim = Claim(delivery_id("spring", 1, lead), "spring", 1, "A", lead, 1_790_000_000)
    return f"/o/{room.token(Purpose.OPEN, claim)}.gif"


async def until_recorded(room: Room, settings: Settings, leads: set[str]) -> None:
    async def arrived() -> bool:
        return leads <= {hit.lead for hit in await asyncio.to_thread(hits, settings)}

    await until(arrived, what="recorded")


async def reasons(room: Room) -> list[str]:
    answer = await room.client.get("/readyz")
    assert answer.status_code == 503
    found: list[str] = answer.json()["reasons"]
    return found


async def until_degraded(room: Room, word: str) -> None:
    """Hits are safe here, and what does not work is told."""

    async def degraded() -> bool:
        answer = await room.client.get("/readyz")
        return answer.status_code == 200 and word in " ".join(answer.json()["degraded"])

    await until(degraded, what=f"ready, and degraded for {word}")


async def until_whole(room: Room) -> None:
    async def whole() -> bool:
        return (await room.client.get("/readyz")).json() == {"status": "ready", "degraded": []}

    await until(whole, what="whole")


async def test_a_broker_that_is_away_at_the_start_is_waited_for(settings_for: SettingsFor) -> None:
    broker = start_broker()
    broker.kill()  # now the port is known, and nobody listens on it
    settings = settings_for(broker.bootstrap)
    async with running(settings) as room:
        assert len(await reasons(room)) == 4  # the broker, and three state topics
        await until_degraded(room, "can't be reached")
        assert (await room.client.get("/healthz")).status_code == 200
        answers = await asyncio.gather(*(room.client.get(path(room, f"l{n}")) for n in range(10)))
        assert {answer.content for answer in answers} == {PIXEL}
        assert await room.counted("sendlens_hits_total", kind="open", result="spooled") == 10
        assert await room.counted("sendlens_hits_in_flight") == 0
        unsubscribed = await room.client.post(
            f"/u/{room.token(Purpose.UNSUBSCRIBE)}", data={"List-Unsubscribe": "One-Click"}
        )
        assert (unsubscribed.status_code, "retry-after" in unsubscribed.headers) == (503, True)
        declared = await room.client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"})
        assert (declared.status_code, declared.headers["content-type"]) == (503, "application/problem+json")
        # A link can be called unknown only by a map that is up to date.
        clicked = await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{'0' * 64}")
        assert (clicked.status_code, "retry-after" in clicked.headers) == (503, True)
        assert await room.counted("sendlens_hits_rejected_total", kind="click", reason="links-behind") == 1

        back = start_broker(broker.port)
        try:
            create_topics(settings)
            await until_whole(room)
            await until_recorded(room, settings, {f"l{n}" for n in range(10)})
            assert len(hits(settings)) == 10
            assert await room.counted("sendlens_hits_in_flight") == 0
        finally:
            back.stop()


async def test_a_broker_that_dies_takes_no_click_and_no_pixel_with_it(settings_for: SettingsFor) -> None:
    broker = start_broker()
    settings = settings_for(broker.bootstrap, partitions=6)  # not what the broker would give a topic by itself
    create_topics(settings)
    try:
        async with running(settings) as room:
            await room.until_ready()
            link = add_link(settings, "https://example.com/offer")
            assert (await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}")).status_code == 302
            broker.kill()

            started = time.monotonic()
            answers = await asyncio.gather(*(room.client.get(path(room, f"l{n}")) for n in range(20)))
            click = await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}")
            assert {answer.content for answer in answers} == {PIXEL}
            assert (click.status_code, click.headers["location"]) == (302, "https://example.com/offer")
            assert time.monotonic() - started < 10 * settings.answer_within_ms / 1000
            assert await room.counted("sendlens_hits_total", kind="click", result="spooled") == 1

            unsubscribed = await room.client.post(f"/u/{room.token(Purpose.UNSUBSCRIBE)}", data={"confirm": "1"})
            assert unsubscribed.status_code == 503
            assert "Nothing was changed yet" in unsubscribed.text

            await until_degraded(room, "kafka: partitions")
            assert await room.counted("sendlens_ready") == 1
            assert await room.counted("sendlens_degraded", part="kafka") == 1

            broker = start_broker(broker.port)  # it comes back empty, as the embedded one does
            create_topics(settings)
            await until_recorded(room, settings, {f"l{n}" for n in range(20)} | {"lead-1"})
            await until_whole(room)
            assert await room.counted("sendlens_hits_in_flight") == 0
            again = await room.client.post(f"/u/{room.token(Purpose.UNSUBSCRIBE)}", data={"confirm": "1"})
            assert again.status_code == 200
            known = {msgspec.json.decode(record.value, type=Lead) for record in records(settings, LEADS)}
            assert {(lead.lead, lead.fact) for lead in known} == {("lead-1", "unsubscribed")}
    finally:
        broker.stop()


async def test_clicks_redirect_from_the_first_moment_while_kafka_is_away(settings_for: SettingsFor) -> None:
    broker = start_broker()
    settings = settings_for(broker.bootstrap)
    create_topics(settings)
    try:
        link = add_link(settings, "https://example.com/offer")
        async with running(settings) as room:
            await room.until_ready()
    finally:
        broker.kill()
    async with running(settings) as room:
        clicked = await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}")
        assert (clicked.status_code, clicked.headers["location"]) == (302, "https://example.com/offer")
        assert await room.counted("sendlens_hits_total", kind="click", result="spooled") == 1
        await until_degraded(room, "not read to the end yet")
        # Whether a link that it does not know is one, only Kafka can say.
        unknown = await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{'0' * 64}")
        assert (unknown.status_code, "retry-after" in unknown.headers) == (503, True)


async def test_topics_that_are_missing_or_divided_otherwise_are_named(settings_for: SettingsFor) -> None:
    broker = start_broker()
    try:
        settings = settings_for(broker.bootstrap)
        async with running(settings) as room:

            async def named() -> bool:
                return any("sendlens migrate" in reason for reason in await reasons(room))

            await until(named, what="named")
        create_topics(settings)
        async with running(settings.model_copy(update={"partitions": 8})) as room:

            async def told() -> bool:
                return any("SENDLENS_PARTITIONS says 8" in reason for reason in await reasons(room))

            await until(told, what="told")
    finally:
        broker.stop()


async def test_hits_still_waiting_at_the_end_are_handed_over_before_it(settings: Settings) -> None:
    slow = settings.model_copy(update={"group_commit_ms": 500.0})
    async with running(slow) as room:
        await room.until_ready()
        waiting = [asyncio.ensure_future(room.client.get(path(room, f"l{n}"))) for n in range(5)]

        async def in_flight() -> bool:
            return await room.counted("sendlens_hits_in_flight") == 5

        await until(in_flight, what="in flight")
    assert {(await one).status_code for one in waiting} == {200}
    assert len(hits(settings)) == 5


@pytest.mark.parametrize("hit_count", [900])
async def test_what_is_too_large_for_one_record_goes_in_several(settings: Settings, hit_count: int) -> None:
    slow = settings.model_copy(update={"group_commit_ms": 900.0, "answer_within_ms": 20_000})
    async with running(slow) as room:
        await room.until_ready()
        headers = [(b"user-agent", b"x" * 1024), (b"accept", b"y" * 256)]
        one_delivery = path(room, "lead-1")
        await asyncio.gather(*(room.ask(one_delivery, headers=headers) for _ in range(hit_count)))
        text = (await room.client.get("/metrics")).text
        assert metric_of(text, "sendlens_hits_total", kind="open", result="recorded") == hit_count
        assert metric_of(text, "sendlens_batch_hits_count") > 1
    assert len({hit.id for hit in hits(settings)}) == hit_count


async def test_where_neither_kafka_nor_the_disk_takes_hits_it_is_not_ready(settings_for: SettingsFor) -> None:
    broker = start_broker()
    settings = settings_for(broker.bootstrap, spool_mb=1)
    create_topics(settings)
    try:
        async with running(settings) as room:
            await room.until_ready()
            broker.kill()
            headers = [(b"user-agent", b"x" * 1024), (b"accept", b"y" * 256)]

            async def refused() -> bool:
                await asyncio.gather(*(room.ask(path(room, f"l{n}"), headers=headers) for n in range(200)))
                return (await room.client.get("/readyz")).status_code == 503

            await until(refused, what="full")
            assert "the spool takes no hits: full" in " ".join(await reasons(room))
    finally:
        broker.stop()
