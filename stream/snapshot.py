"""A state topic on disk: its records and how far they were read, so that a process knows them before Kafka answers.

One file: a line of JSON (the topic, a CRC-32C of the rest, and for each partition a mark of the last record read), then
one line for each record. Renamed into place when whole, so that a crash leaves the one before.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec
import structlog
from crc32c import crc32c

log = structlog.get_logger()

_CHUNK = 1_000  # records at a time: a thread that encodes a million at once would hold up every other


class SnapshotOffset(msgspec.Struct, frozen=True):
    """The last record read of a partition. It identifies the topic: a recreated one has another record there."""

    offset: int
    timestamp: int
    crc: int

    @classmethod
    def of(cls, offset: int, timestamp: int, value: bytes | None) -> SnapshotOffset:
        return cls(offset, timestamp, crc32(value or b""))


class _SnapshotHeader(msgspec.Struct):
    topic: str
    crc: int
    records: int
    marks: dict[int, SnapshotOffset]


class Snapshot:
    """The file of one topic. Processes may share it: each writes a whole one, the last stands."""

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic

    def load(self) -> tuple[Iterator[bytes], dict[int, SnapshotOffset]]:
        """The records as JSON, and the marks; nothing when there is no file, or none of this topic that is whole."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return iter(()), {}
        except OSError as error:
            log.warning("a snapshot can't be read", path=str(self._path), error=repr(error))
            return iter(()), {}
        line, _, rest = data.partition(b"\n")
        try:
            head = msgspec.json.decode(line, type=_SnapshotHeader)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            head = None
        if head is None or head.topic != self._topic or head.crc != crc32c(rest):
            log.warning("a snapshot is damaged or another topic's, reading the topic instead", path=str(self._path))
            return iter(()), {}
        return iter(rest.splitlines()), head.marks

    def save(self, records: Iterable[msgspec.Struct], marks: dict[int, SnapshotOffset]) -> None:
        """Write both, and see them onto the disk before they take the place of what was there. Raises OSError."""
        encode = msgspec.json.Encoder().encode_lines
        chunks: list[bytes] = []
        some: list[msgspec.Struct] = []
        crc = count = 0

        def take() -> None:
            nonlocal crc, count
            chunks.append(encode(some))
            crc = crc32c(chunks[-1], crc)
            count += len(some)
            some.clear()

        for record in records:
            some.append(record)
            if len(some) == _CHUNK:
                take()
        take()
        head = msgspec.json.encode(_SnapshotHeader(self._topic, crc, count, marks))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
        try:
            with unfinished.open("wb") as file:
                file.writelines((head, b"\n", *chunks))
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise
