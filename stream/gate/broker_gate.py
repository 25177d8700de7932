"""The gate before the broker in memory: it is closed while that broker is drained and replaced by an empty one.

Two files in the data folder. One says how far the gate is closed and by whom, and stays when the process that closed it
is killed: what comes in then goes to disk, for an ingest that follows one owner's notices ignores those of another. The
other is a lock that every writer outside the stages shares for as long as it may write. Who replaces the broker takes
it alone: then nobody has anything on its way there. The kernel takes a lock from a process that dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from schemas.errors import Misconfigured, Retry
from schemas.settings import Settings

_LOOK_SECONDS = 0.1
# For as long a writer of a command waits: a broker is replaced within it.
_PATIENCE_SECONDS = 120.0


class GateState(StrEnum):
    """How far the gate is closed."""

    OPEN = "open"
    SPOOLING = "spooling"  # hits go to the spool; all else still goes to the broker
    CLOSED = "closed"  # nothing goes to the broker but what its stages write


@dataclass(frozen=True, slots=True)
class GateNotice:
    """What the gate's file says; `owner` names the BrokerGate that wrote it, for as long as that lives."""

    state: GateState
    owner: str


class BrokerGate:
    """The gate of one data folder, for who writes and for who replaces the broker. For one thread."""

    def __init__(self, data_dir: Path) -> None:
        self._owner = secrets.token_hex(8)
        self._file = data_dir / "broker-gate"
        self._opening = data_dir / "broker-gate.opening"
        self._lock = data_dir / "broker-gate.lock"
        self._held: BinaryIO | None = None

    @property
    def notice(self) -> GateNotice | None:
        """The last one; None where the gate was never closed. A file that can't be read closes it: another release may
        have written it."""
        try:
            state, _, owner = self._file.read_text().partition(" ")
            return GateNotice(GateState(state), owner)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return GateNotice(GateState.CLOSED, "")

    @property
    def state(self) -> GateState:
        """How far it is closed, for who begins to write now."""
        notice = self.notice
        return GateState.OPEN if notice is None else notice.state

    @property
    def is_used(self) -> bool:
        """Whether a broker in memory was started in this data folder."""
        return self._lock.exists()

    def close(self, state: GateState) -> None:
        """Ask every writer to let go, as far as `state` says. Raises OSError, and then nothing has changed."""
        # The notice that opens it lies ready before it is closed: on a disk that has filled up it could not be written.
        self._write(self._opening, GateState.OPEN)
        self._write(self._file, state)

    def open(self) -> None:
        """Let every writer write again. Takes no room on the disk where this gate was closed here. Raises OSError."""
        self.let_go()
        notice = self.notice
        if notice is None or notice == GateNotice(GateState.OPEN, self._owner):  # it could not be closed at all
            return
        try:
            self._opening.replace(self._file)
        except FileNotFoundError:
            self._write(self._file, GateState.OPEN)

    def prepare(self) -> None:
        """For a broker in memory that is about to start: no notice of an earlier one, and the lock is there for writers
        to find. Raises OSError."""
        self.forget()
        self._lock.touch(mode=0o600)

    def forget(self) -> None:
        """Leave no notice. Who has let go on another owner's notice does not come back. Raises OSError."""
        self.let_go()
        self._opening.unlink(missing_ok=True)
        self._file.unlink(missing_ok=True)

    def share(self) -> bool:
        """Begin to write; False while somebody has the broker alone, or wants it."""
        return self._take(fcntl.LOCK_SH) and (self.state is not GateState.CLOSED or self._let_go_again())

    def take_alone(self) -> bool:
        """Have the broker alone; False while somebody may still write to it."""
        return self._take(fcntl.LOCK_EX)

    def let_go(self) -> None:
        """Write no more, or have the broker no longer alone."""
        held, self._held = self._held, None
        if held is not None:
            held.close()

    def _let_go_again(self) -> bool:
        self.let_go()
        return False

    def _take(self, how: int) -> bool:
        self.let_go()
        try:
            lock = self._lock.open("wb")
        except OSError as error:
            raise Misconfigured(f"SENDLENS_DATA_DIR: {self._lock} can't be used ({error.strerror})") from None
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._held = lock
        return True

    def _write(self, file: Path, state: GateState) -> None:
        unfinished = file.with_suffix(".new")
        try:
            unfinished.write_text(f"{state} {self._owner}")
            unfinished.replace(file)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise


def gate_of(settings: Settings) -> BrokerGate | None:
    """The gate of this installation, where its broker keeps everything in memory. For a process of the installation,
    whose settings name the broker that runs."""
    return BrokerGate(settings.data_dir.absolute()) if settings.broker_in_memory else None


@contextlib.contextmanager
def through_gate(settings: Settings, patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """For a command that writes: within, no broker is replaced. Waits while one is.

    Which broker runs is what the data folder says and not this command's settings: `make kafka` may have changed what
    they mean since the start. Raises Retry when it takes longer than `patience` seconds.
    """
    gate = BrokerGate(settings.data_dir.absolute())
    if settings.mode != "embedded" or not gate.is_used:
        yield
        return
    deadline = time.monotonic() + patience
    while not gate.share():
        if time.monotonic() > deadline:
            raise Retry("the broker is being replaced by an empty one, or was when it was killed: then `make up` first")
        time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        gate.let_go()
