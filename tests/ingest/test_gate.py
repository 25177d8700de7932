"""The gate before the broker in memory: what ingest does while that is replaced by an empty one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ingest.hits.hits import PIXEL
from schemas.errors import Retry
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from schemas.topics import LEADS, LINKS
from stream.gate.broker_gate import BrokerGate, GateState, gate_of, through_gate
from tests.ingest.room import Room, add_link, hits, records, running
from tests.support.broker import Broker, create_topics
from tests.support.small_disk import fill, small_disk
from tests.support.waiting import until


@pytest.fixture
def emptied(own_broker: Broker, settings_for: Callable[..., Settings]) -> Settings:
    """Settings for a broker that the test empties."""
    settings = settings_for(own_broker.bootstrap, answer_within_ms=20_000)  # the gate alone sends hits to the spool
    create_topics(settings)
    return settings


@pytest.fixture
async def busy(emptied: Settings) -> AsyncIterator[Room]:
    async with running(emptied) as room:
        await room.until_ready()
        yield room


def opens(settings: Settings, lead: str) -> str:
    claim = Claim(delivery_id("spring", 1, lead), "spring", 1, "A", lead, 1_790_000_000)
    return f"/o/{settings.keyring.sign(Purpose.OPEN, claim)}.gif"


def clicks(settings: Settings, link: str) -> str:
    claim = Claim(delivery_id("spring", 1, "ada"), "spring", 1, "A", "ada", 1_790_000_000)
    return f"/c/{settings.keyring.sign(Purpose.CLICK, claim)}/{link}"


async def open_each(room: Room, leads: range) -> None:
    answers = await asyncio.gather(*(room.ask(opens(room.settings, f"lead-{number}")) for number in leads))
    assert {(answer.status, answer.body) for answer in answers} == {(200, PIXEL)}


async def test_a_broker_is_replaced_beneath_an_ingest_that_answers_all_the_time(busy: Room, own_broker: Broker) -> None:
    settings = busy.settings
    gate = BrokerGate(settings.data_dir.absolute())
    link = add_link(settings, "https://example.com/of-the-old-broker")
    await busy.ask(clicks(settings, link))
    await open_each(busy, range(20))
    assert not gate.take_alone(), "ingest may write"

    gate.close(GateState.SPOOLING)
    lead = {"List-Unsubscribe": "One-Click"}
    leaving = f"/u/{busy.token(Purpose.UNSUBSCRIBE)}"
    await until_spooling(busy)
    assert (await busy.client.post(leaving, data=lead)).status_code == 200, "only hits go elsewhere"

    gate.close(GateState.CLOSED)
    await until(gate.take_alone, what="ingest to let go")
    before = await asyncio.to_thread(hits, settings)
    assert len(await asyncio.to_thread(records, settings, LEADS)) == 1
    await open_each(busy, range(20, 40))
    assert (await busy.client.post(leaving, data=lead)).status_code == 503
    assert (await busy.ask(clicks(settings, link))).status == 302, "what is known stays known"
    assert len(await asyncio.to_thread(hits, settings)) == len(before), "nothing is written to the old broker"
    assert (await busy.client.get("/readyz")).status_code == 200, "hits are safe"

    own_broker.forget()
    create_topics(settings)
    newer = add_link(settings, "https://example.com/of-the-new-broker")
    assert (await busy.ask(clicks(settings, newer))).status == 503, "nobody can say yet whether there is such a link"
    gate.open()

    async def replayed() -> bool:
        return {f"lead-{number}" for number in range(20, 40)} <= {
            hit.lead for hit in await asyncio.to_thread(hits, settings)
        }

    await until(replayed, what="the spool on the new broker")
    found = [hit.id for hit in await asyncio.to_thread(hits, settings)]
    assert len(found) == len(set(found)), "each once"

    async def known() -> bool:
        return (await busy.ask(clicks(settings, newer))).status == 302

    await until(known, what="the new broker's records from their beginning")
    assert (await busy.client.post(leaving, data=lead)).status_code == 200
    assert len(await asyncio.to_thread(records, settings, LINKS)) == 1, "ingest gives nothing of the old broker to it"


async def until_spooling(room: Room) -> None:
    """Hits go to disk from now on."""

    async def spooled() -> bool:
        await open_each(room, range(1))
        return await room.counted("sendlens_hits_total", kind="open", result="spooled") > 0

    await until(spooled, what="a spooled hit")


async def test_a_gate_that_is_opened_again_leaves_all_as_it_was(busy: Room) -> None:
    gate = BrokerGate(busy.settings.data_dir.absolute())
    for state in (GateState.SPOOLING, GateState.CLOSED):
        gate.close(state)
        if state is GateState.SPOOLING:
            await until_spooling(busy)
        else:
            await until(gate.take_alone, what="ingest to let go")
        await open_each(busy, range(10))
        gate.open()

        async def recorded() -> bool:
            before = await busy.counted("sendlens_hits_total", kind="open", result="recorded")
            await open_each(busy, range(10))
            return await busy.counted("sendlens_hits_total", kind="open", result="recorded") > before

        await until(recorded, what="hits on the broker again")
    found = [hit.id for hit in await asyncio.to_thread(hits, busy.settings)]
    assert len(found) == len(set(found))


def gate_in(folder: Path) -> tuple[Settings, BrokerGate]:
    settings = Settings(_env_file=None, broker="memory", data_dir=folder)  # type: ignore[call-arg]
    gate = gate_of(settings)
    assert gate is not None
    return settings, gate


def test_a_command_writes_only_while_nobody_replaces_the_broker(tmp_path: Path) -> None:
    settings, gate = gate_in(tmp_path)
    gate.prepare()
    with through_gate(settings):
        assert not gate.take_alone(), "its records may be on their way"
    gate.close(GateState.CLOSED)
    with pytest.raises(Retry, match="being replaced"), through_gate(settings, patience=0):
        pass
    assert gate.take_alone()
    gate.open()
    with through_gate(settings, patience=0):
        pass


def test_a_command_asks_the_data_folder_which_broker_runs(tmp_path: Path) -> None:
    """`make kafka` after the start makes `auto` mean Kafka; the broker in memory still runs, and is replaced."""
    _, gate = gate_in(tmp_path)
    gate.prepare()
    gate.close(GateState.CLOSED)
    now = Settings(_env_file=None, broker="kafka", data_dir=tmp_path)  # type: ignore[call-arg]
    with pytest.raises(Retry, match="being replaced"), through_gate(now, patience=0):
        pass
    elsewhere = Settings(_env_file=None, mode="cluster", data_dir=tmp_path)  # type: ignore[call-arg]
    with through_gate(elsewhere, patience=0):
        pass
    gate.open()
    with through_gate(now, patience=0):
        assert not gate.take_alone()


def test_a_command_leaves_no_lock_where_nothing_was_started(tmp_path: Path) -> None:
    settings, _ = gate_in(tmp_path / "never")
    with through_gate(settings, patience=0):
        pass
    assert not settings.data_dir.exists()


def test_a_gate_opens_on_a_disk_that_has_filled_up(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder, 1) as mounted:
        if not mounted:
            pytest.skip("a disk can't be mounted here")
        _, gate = gate_in(folder)
        gate.prepare()
        gate.close(GateState.CLOSED)
        assert gate.take_alone()
        fill(folder)
        with pytest.raises(OSError, match="No space left"):
            gate.close(GateState.SPOOLING)
        assert gate.state is GateState.CLOSED
        gate.open()
        assert gate.state is GateState.OPEN
        assert BrokerGate(folder).share()
        assert not (folder / "broker-gate.new").exists()


def test_a_gate_whose_notice_can_t_be_read_is_closed(tmp_path: Path) -> None:
    _, gate = gate_in(tmp_path)
    gate.close(GateState.SPOOLING)
    assert gate.state is GateState.SPOOLING
    (tmp_path / "broker-gate").write_bytes(b"\xff")
    assert gate.state is GateState.CLOSED
    gate.forget()
    assert gate.state is GateState.OPEN


async def test_an_ingest_that_was_left_closed_is_not_opened_by_another_start(
    busy: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its supervisor was killed: the broker that it knows has no worker, or is no more."""
    folder = busy.settings.data_dir.absolute()
    first, second = BrokerGate(folder), BrokerGate(folder)
    first.close(GateState.CLOSED)
    await until(first.take_alone, what="ingest to let go")
    first.let_go()
    second.forget()
    (folder / "broker-gate").write_text("open second")
    looks: list[int] = []
    look = BrokerGate.notice.fget
    monkeypatch.setattr(BrokerGate, "notice", property(lambda gate: looks.append(1) or look(gate)))
    await until(lambda: len(looks) > 5, what="several looks")
    assert second.take_alone(), "it does not write"
    await open_each(busy, range(5))
    assert await asyncio.to_thread(hits, busy.settings) == []
    second.let_go()
    first.open()

    async def replayed() -> bool:
        return len(await asyncio.to_thread(hits, busy.settings)) == 5

    await until(replayed, what="its own supervisor's notice")


def test_a_broker_on_disk_has_no_gate(tmp_path: Path) -> None:
    assert gate_of(Settings(_env_file=None, broker="kafka", data_dir=tmp_path)) is None  # type: ignore[call-arg]
