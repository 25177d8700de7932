"""Who replaces the broker in memory, on a real broker with a stack that is none: what fails leaves everything running."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from agents.pipeline import GUARD, STORE, WEBHOOK_STAGE
from commands import migration
from commands.broker import kept_records, replacement
from commands.broker.kept_records import KeptRecords
from commands.broker.replacement import BrokerReplacement
from schemas.errors import Retry
from schemas.settings import Settings, load
from schemas.topics import DEAD, EVENTS, SENDS, Topic
from stream.gate.broker_gate import BrokerGate, GateState
from stream.offsets import group_of
from stream.records import OutRecord
from stream.rewinding import skip
from stream.tail import TailReader
from stream.write_all import fill
from tests.support.broker import Tansu, create_topics
from tests.support.small_disk import fill as fill_disk
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

_REPLACED, _LATER = "the broker was replaced", "the broker was not replaced"


class BareStack:
    """A stack of a broker alone, and what else it is asked for."""

    def __init__(self, broker: Tansu) -> None:
        self._broker = broker
        self.asked: list[tuple[str, str]] = []
        self.failed = ""

    def pid(self, name: str) -> int:
        return self._broker.process.pid

    def rest(self, name: str, patience: float) -> bool:
        self.asked.append(("rest", name))
        if name == "broker":
            self._broker.kill()
        return True

    def wake(self, name: str, ready: str = "") -> bool:
        self.asked.append(("wake", name))
        if name == "broker":
            self._broker.start()
        return True

    def has_started(self, name: str, patience: float) -> bool:
        return True

    def fail(self, name: str, why: str) -> None:
        self.failed = why


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and steps in short order, without a ClickHouse: what it knows does not matter here."""
    monkeypatch.setattr(replacement, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(replacement, "_NOTICE_SECONDS", 0.0)
    monkeypatch.setattr(migration, "_refilled", lambda settings, empty=False: {})


def settings_in(folder: Path, broker: Tansu) -> Settings:
    folder.mkdir(mode=0o700, exist_ok=True)
    settings = load(
        kafka=broker.bootstrap,
        broker="memory",
        broker_mb=1,  # every broker takes more
        data_dir=folder,
        topic_prefix=f"r{uuid4().hex[:8]}-",
        partitions=2,
    )
    create_topics(settings)
    return settings


@contextmanager
def attended(settings: Settings, stack: BareStack) -> Iterator[BrokerGate]:
    """A broker that is to be replaced, until the block ends."""
    ours = BrokerReplacement(settings)
    ours.prepare()
    ours.begin(stack)  # type: ignore[arg-type]
    try:
        yield BrokerGate(settings.data_dir.absolute())
    finally:
        ours.end()


def values(settings: Settings, topic: Topic) -> list[bytes]:
    with TailReader(settings, topic) as tail:
        return [record.value for record in tail.read(tail.starts())]


def letters(settings: Settings) -> list[bytes]:
    return values(settings, DEAD)


def logged(capsys: pytest.CaptureFixture[str], text: str) -> Callable[[], bool]:
    seen: list[str] = []

    def look() -> bool:
        seen.append(capsys.readouterr().out)
        return text in "".join(seen)

    return look


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    with small_disk(tmp_path / "disk", 1) as mounted:
        if not mounted:
            pytest.skip("a disk can't be mounted here")
        yield tmp_path / "disk"


def test_a_disk_that_fills_up_leaves_the_broker_that_is_there(
    own_broker: Tansu, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, stack = settings_in(disk / "data", own_broker), BareStack(own_broker)
    fill(settings, [OutRecord(DEAD, 0, b"judge", b"x" * 800_000) for _ in range(3)])
    with attended(settings, stack) as gate:
        wait_until(logged(capsys, _LATER), 30, "it to be given up")
        assert gate.share(), "the gate is open, and nobody has the broker alone"
    assert list(settings.data_dir.glob("*.new")) == list(settings.data_dir.glob("broker-kept*")) == []
    assert (stack.asked[-2:], stack.failed) == ([("wake", "worker"), ("wake", "inbox")], "")
    assert len(letters(settings)) == 3


def test_a_disk_that_is_full_when_the_gate_is_closed_changes_nothing(
    own_broker: Tansu, disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, stack = settings_in(disk / "data", own_broker), BareStack(own_broker)
    fill_disk(disk)
    with attended(settings, stack) as gate:
        gate.prepare()
        wait_until(logged(capsys, _LATER), 30, "it to be given up")
        assert gate.state is GateState.OPEN
        assert ("rest", "worker") not in stack.asked


@pytest.mark.parametrize("is_kept", [True, False], ids=["replaced", "given up"])
def test_a_gate_that_can_t_be_opened_at_once_is_opened_later(
    is_kept: bool,
    own_broker: Tansu,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failures, opened = [1, 2], BrokerGate.open

    def failing(gate: BrokerGate) -> None:
        if failures:
            raise OSError(errno.EIO, f"failure {failures.pop()}")
        opened(gate)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(BrokerGate, "open", failing)
    if not is_kept:
        monkeypatch.setattr(KeptRecords, "keep", full)
    settings, stack = settings_in(tmp_path, own_broker), BareStack(own_broker)
    with attended(settings, stack) as gate:
        wait_until(logged(capsys, _REPLACED if is_kept else _LATER), 30, "the attempt to end")
        assert gate.share()
    assert (failures, stack.failed) == ([], "")


def test_an_error_that_nobody_thought_of_is_not_the_end_of_attending(
    own_broker: Tansu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    errors, measured = [1, 2], replacement.resident_bytes

    def failing(pid: int) -> int | None:
        if errors:
            raise RuntimeError(f"error {errors.pop()}")
        return measured(pid)

    monkeypatch.setattr(replacement, "resident_bytes", failing)
    monkeypatch.setattr(replacement, "_TRY_AGAIN_SECONDS", 0.0)
    with attended(settings_in(tmp_path, own_broker), BareStack(own_broker)):
        wait_until(logged(capsys, _REPLACED), 30, "another broker")


def test_a_broker_that_took_a_part_is_thrown_away_for_another(
    own_broker: Tansu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, stack = settings_in(tmp_path, own_broker), BareStack(own_broker)
    fill(settings, [OutRecord(DEAD, 0, b"judge", b"letter %d" % number) for number in range(10)])
    failures = [1]

    def failing(to: Settings, records: Iterator[OutRecord]) -> int:
        if failures:
            failures.pop()
            fill(to, [next(records) for _ in range(5)])
            raise Retry("the broker hiccups")
        return fill(to, records)

    monkeypatch.setattr(kept_records, "fill", failing)
    with attended(settings, stack):
        wait_until(logged(capsys, _REPLACED), 30, "another broker")
    assert sorted(letters(settings)) == [b"letter %d" % number for number in range(10)], "each once"
    assert stack.asked.count(("wake", "broker")) >= 2
    assert stack.failed == ""


class Draining(BareStack):
    """Its worker acknowledges everything before it ends, and send requests never."""

    def __init__(self, broker: Tansu, settings: Settings) -> None:
        super().__init__(broker)
        self._settings = settings

    def rest(self, name: str, patience: float) -> bool:
        if name == "worker":
            for stage in (GUARD, STORE, WEBHOOK_STAGE):
                skip(self._settings, group_of(self._settings, stage.name), EVENTS)
        return super().rest(name, patience)


def test_records_that_are_always_on_their_way_and_emails_that_wait_are_no_reason_not_to_begin(
    own_broker: Tansu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(replacement, "_BACKLOG_SECONDS", 600.0)  # on a slow machine too all of them came just now
    settings = settings_in(tmp_path, own_broker)
    fill(settings, [OutRecord(EVENTS, number % 2, b"", b"{}\n") for number in range(3_000)])
    sends = [OutRecord(SENDS, number % 2, b"lead", b"send %d" % number) for number in range(3_000)]
    fill(settings, sends)
    stack = Draining(own_broker, settings)
    with attended(settings, stack):
        wait_until(logged(capsys, _REPLACED), 60, "another broker")
    assert sorted(values(settings, SENDS)) == sorted(one.value or b"" for one in sends)
    assert stack.failed == ""


def test_a_clickhouse_that_hiccups_is_asked_again(
    own_broker: Tansu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures = [1, 2]

    def hiccup(settings: Settings, *, empty: bool = False) -> dict[str, int]:
        if failures:
            raise Retry(f"failure {failures.pop()}")
        return {}

    monkeypatch.setattr(migration, "_refilled", hiccup)
    stack = BareStack(own_broker)
    with attended(settings_in(tmp_path, own_broker), stack):
        wait_until(logged(capsys, _REPLACED), 30, "another broker")
    assert (failures, stack.failed) == ([], "")


def test_migrating_waits_while_the_broker_is_replaced(
    own_broker: Tansu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept is for the broker that comes: the one that is there ends at any moment."""
    settings = settings_in(tmp_path, own_broker)
    fill(settings, [OutRecord(DEAD, 0, b"judge", b"letter")])
    gate = BrokerGate(tmp_path)
    gate.prepare()
    gate.close(GateState.CLOSED)
    KeptRecords(settings).keep(60)
    through = migration.through_gate
    monkeypatch.setattr(migration, "through_gate", lambda settings: through(settings, patience=0))
    monkeypatch.setattr(migration, "migrate_tables", lambda settings: [])
    with pytest.raises(Retry, match="being replaced"):
        migration.bring_up_to_date(settings, 5)
    assert (tmp_path / "broker-kept").exists()
    assert letters(settings) == [b"letter"]
    gate.open()
    migration.bring_up_to_date(settings, 5)
    assert not (tmp_path / "broker-kept").exists()
    assert letters(settings) == [b"letter", b"letter"]
