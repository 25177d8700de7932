"""Replaces the broker in memory by an empty one when its memory passes SENDLENS_BROKER_MB, and loses nothing.

Beside the processes of one machine, on a thread. In this order, so that a crash at any point is no worse than one of
the broker at any other time:

1. The gate is closed for hits, which go to the spool, and the inbox rests.
2. The worker goes on until no stage has a backlog, also where hits came faster than it judged them.
3. The gate is closed for all else; the sender stops, the worker drains and ends. Nobody can write any more, so what is
   acknowledged now is all that there is, but for send requests, which are not waited for. Another record that is not
   acknowledged, and a broker that does not answer, end the attempt: everything goes on as before.
4. What ClickHouse does not have is kept in a file, send requests too; the broker is ended, another started and filled.
5. Worker and inbox run again, the gate is opened. The spool is replayed.
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
from schemas.topics import HITS
from stream.gate.broker_gate import BrokerGate, GateState
from stream.lag import LagProbe, PartitionLag
from stream.topic_admin import topics_at_fault

if TYPE_CHECKING:
    from stack import Stack

log = structlog.get_logger()

_MB = 1_000_000
_LOOK_SECONDS = 2.0
_STEP_SECONDS = 0.5
# Ingest looks at the gate twice a second. By then it gives hits to the spool.
_NOTICE_SECONDS = 1.5
# A backlog takes its time. What is not worked off by then is tried later: hits go to the spool meanwhile.
_LONGEST_BACKLOG = 300.0
# What waits for longer is a backlog: the store gathers records for a second, offsets are committed each second.
_BACKLOG_SECONDS = 5.0
# From closing the gate to ending the old broker, beside the settle delay. The API answers 503 for so long.
_LONGEST_CLOSED = 60.0
_WRITERS_PATIENCE = 20.0
_INBOX_PATIENCE = 75.0
_BROKER_PATIENCE = 10.0
# For all of the filling. A broker that did not take everything is thrown away, and another one filled.
_FILL_PATIENCE = 120.0
_FILL_ATTEMPTS = 3
_START_PATIENCE = 60.0
_WORKER_READY = "worker is ready"  # agents/worker.py logs it
_TRY_AGAIN_SECONDS = 300.0
# What a new broker holds at once is state. Beside that it is granted this share of the limit at the least.
_ROOM = 4
# Stages that a broker is drained of.
_DRAINED = {stage.name: stage.takes for stage in STAGES if not stage.carried}


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
        self._is_up = False
        self._stopping = threading.Event()
        self._turn = threading.Lock()  # whose the processes are
        self._figures = BrokerFigures(settings, self._pid)
        self._thread = threading.Thread(target=self._attend, name="broker-replacement", daemon=True)

    def prepare(self) -> None:
        """A gate that was left closed was another broker's, which is no more."""
        self._gate.prepare()

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
        while not self._stopping.wait(_LOOK_SECONDS):
            try:
                self._look()
            except Exception:  # of a thread that ended nobody would know
                log.exception("the broker can't be attended to, trying again later", seconds=_TRY_AGAIN_SECONDS)
                self._not_before = time.monotonic() + _TRY_AGAIN_SECONDS
        self._figures.stop()

    def _look(self) -> None:
        """Replace the broker when it is time to."""
        self._is_up = self._is_up or self._has_topics()
        memory = self._memory()
        if not self._is_up or not self._limit or memory is None or memory <= self._threshold:
            return
        if time.monotonic() < self._not_before:
            return
        log.info("the broker is to be replaced", mb=memory // _MB, limit=self._settings.broker_mb)
        with self._turn:
            if not self._stopping.is_set():
                self._replace()

    def _has_topics(self) -> bool:
        """As the broker has when the processes have started."""
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
            self._work_off()
            kept = self._close()
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
        self._resume()
        seconds = round(time.monotonic() - began, 1)
        log.info("the broker was replaced by an empty one", seconds=seconds, kept=kept)
        self._figures.count("replaced")

    def _work_off(self) -> None:
        """Until no stage has a backlog. Raises _Undrained, Retry, OSError."""
        self._gate.close(GateState.SPOOLING)
        self._rest("inbox", _INBOX_PATIENCE)
        self._stopping.wait(_NOTICE_SECONDS)
        self._wait(lambda: not self._has_backlog(), _LONGEST_BACKLOG, "its records are not handled in time")

    def _close(self) -> int:
        """Until every record of the broker is acknowledged or kept, and nobody can write to it; how many are kept.

        Raises _Undrained, Retry, OSError, after a minute and the settle delay at the latest.
        """
        deadline = time.monotonic() + _LONGEST_CLOSED + self._settings.settle_seconds
        self._gate.close(GateState.CLOSED)
        self._wait(self._gate.take_alone, _WRITERS_PATIENCE, "somebody still writes to it")
        while not self._stopping.is_set():
            # One that was killed may not have written what became of an email: it does so when it runs again.
            if not self._rest("worker", deadline - time.monotonic()):
                raise _Undrained("the worker does not stop in time")
            if not self._left():
                return self._kept.keep(deadline - time.monotonic())
            self._stack.wake("worker", _WORKER_READY)
            if not self._stack.has_started("worker", deadline - time.monotonic()):
                raise _Undrained("its last records are not handled in time")
        raise _Undrained("everything is to stop")

    def _exchange(self) -> None:
        """End the broker and fill another. Raises what makes that impossible."""
        from commands.migration import fill_new_broker

        deadline = time.monotonic() + _FILL_PATIENCE
        for left in reversed(range(_FILL_ATTEMPTS)):
            self._rest("broker", _BROKER_PATIENCE)
            self._stack.wake("broker")
            try:
                fill_new_broker(self._settings, deadline - time.monotonic())
                break
            except (Retry, OSError) as error:
                if not left or time.monotonic() > deadline:
                    raise
                log.warning("the new broker did not take everything, filling another", why=repr(error))
        self._threshold = max(self._limit, (self._memory() or 0) + self._limit // _ROOM)

    def _go_on(self, why: str) -> None:
        """With the broker that is there."""
        try:
            self._kept.forget()
        except OSError as error:
            log.error("what was kept can't be deleted: the next start gives it to its broker again", why=repr(error))
        self._resume()
        if self._stopping.is_set():
            return
        self._not_before = time.monotonic() + _TRY_AGAIN_SECONDS
        self._figures.count("given-up")
        log.warning("the broker was not replaced, trying again later", why=why, seconds=_TRY_AGAIN_SECONDS)

    def _resume(self) -> None:
        """Have all go on that was at rest, or stop as it does when no broker is replaced."""
        self._stack.wake("worker", _WORKER_READY)
        self._open()
        if not self._stopping.is_set():
            self._stack.wake("inbox")
        # However soon the processes are to stop: a worker that is stopped while it starts would drain nothing.
        if not self._stack.has_started("worker", _START_PATIENCE):
            log.warning("the worker takes long to start", seconds=_START_PATIENCE)

    def _open(self) -> None:
        """Open the gate, however often that must be tried: while it is closed, the API answers 503. Before a stop it is
        forgotten: ingest need not come back, and the worker drains everything."""
        while True:
            try:
                if self._stopping.is_set():
                    self._gate.forget()
                else:
                    self._gate.open()
                return
            except OSError as error:
                log.error("the gate to the broker can't be opened, trying again", why=repr(error))
            if self._stopping.wait(_LOOK_SECONDS):
                return

    def _rest(self, name: str, seconds: float) -> bool:
        """Have it end; False where it had to be killed. One that ends by an error says so by itself when it runs
        again."""
        if self._stack.rest(name, max(0.0, seconds)):
            return True
        log.warning("a process did not stop in time, it is killed", process=name)
        self._stack.kill_at_rest(name, _BROKER_PATIENCE)
        return False

    def _left(self) -> int:
        """Records that their stages have not acknowledged. Raises Retry when the broker does not answer."""
        return sum(one.lag for one in self._lags(ages=False))

    def _has_backlog(self) -> bool:
        """Whether hits wait, which must settle, or anything that did not come just now; or that can't be known."""
        latest = time.time() - _BACKLOG_SECONDS
        try:
            behind = [one for one in self._lags(ages=True) if one.lag]
        except Retry as error:
            log.info("the broker can't be asked how much waits", why=str(error))
            return True
        return any(one.topic == HITS.name or one.oldest_at is None or one.oldest_at < latest for one in behind)

    def _lags(self, *, ages: bool) -> list[PartitionLag]:
        probe = LagProbe(self._settings, _DRAINED)
        try:
            return probe.partitions(exact=True, ages=ages)
        finally:
            probe.close()

    def _wait(self, until: Callable[[], bool], seconds: float, why: str) -> None:
        """Raises _Undrained, with `why`, when it is not so in time, or the processes are to stop."""
        deadline = time.monotonic() + seconds
        while not until():
            if self._stopping.wait(_STEP_SECONDS) or time.monotonic() > deadline:
                raise _Undrained(why)
