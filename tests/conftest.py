"""The brokers of the whole suite: what stands on one is tested on the embedded broker and on Apache Kafka."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.support.broker import Broker, start_broker
from tests.support.kafka import a_kafka

KINDS = ("tansu", "kafka")

# No test asks anybody outside this machine, in whatever mode it starts a worker.
os.environ["SENDLENS_RELAY_LIST_URL"] = ""


@pytest.fixture(scope="session", params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all: a test has topics of its own on it, by a prefix, and neither ends nor empties it."""
    if request.param == "kafka":
        yield request.getfixturevalue("standing_kafka")
    else:
        yield from _started(str(request.param), tmp_path_factory)


@pytest.fixture(scope="session")
def standing_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The Apache Kafka among them."""
    yield from _started("kafka", tmp_path_factory)


@pytest.fixture(params=KINDS)
def own_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for one test, which may do with it what it likes."""
    yield from _started(str(request.param), tmp_path_factory)


@pytest.fixture
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """An Apache Kafka for one test, for what only a broker with a disk can show."""
    yield from _started("kafka", tmp_path_factory)


def _started(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    folder = tmp_path_factory.mktemp(kind)
    broker: Broker = start_broker() if kind == "tansu" else a_kafka(folder)
    try:
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)  # pytest keeps what it makes; the log may tell something
