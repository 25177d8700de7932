"""The brokers of the whole suite: the embedded one for all, and Apache Kafka too for what leans on a broker's own ways.

A test or a module asks for both with the mark `every_broker`; `--every-broker` runs all tests that have a broker on both.
"""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings as hypothesis_settings

if TYPE_CHECKING:  # what only some tests need is imported by its fixture: the loop of one rule takes 2 s, not 4
    from decisions.robots.rules import Rules
    from schemas.settings import Settings
    from tests.support.broker import Broker

KINDS = ("tansu", "kafka")
# The files that take longest go first: one that came last would keep one core, and the other idle. Those that wait for
# brokers and workers stand beside those that compute.
LONGEST = (
    "tests/faults/test_cluster.py",
    "tests/agents/test_laws.py",
    "tests/agents/test_stream.py",
    "tests/test_broker_replacement.py",
    "tests/clients/test_answers.py",
    "tests/faults/test_faults.py",
    "tests/clickhouse/test_counting_at_once.py",
    "tests/commands/backup/test_backup.py",
    "tests/test_one_machine.py",
    "tests/clickhouse/test_counting_people.py",
    "tests/test_demo.py",
    "tests/clickhouse/test_migrations.py",
    "tests/agents/sender/test_unanswered_emails.py",
    "tests/clickhouse/test_retention.py",
    "tests/ingest/inbox/test_lasting.py",
    "tests/clickhouse/test_counting_happened.py",
    "tests/clickhouse/test_views_law.py",
    "tests/test_up.py",
    "tests/clickhouse/test_counting_robots.py",
    "tests/test_operations.py",
    "tests/clickhouse/test_counting_health.py",
    "tests/clickhouse/test_counting_domains.py",
    "tests/ingest/api/test_openapi.py",
    "tests/ingest/pages/test_unsubscribe.py",
    "tests/security/test_linear.py",
    "tests/agents/guard/test_guard.py",
    "tests/dashboards/test_exports.py",
    "tests/commands/doctor/test_installation.py",
    "tests/clickhouse/test_migrating_at_once.py",
    "tests/commands/test_command.py",
    "tests/clickhouse/test_counting.py",
    "tests/clickhouse/test_counting_campaign.py",
    "tests/security/test_sql_injection.py",
    "tests/dashboards/test_browser.py",
    "tests/dashboards/test_check.py",
    "tests/dashboards/test_views.py",
    "tests/dashboards/test_recipients.py",
    "tests/dashboards/test_ab.py",
    "tests/dashboards/test_kinds.py",
    "tests/security/test_secrets.py",
    "tests/commands/backup/test_rewind.py",
)

# ClickHouse makes thousands of small files for a test, which on a disk cost a fifth of its processor time. They are made
# in memory where there is room for all of the suite's, and pytest keeps those of failed tests alone.
_IN_MEMORY = Path("/dev/shm")  # noqa: S108  # pytest makes a folder in it that only its owner may read
_ROOM = 8 * 1024**3  # bytes


def _has_room(folder: Path) -> bool:
    """Whether it takes programs and all that the suite writes; also without such a folder, on other systems."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize >= _ROOM and not disk.f_flag & os.ST_NOEXEC


if "TMPDIR" not in os.environ and _has_room(_IN_MEMORY):
    os.environ["TMPDIR"] = str(_IN_MEMORY)
    tempfile.tempdir = None  # it was asked for before

_LINES_SAID = 12  # of a failure, when it comes; pytest prints the whole at the end

# A law holds however slow the machine is; hypothesis' 200 ms an example are lost to a busy neighbour.
hypothesis_settings.register_profile("laws", deadline=None)
hypothesis_settings.load_profile("laws")

# No test asks anybody outside this machine, in whatever mode it starts a worker.
os.environ["SENDLENS_RELAY_LIST_URL"] = ""
# Nor does it write its figures to a ClickHouse that it did not start: who asks for samples switches them on.
os.environ["SENDLENS_SAMPLE_SECONDS"] = "0"
# Apache Kafka is for tests that name it, wherever `make kafka` has brought it.
os.environ["SENDLENS_BROKER"] = "memory"
# Nor does it make secrets in the data folder of whoever works in this checkout.
_data_folder = tempfile.TemporaryDirectory(prefix="sendlens-tests-")
os.environ["SENDLENS_DATA_DIR"] = _data_folder.name
# The processes that tests start read our modules compiled, a fifth of a worker's start, wherever they are run. So do we:
# half of a collection is pytest's rewriting of the asserts.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-broker", action="store_true", help="run every test that has a broker on Apache Kafka too")
    parser.addoption("--end-by", type=float, help="epoch seconds: tests that have not begun by then are skipped")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    end_by = item.config.getoption("end_by")
    if end_by is not None and time.time() > end_by:
        pytest.skip("no time was left for it")


class Said:
    """Says what failed when it fails: of a run that is stopped from outside, as by a time limit, nothing else would tell."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid}, {report.when}")
            self._terminal.write_line("\n".join(report.longreprtext.splitlines()[-_LINES_SAID:]))


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    # One process that runs them by itself is looked at while it runs.
    if getattr(config.option, "numprocesses", None) and terminal is not None:
        config.pluginmanager.register(Said(terminal), "said")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A process needs twice as long on Apache Kafka, and two brokers for every test would be half of the suite."""
    both = metafunc.config.getoption("every_broker") or metafunc.definition.get_closest_marker("every_broker")
    for name, scope in (("broker", "session"), ("own_broker", "function")):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, KINDS if both else KINDS[:1], indirect=True, scope=scope)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting makes lasts as long as the run: Python's collector need not look at it, then or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stable, so that the tests of a file stay in their order."""
    place = {path: number for number, path in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(place)))


@pytest.fixture(autouse=True)
def logs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in this process sets up logging for good, to an output that ends with its test. Here it ends too."""
    configure = structlog.configure
    monkeypatch.setattr(structlog, "configure", lambda **how: configure(**how | {"cache_logger_on_first_use": False}))
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="module", autouse=True)
def topics_of_its_own() -> Iterator[None]:
    """The topics that a module's tests made go with it, so that the broker of all stays as quick as a new one."""
    yield
    if brokers := sys.modules.get("tests.support.broker"):  # else nobody made any
        brokers.drop_made()


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
    from tests.support.broker import start_broker
    from tests.support.kafka import a_kafka

    folder = tmp_path_factory.mktemp(kind)
    broker: Broker = start_broker() if kind == "tansu" else a_kafka(folder)
    try:
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder / "data", ignore_errors=True)  # pytest keeps what it makes; the log may tell something


@pytest.fixture(scope="module")
def own_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A migrated ClickHouse database for one module, which may do with it what it likes.

    `ALSO_DATABASES` of the module names others that stand beside it.
    """
    from tests.support.migrated import migrated_database

    also = getattr(request.module, "ALSO_DATABASES", ())
    with migrated_database(tmp_path_factory.mktemp("own"), also=also) as settings:
        yield settings


@pytest.fixture(scope="session")
def rules() -> Rules:
    """The packaged rules, compiled once."""
    from decisions.robots.rules import Rules

    return Rules.load()
