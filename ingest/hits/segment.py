"""A file of the spool: frames appended one after another, held by one process at a time, removed when replayed.

A frame is a mark, a CRC-32C (RFC 3720, appendix B.4), sizes, and hits as NDJSON. What a crash or a bad disk has spoilt
is stepped over: the mark begins with a byte that no NDJSON of ours holds, so the next whole frame is always found.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from crc32c import crc32c

SUFFIX = ".spool"
_MARK = b"\x00SLH"
# Mark, CRC of all that follows it, bytes of NDJSON, hits, partition, partitions of the topic, when (epoch ms).
_HEAD = struct.Struct("<4sIIIIIQ")
_CHECKED_FROM = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """Hits of one partition, as one line of NDJSON each. `at` is when the first of them came, in epoch seconds."""

    value: bytes
    hits: int
    partition: int
    partitions: int
    at: float

    def encode(self) -> bytes:
        head = _HEAD.pack(_MARK, 0, len(self.value), self.hits, self.partition, self.partitions, int(self.at * 1000))
        checked = head[_CHECKED_FROM:]
        crc = crc32c(self.value, crc32c(checked))
        return b"".join((_MARK, crc.to_bytes(4, "little"), checked, self.value))


def size_of(frame: Frame) -> int:
    """The frame's bytes on disk."""
    return _HEAD.size + len(frame.value)


def decode(data: bytes) -> tuple[list[Frame], int]:
    """The whole frames of a file, in order, and how many bytes belong to none: a torn end, or damage."""
    frames: list[Frame] = []
    at = lost = 0
    while at < len(data):
        frame = _frame_at(data, at)
        if frame is not None:
            frames.append(frame)
            at += size_of(frame)
            continue
        after = data.find(_MARK, at + 1)
        after = len(data) if after < 0 else after
        lost += after - at
        at = after
    return frames, lost


def _frame_at(data: bytes, at: int) -> Frame | None:
    body = at + _HEAD.size
    if body > len(data):
        return None
    mark, crc, length, hits, partition, partitions, milliseconds = _HEAD.unpack_from(data, at)
    if mark != _MARK or body + length > len(data):
        return None
    if crc32c(data[at + _CHECKED_FROM : body + length]) != crc:
        return None
    return Frame(data[body : body + length], hits, partition, partitions, milliseconds / 1000)


class Segment:
    """One file, locked by this process for as long as it is open (flock; the kernel lets go when a process dies)."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = 0
        self.hits = 0
        self.oldest_at = 0.0
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path) -> Segment:
        """Make an empty file that no other process will take up. Raises OSError."""
        path = folder / f"{time.time_ns():020d}-{os.getpid()}{SUFFIX}"
        unfinished = path.with_suffix(".new")  # under its own name only once it is locked
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unfinished.rename(path)
            _sync_folder(folder)
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor)

    @classmethod
    def adopt(cls, path: Path) -> tuple[Segment, int] | None:
        """Take up what a process that is gone has left, and how many of its bytes are spoilt. None: somebody has it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or os.fstat(descriptor).st_ino != path.stat().st_ino:
                raise FileNotFoundError  # another process replayed it between our two steps
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)
            return None
        segment = cls(path, descriptor)
        frames, lost = segment.read()
        segment.size = os.fstat(descriptor).st_size
        segment.hits = sum(frame.hits for frame in frames)
        segment.oldest_at = min((frame.at for frame in frames), default=path.stat().st_mtime)
        return segment, lost

    def append(self, frames: list[Frame]) -> None:
        """Write frames and see them onto the disk. Raises OSError, and then holds none of them."""
        data = b"".join([frame.encode() for frame in frames])
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
            # Not fsync: times of the file are nothing to wait for, and its size is seen to all the same.
            os.fdatasync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise
        self.size += len(data)
        self.hits += sum(frame.hits for frame in frames)
        self.oldest_at = self.oldest_at or min(frame.at for frame in frames)

    def read(self) -> tuple[list[Frame], int]:
        """What `decode` finds in the file. Raises OSError."""
        chunks, at = [], 0
        while chunk := os.pread(self._descriptor, 1 << 20, at):
            chunks.append(chunk)
            at += len(chunk)
        return decode(b"".join(chunks))

    def remove(self) -> None:
        """Delete the file: Kafka has all of it."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Unlock and close the file; it stays for the next process to adopt."""
        os.close(self._descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
