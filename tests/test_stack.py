"""What one Ctrl-C does to the processes of one machine: real processes under the real manager."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT
from tests.support.waiting import wait_until

# Each says when it stops; the worker takes its time, as one that drains does.
_PROCESS = """
import signal, sys, threading
name, seconds = sys.argv[1], float(sys.argv[2])
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
print(name, "runs", flush=True)
stop.wait(60)
threading.Event().wait(seconds)
print(name, "has stopped", flush=True)
"""
_RUN = """
import sys
from pathlib import Path
import stack
stack.PROCFILE = Path(sys.argv[1])
sys.exit(stack.Stack({}).run())
"""


# Has the worker rest and run again, and the broker rest; then does as it is told.
_ATTENDED = """
import sys, threading
from pathlib import Path
import stack
stack.PROCFILE = Path(sys.argv[1])

class Attendant:
    def prepare(self):
        assert threading.active_count() == 1

    def begin(self, stack):
        self.stack = stack
        self.told = threading.Event()
        threading.Thread(target=self.attend).start()

    def end(self):
        self.told.set()

    def attend(self):
        stack = self.stack
        while any(stack.pid(name) is None for name in ("worker", "broker", "ingest", "clickhouse")):
            self.told.wait(0.05)
        self.told.wait(1)  # they hear signals by then
        first = stack.pid("worker")
        print("rests:", stack.rest("worker", 30), stack.pid("worker"), stack.rest("nobody", 0), flush=True)
        print("wakes:", stack.wake("worker", "worker runs"), stack.wake("worker"), stack.wake("nobody"), flush=True)
        print("has started:", stack.has_started("worker", 30), stack.has_started("broker", 0), flush=True)
        print("is another:", stack.pid("worker") != first, flush=True)
        print("rests:", stack.rest("broker", 30), flush=True)
        if sys.argv[2:]:
            stack.fail("broker", sys.argv[2])

sys.exit(stack.Stack({}, attendant=Attendant()).run())
"""


def start(
    folder: Path, drain_seconds: float, worker: str = "", program: str = _RUN, more: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    script = folder / "process.py"
    script.write_text(_PROCESS)
    procfile = folder / "Procfile"
    lines = {name: f"exec {sys.executable} {script} {name} 0" for name in ("broker", "clickhouse", "ingest")}
    lines["worker"] = worker or f"exec {sys.executable} {script} worker {drain_seconds}"
    procfile.write_text("".join(f"{name}: {command}\n" for name, command in lines.items()))
    with (folder / "out").open("w") as out:
        return subprocess.Popen(
            [sys.executable, "-c", program, str(procfile), *more],
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )


def output(folder: Path) -> str:
    return (folder / "out").read_text()


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait(10)


def test_one_ctrl_c_stops_what_takes_in_then_the_worker_then_what_it_needs(tmp_path: Path) -> None:
    process = start(tmp_path, drain_seconds=1.0)
    try:
        wait_until(lambda: output(tmp_path).count(" runs") == 4, 20, "every process runs")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        said = output(tmp_path)
        stopped = [said.index(f"{name} has stopped") for name in ("ingest", "worker")]
        stopped += [min(said.index(f"{name} has stopped") for name in ("broker", "clickhouse"))]
        assert stopped == sorted(stopped), said
    finally:
        end(process)


def test_a_second_ctrl_c_waits_for_nobody(tmp_path: Path) -> None:
    process = start(tmp_path, drain_seconds=50.0)
    try:
        wait_until(lambda: output(tmp_path).count(" runs") == 4, 20, "every process runs")
        process.send_signal(signal.SIGINT)
        wait_until(lambda: "ingest has stopped" in output(tmp_path), 20, "the stop to begin")
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert "worker has stopped" not in output(tmp_path)
    finally:
        end(process)


def test_a_process_that_dies_stops_the_rest_with_its_reason_on_the_last_line(tmp_path: Path) -> None:
    process = start(tmp_path, 0, worker="sleep 1; echo no such topic; exit 3")
    try:
        assert process.wait(30) == 3
        last = output(tmp_path).splitlines()[-1]
        assert last == "sendlens: worker stopped with exit code 3: no such topic"
        for name in ("broker", "clickhouse", "ingest"):
            assert f"{name} has stopped" in output(tmp_path)
    finally:
        end(process)


def test_a_process_may_rest_and_run_again_and_one_ctrl_c_still_stops_all(tmp_path: Path) -> None:
    process = start(tmp_path, 0, program=_ATTENDED)
    try:
        wait_until(lambda: output(tmp_path).count("rests: True") == 2, 30, "the broker to rest")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        said = output(tmp_path)
        for line in ("rests: True None True", "wakes: True False False", "has started: True True", "is another: True"):
            assert line in said, said
        stops = {name: said.count(f"{name} has stopped") for name in ("broker", "clickhouse", "ingest", "worker")}
        assert stops == {"broker": 1, "clickhouse": 1, "ingest": 1, "worker": 2}, said
    finally:
        end(process)


def test_a_stack_whose_broker_can_t_be_replaced_stops_and_says_why(tmp_path: Path) -> None:
    process = start(tmp_path, 0, program=_ATTENDED, more=("no memory for it",))
    try:
        assert process.wait(60) == 1
        assert output(tmp_path).splitlines()[-1] == "sendlens: broker stopped with exit code 1: no memory for it"
        assert output(tmp_path).count("worker has stopped") == 2
    finally:
        end(process)
