"""Everything that runs in earnest on one machine, under visitors who come at a steady pace."""

from __future__ import annotations

import contextlib
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from clickhouse_connect.driver.client import Client

from tests.bench.answering import is_ready
from tests.bench.broker import Deployment, deployment
from tests.bench.figures import Wrong
from tests.bench.storing import database
from tests.bench.workshop import Job, Workshop, free_port, python

SETTLE = 5.0  # as it is set by default


@dataclass(slots=True)
class Installation:
    """Ingest, a worker with judge and store, broker and ClickHouse on both cores, as the machine hands them out."""

    made: Deployment
    client: Client
    jobs: dict[str, Job]


@contextlib.contextmanager
def installation(workshop: Workshop) -> Iterator[Installation]:
    """One with the settings that it comes with, but for places."""
    cores = workshop.both_cores
    with deployment(workshop, cores) as made:
        made.with_(settle_seconds=SETTLE, ingest_port=free_port(), trusted_proxies="127.0.0.1/32")
        with database(workshop, made, cores) as client, contextlib.ExitStack() as stack:
            stages = ("--stage", "judge", "--stage", "store")
            worker = stack.enter_context(
                workshop.running("worker", python("-m", "sendlens", "work", *stages), core=cores, env=made.env)
            )
            ingest = stack.enter_context(
                workshop.running("ingest", python("-m", "sendlens", "ingest"), core=cores, env=made.env)
            )
            workshop.await_(ingest, lambda: is_ready(made.settings.ingest_port))
            workshop.await_(worker, lambda: worker.log.read_text("utf-8", "replace").count("stage reads") == 2)
            yield Installation(made, client, {"ingest": ingest, "worker": worker} | made.jobs)


class Visits:
    """Visitors under way. `began` is no later than when the first of them comes, in epoch seconds."""

    def __init__(self, job: Job, rate: float, seconds: float, file: Path) -> None:
        self.began, self.rate, self.total = time.time(), rate, int(rate * seconds)
        self._job, self._file = job, file

    def are_over(self) -> bool:
        if not self._job.is_alive() and self._job.popen.returncode:
            raise Wrong(f"the visitors ended with exit code {self._job.popen.returncode}:\n{self._job.tail()}")
        return not self._job.is_alive()

    def times(self) -> tuple[array[float], array[float]]:
        """When each hit was sent and answered, once they are over. Raises Wrong when one was not answered well."""
        both = array("d", self._file.read_bytes())
        sent, answered = both[::2], both[1::2]
        if lost := sum(moment == 0 for moment in answered):
            raise Wrong(f"{lost} of {self.total} hits were not answered with 200")
        return sent, answered


@contextlib.contextmanager
def visits(workshop: Workshop, to: Installation, rate: float, seconds: float) -> Iterator[Visits]:
    """Send visitors."""
    file = workshop.folder / f"visits-{free_port()}"
    port = to.made.settings.ingest_port
    command = python("-m", "tests.bench.visitors", str(port), str(rate), str(seconds), str(file))
    with workshop.running("visitors", command, core=workshop.both_cores, env=to.made.env) as job:
        yield Visits(job, rate, seconds, file)
    file.unlink(missing_ok=True)
