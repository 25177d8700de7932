"""Where benchmarks run: two cores, a scratch folder, and processes that are gone when it closes, also on Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from tests.bench.figures import Wrong

ROOT = Path(__file__).parents[2]

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Job:
    """A process that we started, leader of a session of its own, so that its children end with it."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def is_alive(self) -> bool:
        return self.popen.poll() is None

    def cpu_seconds(self) -> float:
        """Processor time used so far by the process and what it started."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self._processes()) / _TICKS

    def memory(self) -> int:
        """Bytes resident now in the process and what it started."""
        return self._resident("VmRSS")

    def peak_memory(self) -> int:
        """The most memory, in bytes, that was resident in the process and what it started."""
        return self._resident("VmHWM")

    def _resident(self, field: str) -> int:
        total = 0
        for folder, _ in self._processes():
            with contextlib.suppress(OSError):
                found = re.search(rf"{field}:\s+(\d+) kB", (folder / "status").read_text())
                total += int(found[1]) * 1024 if found else 0
        return total

    def _processes(self) -> Iterator[tuple[Path, list[str]]]:
        """The folder in /proc and the fields of stat, from the state on, of every process of the session."""
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.popen.pid:
                    yield stat.parent, fields

    def stop(self) -> None:
        """End it and what it started; SIGKILL when it does not obey."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(_STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self.popen.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, number)

    def tail(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-15:])


@dataclass(frozen=True, slots=True)
class Spell:
    """A span of time on the server core. `used` is the job's processor time in it, `others` everybody else's."""

    seconds: float
    used: float
    others: float


class Stopwatch:
    """Times a job by the clock and by the processor, and sees what others took of its core meanwhile."""

    def __init__(self, job: Job, core: int) -> None:
        self._job, self._core = job, core
        self._samples: list[tuple[float, float, float]] = []
        self.look()

    def look(self) -> None:
        """Take a sample; between samples time is taken to pass evenly."""
        self._samples.append((time.time(), self._job.cpu_seconds(), _busy_seconds(self._core)))

    def spell(self, began: float | None = None, ended: float | None = None) -> Spell:
        """What happened between two moments (epoch seconds), of the whole time looked at when they are not given."""
        began, ended = began or self._samples[0][0], ended or self._samples[-1][0]
        used = self._at(ended, 1) - self._at(began, 1)
        return Spell(ended - began, used, max(0.0, self._at(ended, 2) - self._at(began, 2) - used))

    def _at(self, moment: float, figure: int) -> float:
        times = [sample[0] for sample in self._samples]
        after = min(max(bisect_left(times, moment), 1), len(times) - 1)
        (t0, v0), (t1, v1) = ((s[0], s[figure]) for s in self._samples[after - 1 : after + 1])
        return v0 + (v1 - v0) * min(1.0, max(0.0, (moment - t0) / (t1 - t0)))


def _busy_seconds(core: int) -> float:
    """Time that the core has not been idle, since the machine started (proc(5), stat)."""
    line = next(text for text in Path("/proc/stat").read_text().splitlines() if text.startswith(f"cpu{core} "))
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = (int(field) for field in line.split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / _TICKS


class Workshop:
    """Use it as a context. What is measured runs on `server_core`, all that serves or loads it on `load_core`."""

    def __init__(self) -> None:
        self._cores = os.sched_getaffinity(0)
        cores = sorted(self._cores)
        self.server_core, self.load_core = cores[0], cores[-1]
        self.both_cores = f"{cores[0]},{cores[-1]}"  # for what runs as on a machine of its own
        self.folder = Path(tempfile.mkdtemp(prefix="sendlens-bench-"))
        self.token_keys = f"1:{secrets.token_hex(32)}"
        self._jobs: list[Job] = []

    def __enter__(self) -> Workshop:
        signal.signal(signal.SIGTERM, _interrupt)
        os.sched_setaffinity(0, {self.load_core})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        for job in reversed(self._jobs):
            job.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.sched_setaffinity(0, self._cores)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    @property
    def shares_one_core(self) -> bool:
        return self.server_core == self.load_core

    def start(self, name: str, command: Sequence[str], *, core: int | str, env: Mapping[str, str] | None = None) -> Job:
        """Start a program pinned to a core, or to several ("0,1"), from the project's root, its output in a file."""
        log = self.folder / f"{name}-{len(self._jobs)}.log"
        with log.open("wb") as out:
            popen = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                start_new_session=True,
            )
        job = Job(name, popen, log)
        self._jobs.append(job)
        return job

    @contextlib.contextmanager
    def running(
        self, name: str, command: Sequence[str], *, core: int | str, env: Mapping[str, str] | None = None
    ) -> Iterator[Job]:
        """`start`, and the end of it."""
        job = self.start(name, command, core=core, env=env)
        try:
            yield job
        finally:
            job.stop()
            self._jobs.remove(job)

    def await_(self, job: Job, ready: Callable[[], bool], seconds: float = _START_SECONDS) -> None:
        """Wait until `ready`. Raises Wrong, with what the process said, when it died or took too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not job.is_alive() or time.monotonic() > deadline:
                why = "is late" if job.is_alive() else f"ended with exit code {job.popen.returncode}"
                raise Wrong(f"{job.name} {why}:\n{job.tail()}")
            time.sleep(0.02)


def python(*arguments: str) -> list[str]:
    """A command run by this interpreter."""
    return [sys.executable, *arguments]


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
