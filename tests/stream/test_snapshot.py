"""A state topic's snapshot on disk, on a real broker: known before Kafka answers, never instead of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from schemas.events import Link
from schemas.settings import Settings
from schemas.topics import LINKS
from stream.snapshot import Snapshot, SnapshotOffset
from stream.state import StateTopic
from tests.stream.test_state import PATIENCE, write
from tests.support.broker import Broker, create_topics, start_broker


@pytest.fixture
def mortal() -> Iterator[Broker]:
    broker = start_broker()
    yield broker
    broker.stop()


@pytest.fixture
def settings(mortal: Broker, tmp_path: Path) -> Settings:
    fields = {"kafka": mortal.bootstrap, "topic_prefix": f"s{uuid4().hex[:8]}-", "partitions": 3, "data_dir": tmp_path}
    settings = Settings(_env_file=None, **fields)  # type: ignore[call-arg, arg-type]
    create_topics(settings)
    return settings


def link(name: str) -> bytes:
    return msgspec.json.encode(Link(link_id=name, campaign="spring", url=f"https://example.com/{name}"))


def file(settings: Settings) -> Path:
    return settings.data_dir / "links" / "snapshot"


@asynccontextmanager
async def following(settings: Settings, *, until_current: bool = True) -> AsyncIterator[StateTopic[Link]]:
    snapshot = Snapshot(file(settings), settings.topic(LINKS))
    view = StateTopic(settings, LINKS, Link, lambda link: link.link_id, snapshot=snapshot)
    view.start()
    try:
        if until_current:
            assert await view.wait_until_current(time.time(), PATIENCE)
        yield view
    finally:
        view.stop()


async def known(view: StateTopic[Link], name: str) -> bool:
    """Whether the link is known, within the time that reading the file may take."""
    deadline = time.monotonic() + PATIENCE
    while view.get(name) is None and time.monotonic() < deadline:
        await view.wait_until_current(time.time(), 0.01)
    return view.get(name) is not None


async def test_what_was_read_is_known_while_kafka_is_away_and_is_not_called_ready(
    mortal: Broker, settings: Settings
) -> None:
    write(settings, LINKS, *(link(f"l{n}") for n in range(2500)))
    async with following(settings) as view:
        assert len(view) == 2500
    mortal.kill()
    async with following(settings, until_current=False) as view:
        assert await known(view, "l2499")
        assert len(view) == 2500
        assert not view.ready


async def test_only_what_came_after_the_snapshot_is_read(settings: Settings) -> None:
    write(settings, LINKS, b"not a link", link("old"))
    write(settings, LINKS, link("last"))
    write(settings, LINKS, link("other"), partition=2)
    async with following(settings) as view:
        assert view.rejected == 1
    write(settings, LINKS, link("new"))
    write(settings, LINKS, link("first of its partition"), partition=1)
    async with following(settings) as view:
        assert sorted(one.link_id for one in view) == ["first of its partition", "last", "new", "old", "other"]
        assert view.rejected == 0  # it stands before the snapshot's mark and was not met again


@pytest.mark.parametrize("count", [0, 1, 2, 30])
async def test_a_topic_made_anew_is_read_from_its_beginning(mortal: Broker, settings: Settings, count: int) -> None:
    """As the embedded broker's are at every start, shorter or longer than the one before."""
    write(settings, LINKS, link("a"))
    write(settings, LINKS, link("b"))
    async with following(settings):
        pass
    mortal.kill()
    mortal.process = start_broker(mortal.port).process
    create_topics(settings)
    for n in range(count):
        write(settings, LINKS, link(f"new-{n}"))
    async with following(settings) as view:
        assert {one.link_id for one in view} == {"a", "b", *(f"new-{n}" for n in range(count))}


@pytest.mark.parametrize("at", [0, 10, -20, -1])
async def test_a_damaged_file_is_not_believed(settings: Settings, at: int) -> None:
    write(settings, LINKS, link("a"), link("b"))
    async with following(settings):
        pass
    damaged = bytearray(file(settings).read_bytes())
    damaged[at] ^= 1
    file(settings).write_bytes(damaged)
    assert Snapshot(file(settings), settings.topic(LINKS)).load()[1] == {}
    async with following(settings) as view:
        assert {one.link_id for one in view} == {"a", "b"}


def test_a_snapshot_of_another_topic_or_none_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    marks = {0: SnapshotOffset.of(7, 1, b"value")}
    Snapshot(path, "one").save([Link(link_id="a", campaign="c", url="https://example.com/")], marks)
    lines, found = Snapshot(path, "one").load()
    assert (len(list(lines)), found) == (1, marks)
    assert Snapshot(path, "two").load()[1] == {}
    assert Snapshot(tmp_path / "missing", "one").load()[1] == {}
    assert [one.name for one in tmp_path.iterdir()] == ["snapshot"]
