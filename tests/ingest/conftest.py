"""One real broker for the room's tests; every test has topics of its own on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from schemas.settings import Settings
from tests.ingest.room import Room, running
from tests.support.broker import Broker, create_topics, drop_topics

KEYS = "2:the-second-key-of-these-tests,1:the-first-key-of-these-tests"


@pytest.fixture(autouse=True)
def _quick_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """Views of state topics look ten times as often as they do at work: every test here waits for some to be ready."""
    monkeypatch.setattr("stream.state._POLL_MS", 20)


def settings_in(folder: Path, bootstrap: str, **overrides: object) -> Settings:
    """Settings with a topic prefix of their own."""
    fields: dict[str, object] = {
        "kafka": bootstrap,
        "topic_prefix": f"t{uuid4().hex[:8]}-",
        "token_keys": KEYS,
        "partitions": 4,
        "answer_within_ms": 500,
        "data_dir": folder / "data",
        **overrides,
    }
    return Settings(_env_file=None, **fields)  # type: ignore[call-arg, arg-type]


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    return partial(settings_in, tmp_path)


@pytest.fixture
def settings(broker: Broker, settings_for: Callable[..., Settings]) -> Iterator[Settings]:
    """Settings with topics that exist and are empty."""
    settings = settings_for(broker.bootstrap)
    create_topics(settings)
    yield settings
    drop_topics(settings)


@pytest.fixture
async def room(settings: Settings) -> AsyncIterator[Room]:
    """The application, started and ready, called in process."""
    async with running(settings) as room:
        await room.until_ready()
        yield room
