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

# With this file began the schema that `migrate` brings to today's shape; what is older is not upgraded.
_FIRST_SCHEMA = "clickhouse/schema/010_events.sql"


def earlier_code(folder: Path) -> Path:
    """The project as it was when its schema began; skips the test where that is not in the history at hand."""
    began = _git("log", "--diff-filter=A", "--format=%H", "--", _FIRST_SCHEMA).decode().split()
    if not began:
        pytest.skip(f"the history does not reach to the commit that added {_FIRST_SCHEMA}")
    code = _git("archive", began[-1])
    with tarfile.open(fileobj=io.BytesIO(code)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _git(*arguments: str) -> bytes:
    """What it answers; empty outside of a clone."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False).stdout


def rolling_upgrade(works: Works, emails: Emails, server: MailServer, times: int, pause: float) -> None:
    """Everything is of the earlier commit; then today's `migrate` runs, then each worker is replaced, then ingest."""
    stream = works.stream
    old = [stream.start_worker(root=stream.code), stream.start_worker(root=stream.code)]
    emails.start()
    taken_share(server, emails, 1 / 6)
    migrated = start(["-m", "sendlens", "migrate"], stream.folder / "migrate.log", stream.environment)
    assert migrated.popen.wait(300) == 0, migrated.output()
    for number, worker in enumerate(old, 2):
        taken_share(server, emails, number / 6)
        assert worker.stop(40) == 0, worker.output()[-3000:]
        stream.start_worker()
    taken_share(server, emails, 4 / 6)
    works.replace_ingest()
