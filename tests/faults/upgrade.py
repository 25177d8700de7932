"""An upgrade while emails go out: an installation of an earlier commit becomes one of today's, part by part."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.faults.emails import Emails, MailServer
from tests.faults.workers import taken_share
from tests.faults.works import Works
from tests.support.processes import ROOT, start

# Main before a worker's session was a setting and its partitions a lease.
EARLIER = "18886da"


def earlier_code(folder: Path) -> Path:
    """The project as it was at that commit; skips the test where its history is not at hand."""
    done = subprocess.run(["git", "archive", EARLIER], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"the history does not reach to commit {EARLIER}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def rolling_upgrade(works: Works, emails: Emails, server: MailServer, times: int, pause: float) -> None:
    """Everything is of the earlier commit; then today's `migrate` runs, then each worker is replaced, then ingest."""
    stream = works.stream
    old = [stream.start_worker(root=stream.code), stream.start_worker(root=stream.code)]
    emails.start()
    taken_share(server, emails, 1 / 6)
    migrated = start(["-m", "sendlens", "migrate"], stream.folder / "migrate.log", stream.environment)
    assert migrated.popen.wait(120) == 0, migrated.output()
    for number, worker in enumerate(old, 2):
        taken_share(server, emails, number / 6)
        assert worker.stop(40) == 0, worker.output()[-3000:]
        stream.start_worker()
    taken_share(server, emails, 4 / 6)
    works.replace_ingest()
