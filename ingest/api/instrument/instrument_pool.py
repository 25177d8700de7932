"""Instruments emails without hits waiting for it: large ones in processes of their own.

Python runs one thing at a time, and reading HTML is done within it, so a thread would not do: megabytes of HTML would
hold up every pixel. The processes are started when the first large email comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import msgspec
import structlog

from decisions.sending.own_system import InstrumentTerms, ReadyEmail, instrumenting
from ingest.api.instrument.frames import Job, JobResult, read_frame, write_frame
from schemas.errors import Reject, Retry
from schemas.events import Campaign, Send

log = structlog.get_logger()

# Characters of html and text that are read in this process, in a thread: 30 ms of it at the worst.
AT_ONCE = 16_000
# One core is for hits. More processes than these would only take memory: some 40 MB each.
_PROCESSES = max(1, min(4, (os.cpu_count() or 2) - 1))
# Large emails that wait for a process. Each may have 2.5 MB.
_MOST_WAITING = 32
# Of one email in a process. The worst that is known takes three, where nobody else is at work.
_SECONDS = 60.0

# -P: a folder of the working directory hides none of our packages.
_COMMAND = (sys.executable, "-P", "-m", "ingest.api.instrument.instrumenter")
_decode = msgspec.msgpack.Decoder(JobResult).decode


class _PoolProcess:
    """One that instruments, and the pipes to it."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        if self._popen.stdin is None or self._popen.stdout is None:
            raise TypeError("a process that is started with pipes has them")
        self.jobs, self.answers = self._popen.stdin, self._popen.stdout
        self.kill = self._popen.kill

    def end(self) -> None:
        self.kill()
        for pipe in (self.jobs, self.answers):
            with contextlib.suppress(OSError):  # what was written last goes nowhere
                pipe.close()
        self._popen.wait()


class InstrumentPool:
    """Makes emails, several at once. Call it on the event loop."""

    def __init__(self, terms: InstrumentTerms, seconds: float = _SECONDS, command: tuple[str, ...] = _COMMAND) -> None:
        self._instrument = instrumenting(terms)
        self._terms = msgspec.msgpack.encode(terms)
        self._command = command
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(_PROCESSES, "instrument")  # one asks one process
        self._lock = threading.Lock()
        self._idle: list[_PoolProcess] = []
        self._all: set[_PoolProcess] = set()
        self._stopped = False
        self._waiting = 0

    async def make(self, send: Send, campaign: Campaign, now: datetime) -> ReadyEmail:
        """The email. Raises Reject for what can't become one, or takes too long; Retry when too many wait."""
        if len(send.html) + len(send.text) <= AT_ONCE:
            return await asyncio.to_thread(self._instrument, send, campaign, now)
        if self._waiting >= _MOST_WAITING:
            raise Retry("too many large emails wait to be instrumented")
        self._waiting += 1
        try:
            job = Job(send=send, campaign=campaign, now=now)
            made = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, job)
        finally:
            self._waiting -= 1
        if made.ready is None:
            raise Reject(made.reason, made.detail)
        return made.ready

    def stop(self) -> None:
        """End the processes. What they work on is not awaited."""
        with self._lock:
            self._stopped = True
            processes = list(self._all)
        for process in processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in processes:
            self._end(process)

    def _ask(self, job: Job) -> JobResult:
        """What a process makes of the job. One that takes too long, or has died, is not asked again."""
        process = self._take()
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._seconds, give_up)
        timer.daemon = True
        timer.start()
        try:
            write_frame(process.jobs, msgspec.msgpack.encode(job))
            answer = read_frame(process.answers)
        except OSError:
            answer = None
        finally:
            timer.cancel()
        if answer is None or late.is_set():
            self._end(process)
            if late.is_set():
                log.error("an email took too long to instrument", campaign=job.campaign.id, seconds=self._seconds)
                raise Reject("too-slow", f"it took longer than {self._seconds:.0f} s; make html and text smaller")
            raise Retry("the process that instruments emails has ended")
        with self._lock:
            self._idle.append(process)
        return _decode(answer)

    def _take(self) -> _PoolProcess:
        """A process that has nothing to do. Raises Retry."""
        with self._lock:
            if self._stopped:
                raise Retry("stopping")
            if self._idle:
                return self._idle.pop()
            process = _PoolProcess(self._command)
            self._all.add(process)
        try:
            write_frame(process.jobs, self._terms)
        except OSError:
            self._end(process)
            raise Retry("a process that instruments emails can't be started") from None
        return process

    def _end(self, process: _PoolProcess) -> None:
        process.end()
        with self._lock:
            self._all.discard(process)
