"""Kafka away: answered hits are on disk, come back in order, once, and survive whatever happens to the process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from ingest.hits.hits import PIXEL
from ingest.hits.segment import SUFFIX
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from schemas.topics import HITS, delivery_partition
from tests.ingest.room import Room, add_link, hits, metric_of, records, running
from tests.ingest.served_process import served
from tests.support.broker import Broker, create_topics, start_broker
from tests.support.waiting import until

pytestmark = pytest.mark.every_broker

SettingsFor = Callable[..., Settings]


@pytest.fixture
def mortal() -> Iterator[Broker]:
    """A broker that a test may stop; `back` starts it again where it was."""
    broker = start_broker()
    yield broker
    if broker.process.poll() is None:
        broker.process.send_signal(signal.SIGCONT)
        broker.stop()


@pytest.fixture
def away(mortal: Broker, settings_for: SettingsFor) -> Settings:
    """Settings for a broker that is known and not there."""
    mortal.kill()
    return settings_for(mortal.bootstrap)


def back(broker: Broker, settings: Settings) -> None:
    broker.process = start_broker(broker.port).process
    create_topics(settings)


def opens(settings: Settings, lead: str) -> str:
    claim = Claim(delivery_id("spring", 1, lead), "spring", 1, "A", lead, 1_790_000_000)
    return f"/o/{settings.keyring.sign(Purpose.OPEN, claim)}.gif"


def files(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "spool").glob(f"*{SUFFIX}"))


async def until_stored(settings: Settings, leads: list[str]) -> None:
    async def stored() -> bool:
        return set(leads) <= {hit.lead for hit in await asyncio.to_thread(hits, settings)}

    await until(stored, what="stored")


async def until_empty(room: Room) -> None:
    async def empty() -> bool:
        return await room.counted("sendlens_spool_hits") == 0

    await until(empty, what="empty")


async def test_hits_wait_on_disk_for_kafka_and_reach_it_in_their_order_once(mortal: Broker, away: Settings) -> None:
    async with running(away) as room:
        path = opens(away, "lead-1")
        for number in range(20):
            answer = await room.ask(path, headers=[(b"user-agent", str(number).encode())])
            assert (answer.status, answer.body) == (200, PIXEL)
        assert await room.counted("sendlens_hits_total", kind="open", result="spooled") == 20
        assert await room.counted("sendlens_spool_hits") == 20
        assert await room.counted("sendlens_spool_bytes") == sum(file.stat().st_size for file in files(away)) > 0
        assert await room.counted("sendlens_spool_age_seconds") > 0
        back(mortal, away)
        await until_stored(away, ["lead-1"])
        await until_empty(room)
        assert await room.counted("sendlens_spool_replayed_hits_total") == 20
        assert await room.counted("sendlens_spool_bytes") == 0
        assert await room.counted("sendlens_spool_age_seconds") == 0
        assert (await room.ask(path)).status == 200
        assert await room.counted("sendlens_hits_total", kind="open", result="recorded") == 1
    assert [hit.user_agent for hit in hits(away)] == [*map(str, range(20)), ""]
    assert files(away) == []


async def test_a_broker_that_hangs_costs_a_hit_its_patience_once_and_no_hit_is_stored_twice(
    mortal: Broker, settings_for: SettingsFor
) -> None:
    settings = settings_for(mortal.bootstrap)
    create_topics(settings)
    async with running(settings) as room:
        await room.until_ready()
        mortal.process.send_signal(signal.SIGSTOP)
        leads = [f"l{n}" for n in range(12)]
        loop = asyncio.get_running_loop()
        started = loop.time()
        first = await asyncio.gather(*(room.ask(opens(settings, lead)) for lead in leads))
        waited = loop.time() - started
        started = loop.time()
        later = await asyncio.gather(*(room.ask(opens(settings, f"{lead}b")) for lead in leads))
        assert loop.time() - started < waited
        assert waited >= settings.answer_within_ms / 1000
        assert {answer.status for answer in (*first, *later)} == {200}
        assert await room.counted("sendlens_hits_total", kind="open", result="spooled") == 24
        mortal.process.send_signal(signal.SIGCONT)
        await until_stored(settings, [*leads, *(f"{lead}b" for lead in leads)])
        await until_empty(room)
    found = [hit.id for hit in hits(settings)]
    assert len(found) == len(set(found)) == 24


async def test_killed_and_started_again_every_answered_hit_is_stored(mortal: Broker, away: Settings) -> None:
    leads = [f"l{n}" for n in range(30)]
    with served(away, ready=False) as (url, process):
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            answers = await asyncio.gather(*(client.get(opens(away, lead)) for lead in leads))
        assert {answer.status_code for answer in answers} == {200}
        os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait, 20)
    last = files(away)[-1]
    with last.open("ab") as torn:
        torn.write(last.read_bytes()[:50])  # what a write that the crash cut off leaves behind
    async with running(away) as room:

        async def counted() -> bool:
            return await room.counted("sendlens_spool_hits") == 30

        await until(counted, what="taken up")
        assert await room.counted("sendlens_spool_damaged_bytes_total") == 50
        back(mortal, away)
        await until_stored(away, leads)
        await until_empty(room)
    assert sorted(hit.lead for hit in hits(away)) == sorted(leads)


async def test_processes_of_one_machine_have_files_of_their_own_and_inherit_those_of_the_dead(
    mortal: Broker, away: Settings
) -> None:
    with served(away, ready=False) as (url, process), served(away, ready=False) as (other_url, _):
        async with httpx.AsyncClient(timeout=20) as client:
            for n in range(10):
                assert (await client.get(url + opens(away, f"a{n}"))).status_code == 200
                assert (await client.get(other_url + opens(away, f"b{n}"))).status_code == 200
            texts = [(await client.get(f"{one}/metrics")).text for one in (url, other_url)]
        assert [metric_of(text, "sendlens_spool_hits") for text in texts] == [10, 10]
        assert len({file.stem.split("-")[1] for file in files(away)}) == 2  # by process
        os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait, 20)
        back(mortal, away)
        await until_stored(away, [f"{who}{n}" for who in "ab" for n in range(10)])

        async def gone() -> bool:
            return files(away) == []

        await until(gone, what="replayed whole")
    assert len(hits(away)) == 20


async def test_a_full_spool_refuses_and_says_so_and_clicks_redirect(mortal: Broker, settings_for: SettingsFor) -> None:
    settings = settings_for(mortal.bootstrap, spool_mb=0)
    create_topics(settings)
    async with running(settings) as room:
        await room.until_ready()
        link = add_link(settings, "https://example.com/offer")
        assert (await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}")).status_code == 302
        assert (await room.ask(opens(settings, "before"))).status == 200
        mortal.kill()
        answers = []
        for n in range(3):
            answers.append(await room.ask(opens(settings, f"l{n}")))
        for answer in answers:
            assert (answer.status, answer.body) == (503, PIXEL)
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["content-type"] == "image/gif"
        clicked = await room.client.get(f"/c/{room.token(Purpose.CLICK)}/{link}")
        assert (clicked.status_code, clicked.headers["location"]) == (302, "https://example.com/offer")
        assert await room.counted("sendlens_spool_refused_hits_total", reason="full") == 4
        text = (await room.client.get("/metrics")).text
        promised_nothing = sum(
            metric_of(text, "sendlens_hits_total", kind=kind, result=result)
            for kind in ("open", "click")
            for result in ("refused", "unacknowledged")
        )
        assert promised_nothing == 4
        assert await room.counted("sendlens_hits_in_flight") == 0
        back(mortal, settings)

        async def recorded() -> bool:  # a partition that has nothing in the spool is found again, too
            return (await room.ask(opens(settings, "after"))).status == 200

        await until(recorded, what="recorded")


async def test_a_disk_that_fails_refuses_and_is_used_again_when_it_works(away: Settings) -> None:
    async with running(away) as room:
        folder = away.data_dir / "spool"
        folder.rmdir()
        answer = await room.ask(opens(away, "lead-1"))
        assert (answer.status, answer.body) == (503, PIXEL)
        assert await room.counted("sendlens_spool_refused_hits_total", reason="disk") == 1
        folder.mkdir()
        assert (await room.ask(opens(away, "lead-1"))).status == 200
        assert await room.counted("sendlens_spool_hits") == 1


async def test_hits_spooled_for_fewer_partitions_are_divided_anew(mortal: Broker, away: Settings) -> None:
    leads = [f"l{n}" for n in range(40)]
    async with running(away) as room:
        await asyncio.gather(*(room.ask(opens(away, lead)) for lead in leads))
    more = away.model_copy(update={"partitions": 7})
    back(mortal, more)
    async with running(more):
        await until_stored(more, leads)
    for record in records(more, HITS):
        for line in record.value.splitlines():
            owner = line.split(b'"delivery_id":"')[1][:36].decode()
            assert delivery_partition(owner, 7) == record.partition
