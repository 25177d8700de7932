"""The faults. Each befalls an installation in the middle of a load; then the numbers must be those of a quiet day."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.faults.count import Count
from tests.faults.load import PIXELS, VISITORS, Load
from tests.faults.works import Works, check, running_works
from tests.support.broker import Broker
from tests.support.processes import Process
from tests.support.waiting import wait_until

Fault = Callable[[Works, Load, float], None]


def kill_ingest(works: Works, load: Load, pause: float) -> None:
    """Twice, at a third and at two thirds of the load."""
    works.a_worker()
    load.start()
    for share in (1 / 3, 2 / 3):
        load.wait_for(share)
        works.ingest.kill()
        works.restart_ingest()


def kill_worker(works: Works, load: Load, pause: float) -> None:
    """The only one, while it holds and judges; another takes its place."""
    worker = works.a_worker()
    load.start()
    load.wait_for(1 / 2)
    worker.kill()
    works.stream.start_worker()


def kill_clickhouse(works: Works, load: Load, pause: float) -> None:
    """It stays away for a while."""
    worker = works.a_worker()
    load.start()
    load.wait_for(1 / 3)
    works.stream.clickhouse.kill()
    wait_until(lambda: "waiting to try again" in worker.output(), 60, "the store's complaint")
    threading.Event().wait(pause)
    works.stream.restart_clickhouse()


def stop_broker(works: Works, load: Load, pause: float) -> None:
    """An orderly stop, as at an upgrade."""
    works.a_worker()
    load.start()
    load.wait_for(1 / 3)
    works.stream.broker.stop()
    threading.Event().wait(pause)
    works.stream.broker.start()


def kill_broker(works: Works, load: Load, pause: float) -> None:
    """SIGKILL; what it had acknowledged lies in its files."""
    works.a_worker()
    load.start()
    load.wait_for(1 / 3)
    works.stream.broker.kill()
    threading.Event().wait(pause)
    works.stream.broker.start()


def kill_ingest_without_broker(works: Works, load: Load, pause: float) -> None:
    """Kafka is killed, then ingest with all that waits on its disk; ingest returns first, then Kafka."""
    works.ingest.process.stop()  # in an orderly way: its snapshot knows the link, also while Kafka is away
    works.restart_ingest()
    works.a_worker()
    load.start()
    load.wait_for(1 / 3)
    works.stream.broker.kill()
    wait_until(lambda: works.spooled() > 0, 60, "hits on disk")
    load.wait_for(1 / 2)
    works.ingest.kill()
    left = works.spooled()
    works.restart_ingest("/healthz")
    threading.Event().wait(pause)
    assert works.spooled() >= left > 0, "what the killed ingest left waits for Kafka"
    works.stream.broker.start()


def rebalance(works: Works, load: Load, pause: float) -> None:
    """A second worker joins in the middle, and leaves before the end."""
    works.a_worker()
    load.start()
    load.wait_for(1 / 3)
    second = works.stream.start_worker()
    load.wait_for(2 / 3)
    second.stop()


def scale_out(works: Works, load: Load, pause: float) -> None:
    """From one worker to three."""
    works.a_worker()
    load.start()
    load.wait_for(1 / 3)
    started: list[Process] = [works.stream.start_worker() for _ in range(2)]
    load.wait_for(1)
    assert all(worker.popen.poll() is None for worker in started)


FAULTS: tuple[Fault, ...] = (
    kill_ingest, kill_worker, kill_clickhouse, stop_broker, kill_broker, kill_ingest_without_broker, rebalance, scale_out,
)  # fmt: skip


def befall(
    fault: Fault,
    folder: Path,
    broker: Broker,
    *,
    hits: int,
    rate: float | None,
    settle: float,
    pause: float,
    refusals: bool = False,
    set_aside: bool = False,
    **options: Any,
) -> Count:
    """Run the fault under a load of so many hits, `rate` a second at the most, and count.

    `settle` and `pause` (how long something stays away) are seconds; `options` are settings. Where `refusals` are
    expected only pixels are asked for, since a refused click is answered as any other. `set_aside`: what is set aside in topic dead is the fault's own concern.
    """
    with running_works(folder, broker, settle=settle, **options) as works:
        load = works.load(hits, rate, visitors=PIXELS if refusals else VISITORS, refusals=refusals)
        fault(works, load, pause)
        load.finish()
        return _counted(works, load, named=fault.__name__, set_aside=set_aside)


def befall_in_a_row(
    faults: Sequence[tuple[Fault, float]],
    folder: Path,
    broker: Broker,
    *,
    hits: int,
    rate: float,
    settle: float,
    **options: Any,
) -> Count:
    """Run fault after fault, each with its pause and under a load of its own, in one installation; then count all."""
    with running_works(folder, broker, settle=settle, **options) as works:
        loads = []
        for number, (fault, pause) in enumerate(faults):
            load = works.load(hits, rate, first=number * hits)
            fault(works, load, pause)
            load.finish()
            loads.append(load)
        return _counted(works, *loads, named=", ".join(fault.__name__ for fault, _ in faults))


def _counted(works: Works, *loads: Load, named: str, set_aside: bool = False) -> Count:
    """What became of these loads when all is worked off: told in a line, and as on a quiet day."""
    wait_until(lambda: works.spooled() == 0, 300, "the end of the replay")
    works.stream.wait_until_drained(deadline=600)
    count = check(works, *loads, set_aside=set_aside)
    rates = ", ".join(f"{len(load.answered) / load.seconds:.0f}" for load in loads)
    print(count.row(named), f"{rates} hits/s", flush=True)
    count.hold()
    return count
