"""What ClickHouse does not have goes from one broker to the next by a file."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from agents.pipeline import JUDGE, SENDER, STORE
from commands.broker.kept_records import KeptRecords, first_written_at
from schemas.errors import Retry
from schemas.settings import Settings, load
from schemas.state.positions import Position
from schemas.topics import DEAD, HITS, POSITIONS, SENDS, Topic
from stream.lag import LagProbe
from stream.offsets import group_of
from stream.records import OutRecord, PoisonRecord, Record, dead_letter
from stream.rewinding import skip
from stream.tail import TailReader
from stream.write_all import fill
from tests.agents.mails import NOW
from tests.support.broker import Broker, create_topics

_CLICK, _OPEN = b'{"kind":"click","id":"%d"}\n', b'{"kind":"open","id":"%d"}\n'


@pytest.fixture
def settings(own_broker: Broker, tmp_path: Path) -> Settings:
    settings = load(kafka=own_broker.bootstrap, data_dir=tmp_path, topic_prefix=f"k{uuid4().hex[:8]}-", partitions=3)
    create_topics(settings)
    return settings


def values(settings: Settings, topic: Topic) -> list[bytes]:
    return [record.value for record in records(settings, topic)]


def records(settings: Settings, topic: Topic) -> list[Record]:
    with TailReader(settings, topic) as tail:
        return list(tail.read(tail.starts()))


def position(uid: int) -> bytes:
    moment = datetime.fromtimestamp(1_790_000_000 + uid, UTC)
    return msgspec.json.encode(
        Position(mailbox="news@example.com", folder="INBOX", uidvalidity=1, uid=uid, old_until=0, old_since=NOW, newest=NOW, at=moment)
    )  # fmt: skip


def a_letter(number: int) -> bytes:
    return dead_letter("judge", PoisonRecord(Record(HITS, 0, number, b"k", b"no hit", 0.0), "unreadable", ""), NOW)


def test_letters_positions_and_recent_clicks_come_to_the_next_broker(settings: Settings, own_broker: Broker) -> None:
    dead = [a_letter(number) for number in range(3)]
    clicked = [OutRecord(HITS, n % 3, b"", _CLICK % n + _OPEN % n) for n in range(6)]
    fill(settings, [OutRecord(DEAD, 0, b"judge", letter) for letter in dead])
    fill(settings, [OutRecord(POSITIONS, 0, b"news", position(uid)) for uid in (1, 2)])
    fill(settings, [*clicked, OutRecord(HITS, 0, b"", _OPEN % 9)])
    kept = KeptRecords(settings)
    assert kept.keep(60) == 3 + 1 + 6
    written = {record.value: record.written_at for record in records(settings, HITS)}
    own_broker.forget()
    create_topics(settings)
    assert kept.give_back(clicks=True) == 10
    for _ in range(2):  # the broker may not answer the first time
        kept.acknowledge_clicks()
    kept.forget()
    assert values(settings, DEAD) == dead
    assert values(settings, POSITIONS) == [position(2)]
    assert sorted(values(settings, HITS)) == [_CLICK % n for n in range(6)]
    assert {first_written_at(record) for record in records(settings, HITS)} == {
        at for value, at in written.items() if b"click" in value
    }
    probe = LagProbe(settings, {stage.name: [HITS] for stage in (JUDGE, STORE)})
    assert {sum(behind.values()) for behind in probe(exact=True).values()} == {0}, "what was judged is not judged again"
    fill(settings, [OutRecord(HITS, 0, b"", _OPEN % 10)])
    assert {sum(behind.values()) for behind in probe(exact=True).values()} == {1}
    probe.close()
    assert kept.give_back(clicks=True) == 0, "once"


def test_a_start_after_a_crash_leaves_the_clicks_out(settings: Settings, own_broker: Broker) -> None:
    fill(settings, [OutRecord(DEAD, 0, b"judge", a_letter(1)), OutRecord(HITS, 0, b"", _CLICK % 1)])
    kept = KeptRecords(settings)
    assert kept.keep(60) == 2
    own_broker.forget()
    create_topics(settings)
    assert kept.give_back(clicks=False) == 1
    assert values(settings, HITS) == []


def test_clicks_that_decide_nothing_any_more_are_left(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(settings, [OutRecord(HITS, 0, b"", _CLICK % 1)])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 60)
    assert KeptRecords(settings).keep(60) == 0


def test_clicks_are_no_younger_for_having_gone_from_broker_to_broker(settings: Settings) -> None:
    """Each broker gives records a time of its own: by that, clicks of all brokers would be kept for ever."""
    old, recent = (repr(time.time() - seconds).encode() for seconds in (60, 20))
    fill(settings, [OutRecord(HITS, 0, old, _CLICK % 1), OutRecord(HITS, 0, recent, _CLICK % 2)])
    kept = KeptRecords(settings)
    assert kept.keep(60) == 1
    assert msgspec.json.decode((settings.data_dir / "broker-kept").read_bytes(), type=_Kept).key == recent


class _Kept(msgspec.Struct):
    key: bytes


def test_send_requests_that_are_not_acknowledged_come_to_the_next_broker(
    settings: Settings, own_broker: Broker
) -> None:
    sends = [OutRecord(SENDS, number % 3, b"lead", b"send-%d" % number) for number in range(9)]
    fill(settings, sends[:4])
    skip(settings, group_of(settings, SENDER.name), SENDS)
    fill(settings, sends[4:])
    kept = KeptRecords(settings)
    assert kept.keep(60) == 5
    own_broker.forget()
    create_topics(settings)
    assert kept.give_back(clicks=True) == 5
    found = {(record.partition, record.key, record.value) for record in records(settings, SENDS)}
    assert found == {(one.partition, one.key, one.value) for one in sends[4:]}


def test_what_can_t_be_kept_in_time_leaves_nothing(settings: Settings) -> None:
    fill(settings, [OutRecord(DEAD, 0, b"judge", a_letter(1))])
    with pytest.raises(Retry, match="more than can be kept"):
        KeptRecords(settings).keep(-1)
    assert list(settings.data_dir.glob("broker-kept*")) == []


def test_a_line_that_is_spoilt_is_left_out_and_logged(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    fill(settings, [OutRecord(DEAD, 0, b"judge", a_letter(number)) for number in range(2)])
    kept = KeptRecords(settings)
    kept.keep(60)
    file = settings.data_dir / "broker-kept"
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first[: len(first) // 2] + b"\n" + second)
    assert kept.give_back(clicks=False) == 1
    assert "a kept record can't be read, it is left out" in capsys.readouterr().out
