"""Replaces the broker in memory by an empty one when its memory passes SENDLENS_BROKER_MB, and loses nothing.

Beside the processes of one machine, on a thread. In this order, so that a crash at any point is no worse than one of
the broker at any other time:

1. The gate is closed for hits, which go to the spool, and the inbox rests.
2. The worker goes on until every record is acknowledged.
3. The gate is closed for all else; the worker drains and ends. Nobody can write any more, so what is acknowledged now
   is all that there is. What is not, and a broker that does not answer, ends the attempt: everything goes on as before.
4. What ClickHouse does not have is kept in a file; the broker is ended, another started and filled.
5. The gate is opened, worker and inbox run again. The spool is replayed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from agents.pipeline import STAGES
from commands.broker.broker_memory import BrokerFigures, resident_bytes
from commands.broker.kept_records import KeptRecords
from schemas.errors import Retry
from schemas.settings import Settings
from stream.gate.broker_gate import BrokerGate, GateState
from stream.lag import LagProbe
from stream.topic_admin import topics_at_fault

if TYPE_CHECKING:
    from stack import Stack

log = structlog.get_logger()

_MB = 1_000_000
_LOOK_SECONDS = 2.0
_STEP_SECONDS = 0.5
# A backlog takes its time. What is not drained by then is tried later: hits go to the spool meanwhile.
_LONGEST_DRAIN = 300.0
_GATE_PATIENCE = 30.0
_STOP_PATIENCE = 75.0  # a worker ends within a minute (agents/worker.py)
_BROKER_PATIENCE = 10.0
_MIGRATE_PATIENCE = 120.0
_START_PATIENCE = 60.0
_WORKER_READY = "worker is ready"  # agents/worker.py logs it
_ATTEMPTS = 3
# A record of hits is a batch; an email may take a second. Beyond this the backlog is to be worked off first.
_MOST_LEFT = 2_000
_BUSY_SECONDS = 10.0
_TRY_AGAIN_SECONDS = 300.0
# What a new broker holds at once is state. Beside that it is granted this share of the limit at the least.
_ROOM = 4


class _Undrained(Exception):
    """The broker can't be replaced now; why."""


class BrokerReplacement:
    """Attends a stack whose broker keeps everything in memory. `settings` are those of its processes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gate = BrokerGate(settings.data_dir.absolute())
        self._kept = KeptRecords(settings)
        self._limit = settings.broker_mb * _MB
        self._threshold = self._limit
        self._not_before = 0.0
        self._stopping = threading.Event()
        self._turn = threading.Lock()  # whose the processes are
        self._figures = BrokerFigures(settings, self._pid)
        self._thread = threading.Thread(target=self._attend, name="broker-replacement", daemon=True)

    def prepare(self) -> None:
        """A gate that was left closed is none of ours: its broker is no more."""
        self._gate.forget()

    def begin(self, stack: Stack) -> None:
        """Watch from now on."""
        self._stack = stack
        self._thread.start()

    def end(self) -> None:
        """Begin nothing more; returns when the processes are left alone."""
        self._stopping.set()
        with self._turn:
            pass

    def _attend(self) -> None:
        self._figures.start()
        while not self._is_up() and not self._stopping.wait(_LOOK_SECONDS):
            pass
        while not self._stopping.wait(_LOOK_SECONDS):
            memory = self._memory()
            if not self._limit or memory is None or memory <= self._threshold or time.monotonic() < self._not_before:
                continue
            if self._is_busy():
                self._not_before = time.monotonic() + _BUSY_SECONDS
                continue
            log.info("the broker is to be replaced", mb=memory // _MB, limit=self._settings.broker_mb)
            with self._turn:
                if not self._stopping.is_set():
                    self._replace()
        self._figures.stop()

    def _is_busy(self) -> bool:
        """Whether so much waits for its stages that draining would take long. It is asked again soon."""
        try:
            left = self._left()
        except Exception as error:  # whatever it is, the broker is not to be drained then
            log.info("the broker can't be asked how much waits", why=repr(error))
            return True
        if left > _MOST_LEFT:
            log.info("the broker is too busy to be replaced, it grows on", left=left)
        return left > _MOST_LEFT

    def _is_up(self) -> bool:
        """Whether the broker has its topics, as it has when the processes have started."""
        try:
            return not topics_at_fault(self._settings)
        except Retry:
            return False

    def _pid(self) -> int | None:
        return self._stack.pid("broker")

    def _memory(self) -> int | None:
        """What the broker takes now, in bytes."""
        pid = self._pid()
        return None if pid is None else resident_bytes(pid)

    def _replace(self) -> None:
        """If it can be done; if not, all goes on as it was."""
        began = time.monotonic()
        try:
            self._drain()
            kept = self._kept.keep()
        except Exception as error:  # whatever it is, the broker that is there has all that it had
            self._go_on(str(error) or repr(error))
            return
        if self._stopping.is_set():
            return
        try:
            self._exchange()
        except Exception as error:  # whatever it is, a start from nothing is what this broker needs
            self._stack.fail("worker", f"the new broker can't be used: {error!r}. Start again: nothing is lost")
            return
        seconds = round(time.monotonic() - began, 1)
        log.info("the broker was replaced by an empty one", seconds=seconds, kept=kept)
        self._figures.count("replaced")

    def _drain(self) -> None:
        """Until every record of the broker is acknowledged, and nobody can write to it. Raises _Undrained, Retry."""
        self._gate.close(GateState.SPOOLING)
        self._rest("inbox")
        self._wait(lambda: not self._left(), _LONGEST_DRAIN, "its records are not handled in time")
        self._gate.close(GateState.CLOSED)
        self._wait(self._gate.take_alone, _GATE_PATIENCE, "somebody still writes to it")
        for _ in range(_ATTEMPTS):
            self._rest("worker")
            if not self._left():
                return
            self._stack.wake("worker", _WORKER_READY)
            self._wait(lambda: not self._left(), _LONGEST_DRAIN, "its last records are not handled in time")
        raise _Undrained("the worker left records")

    def _exchange(self) -> None:
        """End the broker and fill another. Raises what makes that impossible."""
        from commands.migration import fill_new_broker

        if not self._stack.rest("broker", _BROKER_PATIENCE):
            self._stack.kill_at_rest("broker", _BROKER_PATIENCE)
        self._stack.wake("broker")
        fill_new_broker(self._settings, _MIGRATE_PATIENCE)
        self._threshold = max(self._limit, (self._memory() or 0) + self._limit // _ROOM)
        self._stack.wake("worker", _WORKER_READY)
        self._gate.open()
        self._stack.wake("inbox")
        self._await_worker()

    def _go_on(self, why: str) -> None:
        """With the broker that is there."""
        self._kept.forget()
        self._stack.wake("worker", _WORKER_READY)
        if self._stopping.is_set():
            self._await_worker()
            return
        self._gate.open()
        self._stack.wake("inbox")
        self._not_before = time.monotonic() + _TRY_AGAIN_SECONDS
        self._figures.count("given-up")
        log.warning("the broker was not replaced, trying again later", why=why, seconds=_TRY_AGAIN_SECONDS)
        self._await_worker()

    def _await_worker(self) -> None:
        """However soon the processes are to stop: a worker that is told so while it starts would drain nothing."""
        if not self._stack.has_started("worker", _START_PATIENCE):
            log.warning("the worker takes long to start", seconds=_START_PATIENCE)

    def _rest(self, name: str) -> None:
        """Have it end. One that ends by an error says so by itself when it runs again."""
        if not self._stack.rest(name, _STOP_PATIENCE):
            log.warning("a process did not stop in time, it is killed", process=name)
            self._stack.kill_at_rest(name, _BROKER_PATIENCE)

    def _left(self) -> int:
        """Records that their stages have not acknowledged. Raises Retry when the broker does not answer."""
        probe = LagProbe(self._settings, {stage.name: stage.takes for stage in STAGES})
        try:
            return sum(sum(behind.values()) for behind in probe(exact=True).values())
        finally:
            probe.close()

    def _wait(self, until: Callable[[], bool], seconds: float, why: str) -> None:
        """Raises _Undrained, with `why`, when it is not so in time, or the processes are to stop."""
        deadline = time.monotonic() + seconds
        while not until():
            if self._stopping.wait(_STEP_SECONDS) or time.monotonic() > deadline:
                raise _Undrained(why)
