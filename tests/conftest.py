"""The brokers of the whole suite: the embedded one for all, and Apache Kafka too for what leans on a broker's own ways.

A module asks for both with `ON_EVERY_BROKER = True`; `--every-broker` runs all tests that have a broker on both.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
import structlog

from tests.support.broker import Broker, start_broker
from tests.support.kafka import a_kafka

KINDS = ("tansu", "kafka")

# No test asks anybody outside this machine, in whatever mode it starts a worker.
os.environ["SENDLENS_RELAY_LIST_URL"] = ""
# Nor does it write its figures to a ClickHouse that it did not start: who asks for samples switches them on.
os.environ["SENDLENS_SAMPLE_SECONDS"] = "0"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-broker", action="store_true", help="run every test that has a broker on Apache Kafka too")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A process needs twice as long on Apache Kafka, and two brokers for every test would be half of the suite."""
    both = metafunc.config.getoption("every_broker") or getattr(metafunc.module, "ON_EVERY_BROKER", False)
    for name, scope in (("broker", "session"), ("own_broker", "function")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, KINDS if both else KINDS[:1], indirect=True, scope=scope)


@pytest.fixture(autouse=True)
def logs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in this process sets up logging for good, to an output that ends with its test. Here it ends too."""
    configure = structlog.configure
    monkeypatch.setattr(structlog, "configure", lambda **how: configure(**how | {"cache_logger_on_first_use": False}))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
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


@pytest.fixture
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
