"""Faults of workers while emails go out: none is sent twice, and what became of each is told."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.faults.count import Count
from tests.faults.emails import Emails, MailServer, count_emails, running_mail_server
from tests.faults.works import PARTITIONS, Works, running_works
from tests.support.broker import Broker
from tests.support.processes import ROOT, Process
from tests.support.waiting import wait_until

WorkerFault = Callable[[Works, Emails, MailServer, int, float], None]

_LONGEST = 300.0


def one_four_two(works: Works, emails: Emails, server: MailServer, times: int, pause: float) -> None:
    """One worker becomes four, and those two, as an autoscaler does."""
    first = works.stream.start_worker()
    emails.start()
    taken_share(server, emails, 1 / 6)
    more = [works.stream.start_worker() for _ in range(3)]
    taken_share(server, emails, 1 / 2)
    assert first.stop(40) == 0
    assert more[0].stop(40) == 0


def kill_workers(works: Works, emails: Emails, server: MailServer, times: int, pause: float) -> None:
    """SIGKILL to one of two, again and again; another takes its place each time."""
    standing = [works.stream.start_worker(), works.stream.start_worker()]
    emails.start()
    for number in range(times):
        taken_share(server, emails, (number + 1) / (times + 2))
        standing.pop(0).kill()
        standing.append(works.stream.start_worker())


def worker_paused(works: Works, emails: Emails, server: MailServer, times: int, pause: float) -> None:
    """One of two stands still for longer than Kafka waits for it, while it sends, and goes on where it was."""
    standing = [works.stream.start_worker(), works.stream.start_worker()]
    emails.start()
    for number in range(times):
        taken_share(server, emails, (number + 1) / (times + 2))
        with _paused(standing[number % 2]):
            threading.Event().wait(pause)


class _paused:
    """SIGSTOP to a process, and SIGCONT at the end, whatever happens."""

    def __init__(self, process: Process) -> None:
        self._pid = process.pid

    def __enter__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self._pid, signal.SIGCONT)


def taken_share(server: MailServer, emails: Emails, share: float) -> None:
    """Wait until the mail server has taken this share of the emails."""
    wanted = share * emails.total
    wait_until(lambda: len(server.taken) >= wanted, _LONGEST, f"{share:.0%} of the emails")


WORKER_FAULTS: tuple[WorkerFault, ...] = (one_four_two, kill_workers, worker_paused)


def befall_emails(
    fault: WorkerFault,
    folder: Path,
    broker: Broker,
    *,
    emails: int,
    times: int,
    pause: float,
    session: float,
    slowness: float = 0.01,
    code: Path = ROOT,
    partitions: int = PARTITIONS,
) -> Count:
    """Run the fault while so many emails go out. `session` is how long Kafka waits for a silent worker, in seconds;
    `code` is what the installation is of at the beginning."""
    with (
        running_mail_server(slowness) as server,
        running_works(
            folder, broker, settle=1.0, code=code, partitions=partitions, session_seconds=session, smtp_port=server.port
        ) as works,
    ):
        load = Emails(works.stream.settings, emails)
        fault(works, load, server, times, pause)
        load.finish()
        count = count_emails(works, load, server)
        print(count.row(fault.__name__), flush=True)
        count.hold()
        return count
