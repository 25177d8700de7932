"""An inbox process in a house of its own, on every kind of IMAP server that is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from schemas.settings import Settings
from tests.ingest.inbox.house import ANNA, House
from tests.support.broker import Broker, create_topics, drop_topics, start_broker
from tests.support.imap import KINDS, ImapServer, missing


@pytest.fixture(scope="session")
def embedded() -> Iterator[Broker]:
    """One embedded broker for all: which broker it is matters to few of these tests."""
    broker = start_broker()
    yield broker
    broker.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    why = missing(str(request.param))
    if why:
        pytest.skip(why)
    return str(request.param)


def settings_on(bootstrap: str) -> Settings:
    """An installation with topics of its own, which exist and are empty."""
    settings = Settings(_env_file=None, kafka=bootstrap, topic_prefix=f"i{uuid4().hex[:8]}-", partitions=3)  # type: ignore[call-arg]
    create_topics(settings)
    return settings


@pytest.fixture
def house(kind: str, embedded: Broker, tmp_path: Path) -> Iterator[House]:
    """A server with Anna's mailbox, running; the process is not started yet."""
    yield from _house(kind, embedded.bootstrap, tmp_path, (ANNA,))


@pytest.fixture
def house_of(kind: str, embedded: Broker, tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes a house with mailboxes of these names."""
    made: list[Iterator[House]] = []

    def make(*mailboxes: str, bootstrap: str = "") -> House:
        made.append(_house(kind, bootstrap or embedded.bootstrap, tmp_path, mailboxes))
        return next(made[-1])

    yield make
    for houses in made:
        next(houses, None)  # closes it


def _house(kind: str, bootstrap: str, folder: Path, mailboxes: tuple[str, ...]) -> Iterator[House]:
    house = House(ImapServer(kind, mailboxes), settings_on(bootstrap), folder)
    try:
        house.server.start()
        yield house
    finally:
        house.close()
        drop_topics(house.settings)
