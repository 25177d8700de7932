"""What a drained broker holds and ClickHouse does not: kept in a file of the data folder for the next broker.

Letters of the topic `dead`, how far the inbox has read each folder, send requests that the sender has not acknowledged,
and the clicks of the last while, by which the judge knows a robot that has pressed other links as well. The file is
there from before the old broker ends until the new one has its records. A start after a crash in between gives them to
its own broker, but for the clicks: its judge may already read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import structlog

from agents.judge.look_back import look_back_seconds
from agents.pipeline import JUDGE, STAGES, Stage
from schemas.errors import UNREADABLE, Misconfigured, Retry
from schemas.settings import Settings
from schemas.topics import ALL, DEAD, HITS, POSITIONS, Topic
from stream.lag import LagProbe, PartitionLag
from stream.lookback import records_before
from stream.offsets import group_of
from stream.records import OutRecord, Record
from stream.rewinding import skip
from stream.tail import TailReader
from stream.write_all import fill

log = structlog.get_logger()

_FILE = "broker-kept"
_TOPICS = {topic.name: topic for topic in ALL}


class _KeptLine(msgspec.Struct):
    """A record as the file has it, a line of JSON; key and value are base64."""

    topic: str
    partition: int
    key: bytes
    value: bytes


class KeptRecords:
    """The file of one installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.data_dir / _FILE

    def keep(self, within: float) -> int:
        """Write down what the broker holds; how many records. After this not even a power cut takes them back.

        Nothing may be written to the broker meanwhile. Raises Retry when it does not answer, or this takes longer than
        `within` seconds; OSError. Then nothing is kept.
        """
        deadline = time.monotonic() + within
        count, encode = 0, msgspec.json.Encoder().encode
        unfinished = self._path.with_suffix(".new")
        try:
            with unfinished.open("wb") as file:
                for record in self._held():
                    file.write(encode(_KeptLine(record.topic.name, record.partition, record.key, record.value)) + b"\n")
                    count += 1
                    if time.monotonic() > deadline:
                        raise Retry(f"the broker holds more than can be kept within {within:.0f} s")
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except BaseException:
            with suppress(OSError):  # what it took of a full disk
                unfinished.unlink(missing_ok=True)
            raise
        _see_onto_disk(self._path.parent)
        return count

    def give_back(self, *, clicks: bool) -> int:
        """Write what is kept to the broker; how many records. `clicks`: those too. They stay kept until `forget`.

        Raises Retry when the broker did not take them all: repeated, those that it took are there twice.
        """
        try:
            lines = self._path.open("rb")
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise Misconfigured(f"SENDLENS_DATA_DIR: {self._path} can't be read ({error.strerror})") from None
        with lines:
            return fill(self._settings, (one for one in _records(lines) if clicks or one.topic is not HITS))

    def acknowledge_clicks(self) -> None:
        """Have the clicks count as acknowledged. Nobody may read or write hits, and nothing else may be in the topic.
        Can be repeated. Raises Retry without a broker."""
        for stage in STAGES:
            if HITS in stage.takes:
                skip(self._settings, group_of(self._settings, stage.name), HITS)

    def forget(self) -> None:
        """Keep nothing: the broker has it. Raises OSError."""
        if self._path.exists():
            self._path.unlink()
            _see_onto_disk(self._path.parent)

    def _held(self) -> Iterator[Record]:
        with TailReader(self._settings, DEAD, fetch_bytes=DEAD.record_bytes) as tail:
            yield from tail.read(tail.starts())
        newest: dict[bytes, Record] = {}
        with TailReader(self._settings, POSITIONS) as tail:
            for record in tail.read(tail.starts()):
                newest[record.key] = record
        yield from newest.values()
        for stage in STAGES:
            if stage.carried:
                for topic in stage.takes:
                    yield from self._unacknowledged(stage, topic)
        yield from self._recent_clicks()

    def _unacknowledged(self, stage: Stage, topic: Topic) -> Iterator[Record]:
        behind = [one for one in self._lags(stage, topic) if one.lag]
        if not behind:
            return
        with TailReader(self._settings, topic, fetch_bytes=topic.record_bytes) as tail:
            yield from tail.read(
                {one.partition: one.position for one in behind}, {one.partition: one.end for one in behind}
            )

    def _recent_clicks(self) -> Iterator[Record]:
        """Each with the time it was first written as its key: the next broker gives it a time of its own, by which it
        would be recent for ever."""
        since = time.time() - look_back_seconds(self._settings.honeypot)
        for one in self._lags(JUDGE, HITS):
            for record in records_before(self._settings, HITS, one.partition, one.end, since):
                lines = [line for line in record.value.split(b"\n") if b'"click"' in line]
                if lines and (written_at := first_written_at(record)) >= since:
                    yield replace(record, key=repr(written_at).encode(), value=b"\n".join([*lines, b""]))

    def _lags(self, stage: Stage, topic: Topic) -> list[PartitionLag]:
        probe = LagProbe(self._settings, {stage.name: [topic]})
        try:
            return probe.partitions(exact=True)
        finally:
            probe.close()


def first_written_at(clicks: Record) -> float:
    """When a record of hits was first written to a broker, in epoch seconds."""
    try:
        return float(clicks.key)
    except ValueError:  # ingest writes them without a key
        return clicks.written_at


def _records(lines: Iterator[bytes]) -> Iterator[OutRecord]:
    for line in lines:
        try:
            one = msgspec.json.decode(line, type=_KeptLine)
            topic = _TOPICS[one.topic]
        except (*UNREADABLE, KeyError) as error:  # of a disk that failed, or of another release
            log.error("a kept record can't be read, it is left out", why=str(error))
            continue
        yield OutRecord(topic, one.partition, one.key, one.value)


def _see_onto_disk(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
