"""What a drained broker holds and ClickHouse does not: kept in a file of the data folder for the next broker.

Letters of the topic `dead`, how far the inbox has read each folder, and the clicks of the last while, by which the
judge knows a robot that has pressed other links as well. The file is there from before the old broker ends until the
new one has its records. A start after a crash in between gives them to its own broker, but for the clicks: its judge
may already read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import structlog

from agents.judge.look_back import look_back_seconds
from agents.pipeline import JUDGE, STAGES
from schemas.errors import UNREADABLE, Misconfigured
from schemas.settings import Settings
from schemas.topics import ALL, DEAD, HITS, POSITIONS
from stream.lag import LagProbe
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

    def keep(self) -> int:
        """Write down what the broker holds; how many records. After this not even a power cut takes them back.

        Nothing may be written to the broker meanwhile. Raises Retry when it does not answer, OSError.
        """
        count, encode = 0, msgspec.json.Encoder().encode
        unfinished = self._path.with_suffix(".new")
        with unfinished.open("wb") as file:
            for record in self._held():
                file.write(encode(_KeptLine(record.topic.name, record.partition, record.key, record.value)) + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path)
        _see_onto_disk(self._path.parent)
        return count

    def give_back(self, *, clicks: bool) -> int:
        """Write what is kept to the broker, and keep it no longer; how many records. Raises Retry without a broker.

        `clicks`: those too, as acknowledged. Then nobody may read or write hits, and the topic must be empty.
        """
        try:
            lines = self._path.open("rb")
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise Misconfigured(f"SENDLENS_DATA_DIR: {self._path} can't be read ({error.strerror})") from None
        with lines:
            count = fill(self._settings, (one for one in _records(lines) if clicks or one.topic is not HITS))
        for stage in STAGES:
            if clicks and HITS in stage.takes:
                skip(self._settings, group_of(self._settings, stage.name), HITS)
        self.forget()
        return count

    def forget(self) -> None:
        """Keep nothing: the broker has it."""
        self._path.unlink(missing_ok=True)

    def _held(self) -> Iterator[Record]:
        with TailReader(self._settings, DEAD, fetch_bytes=DEAD.record_bytes) as tail:
            yield from tail.read(tail.starts())
        newest: dict[bytes, Record] = {}
        with TailReader(self._settings, POSITIONS) as tail:
            for record in tail.read(tail.starts()):
                newest[record.key] = record
        yield from newest.values()
        yield from self._recent_clicks()

    def _recent_clicks(self) -> Iterator[Record]:
        since = time.time() - look_back_seconds(self._settings.honeypot)
        probe = LagProbe(self._settings, {JUDGE.name: [HITS]})
        try:
            ends = {one.partition: one.end for one in probe.partitions(exact=True)}
        finally:
            probe.close()
        for partition, end in ends.items():
            for record in records_before(self._settings, HITS, partition, end, since):
                lines = [line for line in record.value.split(b"\n") if b'"click"' in line]
                if lines:
                    yield replace(record, value=b"\n".join([*lines, b""]))


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
