"""The gate before the broker in memory: it is closed while that broker is drained and replaced by an empty one.

Two files in the data folder. One says how far the gate is closed and by whom, and stays when the process that closed it
is killed: what comes in then goes to disk, for an ingest that has heard of it does not take another's word. The other
is a lock that every writer outside the stages shares for as long as it may write. Who replaces the broker takes it
alone: then nobody has anything on its way there. The kernel takes a lock from a process that dies.
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
class GateWord:
    """What the gate's file says; `of` names who wrote it, for as long as it lives."""

    state: GateState
    of: str


class BrokerGate:
    """The gate of one data folder, for who writes and for who replaces the broker. For one thread."""

    def __init__(self, data_dir: Path) -> None:
        self._of = secrets.token_hex(8)
        self._state = data_dir / "broker-gate"
        self._lock = data_dir / "broker-gate.lock"
        self._held: BinaryIO | None = None

    @property
    def word(self) -> GateWord | None:
        """What was said last; None where the gate was never closed. What can't be read closes it: another release may
        have written it."""
        try:
            state, _, of = self._state.read_text().partition(" ")
            return GateWord(GateState(state), of)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return GateWord(GateState.CLOSED, "")

    @property
    def state(self) -> GateState:
        """How far it is closed, for who begins to write now."""
        word = self.word
        return GateState.OPEN if word is None else word.state

    def close(self, state: GateState) -> None:
        """Ask every writer to let go, as far as `state` says. Raises OSError."""
        unfinished = self._state.with_suffix(".new")
        unfinished.write_text(f"{state} {self._of}")
        unfinished.replace(self._state)

    def open(self) -> None:
        """Let every writer write again. Raises OSError."""
        self.let_go()
        self.close(GateState.OPEN)

    def forget(self) -> None:
        """Leave no word, for those who start. Who has let go on another's word does not come back. Raises OSError."""
        self.let_go()
        self._state.unlink(missing_ok=True)

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


def gate_of(settings: Settings) -> BrokerGate | None:
    """The gate of this installation, where its broker keeps everything in memory."""
    return BrokerGate(settings.data_dir.absolute()) if settings.broker_in_memory else None


@contextlib.contextmanager
def through_gate(settings: Settings, patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """For a command that writes: within, no broker is replaced. Waits while one is.

    Raises Retry when that takes longer than `patience` seconds.
    """
    gate = gate_of(settings)
    if gate is None or not settings.data_dir.is_dir():  # where nothing was started nothing is replaced
        yield
        return
    deadline = time.monotonic() + patience
    while not gate.share():
        if time.monotonic() > deadline:
            raise Retry("the broker is being replaced by an empty one")
        time.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        gate.let_go()
