"""Where positions are kept: on the topic `positions`, and in a file of the data directory. The newer one counts.

The topic outlives a machine, and a process that is moved; the file outlives a broker in memory. A position that the
file has and the topic has not says that Kafka has lost its records, mails among them, and that they are wanted again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec
import structlog

from schemas.errors import Misconfigured
from schemas.state.positions import Position

log = structlog.get_logger()


class PositionFile:
    """All positions in one file, a line of JSON each, replaced whole. Used from many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._positions = {position.key: position for position in self._read()}

    def get(self, key: str) -> Position | None:
        return self._positions.get(key)

    def keep(self, position: Position) -> None:
        """Write it down; after this not even a power cut takes it back. Raises OSError."""
        with self._lock:
            self._positions[position.key] = position
            unfinished = self._path.with_suffix(".new")
            with unfinished.open("wb") as file:
                file.write(msgspec.json.Encoder().encode_lines(self._positions.values()))
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _read(self) -> Iterable[Position]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise Misconfigured(f"SENDLENS_DATA_DIR: {self._path} can't be used ({error.strerror})") from None
        for line in lines:
            try:
                yield msgspec.json.decode(line, type=Position)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                log.warning("a position can't be read: its folder counts as never seen", path=str(self._path))


def newer(in_file: Position | None, on_topic: Position | None) -> tuple[Position | None, bool]:
    """The position that counts, and whether Kafka has lost what it had."""
    if in_file is None or on_topic is None:
        return in_file or on_topic, in_file is not None
    return max(in_file, on_topic, key=lambda position: position.at), False
