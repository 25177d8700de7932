"""Runs the Procfile on one machine, under honcho: readable prefixed logs, one Ctrl-C stops all, in the right order.

For a broker that keeps records in memory the order matters: first what takes hits in, then the worker once it has
drained the topics, then broker and database.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import honcho.manager
import honcho.process
from honcho.environ import parse_procfile
from honcho.printer import Printer

PROCFILE = Path(__file__).with_name("Procfile")
STOP_ORDER = (("world", "ingest", "inbox"), ("worker",), ("broker", "clickhouse"))

_LONGEST_STOP = 60.0  # of one step; a worker drains for half of that at the most
_LONGEST_BIRTH = 5.0  # from asking for a process to its id
_LOOK_SECONDS = 0.05
_FAILED = 1  # exit code


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def port_or_free(wanted: int, host: str = "127.0.0.1") -> int:
    """The port wanted, or a free one when something else has it."""
    return wanted if is_free(host, wanted) else free_port(host)


def port_of(url: str) -> int:
    """The port in a URL or `host:port`."""
    return urlsplit(url if "//" in url else f"//{url}").port or 0


class _Remembering(Printer):  # type: ignore[misc]  # honcho is untyped
    """Prints, and remembers the last lines of each process, so that a death can be explained."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.last: dict[str, deque[str]] = {}
        self.awaited: dict[str, str] = {}  # text that a process has not logged yet

    def write(self, message: Any) -> None:
        if message.type == "line":
            text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
            if message.name == "system" and not text.startswith("SIG"):
                return  # honcho's own housekeeping: pids and signals
            if message.name in self.awaited and self.awaited[message.name] in text:
                del self.awaited[message.name]
            if text.strip():
                self.last.setdefault(message.name, deque(maxlen=5)).append(text.strip())
        super().write(message)


class _Child(honcho.process.Popen):  # type: ignore[misc]  # honcho is untyped
    """A process that SIGINT and SIGTERM end, also where its parent ignores them."""

    def __init__(self, command: str, **kwargs: Any) -> None:
        super().__init__(command, preexec_fn=_restore_signals, **kwargs)


def _restore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class _Restartable(honcho.process.Process):  # type: ignore[misc]  # honcho is untyped
    """A process whose end, when it was asked for, is not the end of the stack: it rests until it is to run again.

    `run` is in a process of its own, which honcho makes at the start and which outlives the stack.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._child_ctor = _Child
        self.rests_next = multiprocessing.Event()  # when it ends it rests, and the stack goes on
        self.is_resting = multiprocessing.Event()
        self.wanted = multiprocessing.Event()  # to run again
        self.code = multiprocessing.Value("i", 0)  # to end with, for one that rests

    def _send_message(self, data: Any, type: str = "line") -> None:
        """Passes on every message except the end that `rest` asked for."""
        if type != "stop" or not self.rests_next.is_set():
            super()._send_message(data, type)

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:
        stack = os.getppid()
        while True:
            super().run(events, ignore_signals)
            if not self.rests_next.is_set():
                return
            self.wanted.clear()
            self.is_resting.set()
            while not self.wanted.wait(1.0):
                if os.getppid() != stack:
                    return  # nobody is left to want it
            if self.rests_next.is_set():  # not to run again, but to end with the others
                self.rests_next.clear()
                self._send_message({"returncode": self.code.value}, type="stop")
                return


class Attendant(Protocol):
    """What goes on beside the processes, on a thread of its own: it may rest some of them and wake them again."""

    def prepare(self) -> None:
        """Called once, before the processes start."""

    def begin(self, stack: Stack) -> None:
        """Called once, when they were started: a thread from before would be in the way of their forks. Returns at
        once."""

    def end(self) -> None:
        """Leave the processes alone: they are to stop. Returns when no call to the stack is under way."""


class Stack(honcho.manager.Manager):  # type: ignore[misc]  # honcho is untyped
    """The processes of a Procfile and what is added to them. `run` blocks until all have stopped."""

    _terminating: bool  # honcho's

    def __init__(
        self,
        environment: Mapping[str, str],
        extra: Sequence[tuple[str, str]] = (),
        attendant: Attendant | None = None,
    ) -> None:
        honcho.manager.KILL_WAIT = 10 * _LONGEST_STOP  # we kill by ourselves, in order
        self.printer = _Remembering(sys.stdout, colour=sys.stdout.isatty())
        super().__init__(self.printer)
        self._process_ctor = _Restartable
        self._attendant = attendant
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        shared = {**os.environ, **environment, "PATH": path, "PYTHONUNBUFFERED": "1"}
        procfile = parse_procfile(PROCFILE.read_text())
        self._unasked: str | None = None
        self._loop_has_called = False
        for name, command in [*procfile.processes.items(), *extra]:
            self.add_process(name, command, env=shared | {"HONCHO_PROCESS_NAME": name})  # as `honcho start` does

    def run(self) -> int:
        """Run until Ctrl-C, or until one process ends, which ends the rest. Returns the exit code: that of the process
        that ended first, 0 after Ctrl-C."""
        if self._attendant is not None:
            self._attendant.prepare()
        self.loop()
        if self._unasked is None:
            return 0
        if self.returncode:
            last = self.printer.last.get(self._unasked)
            why = last[-1] if last else "it logged nothing"
            sys.stdout.flush()
            reason = f"sendlens: {self._unasked} stopped with exit code {self.returncode}: {why}"
            print(reason, file=sys.stderr, flush=True)
        return int(self.returncode or 0)

    def _start(self) -> None:
        super()._start()
        if self._attendant is not None:
            self._attendant.begin(self)

    def terminate(self) -> None:
        """Stop all, in order; asked again, stop all at once. honcho's loop calls this too, when it sees the first
        process stopped: that is not asking again."""
        stopped = [name for name, process in self._processes.items() if "returncode" in process]
        by_loop = bool(stopped) and not self._loop_has_called
        self._loop_has_called |= by_loop
        if self._terminating:
            if not by_loop:
                self.kill()
            return
        self._terminating = True
        self._unasked = stopped[0] if stopped else None  # the process that stopped without being asked
        threading.Thread(target=self._stop_in_order, daemon=True).start()

    def pid(self, name: str) -> int | None:
        """The process id of the shell that runs it, or of what that became; None while it does not run."""
        process = self._processes.get(name, {})
        running = "returncode" not in process and not (process.get("obj") and process["obj"].is_resting.is_set())
        return process.get("pid") if running else None

    def rest(self, name: str, patience: float) -> bool:
        """Have it stop, and the stack go on without it; False when it does not in time. A process that is not there
        has stopped."""
        if name not in self._processes:
            return True
        process = self._processes[name]["obj"]
        process.rests_next.set()
        self._signal(name, signal.SIGTERM)
        return bool(process.is_resting.wait(patience))

    def wake(self, name: str, ready: str = "") -> bool:
        """Have it run again, if it rests; returns whether it did. `ready`: what `has_started` awaits in its log."""
        if name not in self._processes or not self._processes[name]["obj"].is_resting.is_set():
            return False
        process = self._processes[name]["obj"]
        self._processes[name].pop("pid", None)
        if ready:
            self.printer.awaited[name] = ready
        process.rests_next.clear()
        process.is_resting.clear()
        process.wanted.set()
        return True

    def has_started(self, name: str, patience: float) -> bool:
        """Whether it has logged that it is ready, after so many seconds at the most; False when it ended."""
        deadline = time.monotonic() + patience
        while name in self.printer.awaited and self._is_alive(name) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        return name not in self.printer.awaited

    def fail(self, name: str, why: str) -> None:
        """Stop everything, for this reason, which is reported of a process that rests."""
        self.printer.last[name] = deque([why])
        process = self._processes[name]["obj"]
        process.code.value = _FAILED
        process.wanted.set()

    def kill_at_rest(self, name: str, patience: float) -> None:
        """End what `rest` could not stop (SIGKILL); it rests then."""
        if name in self._processes:
            self._signal(name, signal.SIGKILL)
            self._processes[name]["obj"].is_resting.wait(patience)

    def _stop_in_order(self) -> None:
        if self._attendant is not None:
            self._attendant.end()
        for process in self._processes.values():
            if process["obj"].is_resting.is_set():
                process["obj"].wanted.set()
        named = {name for step in STOP_ORDER for name in step}
        rest = tuple(name for name in self._processes if name not in named)
        for step in (rest, *STOP_ORDER):
            self._stop_together([name for name in step if name in self._processes and self._is_alive(name)])

    def _stop_together(self, names: Sequence[str]) -> None:
        for name in names:
            self._signal(name, signal.SIGTERM)
        deadline = time.monotonic() + _LONGEST_STOP
        while any(self._is_alive(name) for name in names) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        for name in names:
            if self._is_alive(name):
                self._signal(name, signal.SIGKILL)

    def _is_alive(self, name: str) -> bool:
        return "returncode" not in self._processes[name]

    def _signal(self, name: str, number: signal.Signals) -> None:
        """Signal the process and its children: honcho gives each a session of its own. One that is just being started
        is waited for."""
        deadline = time.monotonic() + _LONGEST_BIRTH
        while "pid" not in self._processes[name] and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        try:
            os.killpg(self._processes[name]["pid"], number)
        except (ProcessLookupError, KeyError):
            return
