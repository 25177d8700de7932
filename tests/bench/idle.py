"""What a whole Sendlens on one machine takes while nothing comes, and how long the first hit after that waits."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from clickhouse_connect.driver.client import Client

from clickhouse.store import connect
from schemas.errors import Retry
from schemas.settings import load
from schemas.tokens import Claim, Keyring, Purpose, delivery_id
from tests.bench.answering import is_ready
from tests.bench.figures import Ratio, Samples, Section, Table, Wrong
from tests.bench.workshop import Job, Workshop, free_port, python
from tests.support.installation import processes_of

_QUIET_SECONDS = 480.0  # until the longest rests are reached: 16 times the longest, 30 s
_QUIET_AGAIN_SECONDS = 120.0  # after hits, which wake stages and no view: 16 times the longest of theirs, and some more
_MEASURED_SECONDS = 60.0
_ROUNDS = 3
_GRANTED = 0.03  # of a core, for everything
_REFERENCE_HITS = 10  # after the first, half a second apart
_START_SECONDS = 300.0  # on a machine with neighbours
_LOOK_SECONDS = 0.01
_LATEST = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_MINTED_AT = 1_790_000_000  # long ago: an email without a delivery says nothing
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds so far and bytes resident now, by the process's name in the Procfile."""

    seconds: Mapping[str, float]
    resident: Mapping[str, int]

    @classmethod
    def of(cls, data_dir: Path) -> Usage:
        """That of the installation with this data folder."""
        seconds: Counter[str] = Counter()
        resident: Counter[str] = Counter()
        for pid, name in processes_of(str(data_dir)):
            with contextlib.suppress(OSError, TypeError):  # it has just ended
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
                seconds[name] += (int(fields[11]) + int(fields[12])) / _TICKS
                resident[name] += int(found[1]) * 1024 if found else 0
        return cls(dict(seconds), dict(resident))


class Installation:
    """`sendlens up`, in memory, with the settings that it comes with."""

    def __init__(self, workshop: Workshop) -> None:
        self.folder = workshop.folder / "idle"
        self.port = free_port()
        self.keyring = Keyring.parse(workshop.token_keys)
        self.env = {
            "SENDLENS_BROKER": "memory",
            "SENDLENS_DATA_DIR": str(self.folder),
            "SENDLENS_KAFKA": f"127.0.0.1:{free_port()}",
            "SENDLENS_CLICKHOUSE_URL": f"http://127.0.0.1:{free_port()}",
            "SENDLENS_INGEST_PORT": str(self.port),
            "SENDLENS_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "SENDLENS_TOKEN_KEYS": workshop.token_keys,
        }

    def client(self) -> Client:
        return connect(load(clickhouse_url=self.env["SENDLENS_CLICKHOUSE_URL"], data_dir=self.folder))

    def hit(self, number: int) -> None:
        """Fetch a pixel, each number another lead's."""
        lead = f"lead-{number}"
        claim = Claim(delivery_id("idle", 1, lead), "idle", 1, "A", lead, _MINTED_AT)
        url = f"http://127.0.0.1:{self.port}/o/{self.keyring.sign(Purpose.OPEN, claim)}.gif"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"User-Agent": _BROWSER}), timeout=10):
            pass


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Let it stand still, look at what it used, fetch a pixel; again and again."""
    measured, rounds = (10.0, 1) if quick else (_MEASURED_SECONDS, _ROUNDS)
    quiet, again = (10.0, 10.0) if quick else (_QUIET_SECONDS, _QUIET_AGAIN_SECONDS)
    section = Section(
        title="Idle",
        how=(
            "`sendlens up` with the broker in memory and the settings that it comes with, no mailbox. After its start "
            f"it is left alone for {quiet:.0f} s, and after each round for {again:.0f} s, while its rests grow; then the processor "
            f"time of each process is taken for {measured:.0f} s. Then one pixel is fetched, and after it "
            f"{_REFERENCE_HITS} more, half a second apart. A hit's time runs from its request to when SQL finds it in "
            "`events`, and includes the settle delay of 5 s. Everything shares two cores with nothing else."
        ),
        command="python -m tests.bench --only idle",
    )
    shares: list[dict[str, float]] = []
    first: list[float] = []
    later: list[float] = []
    resident: Mapping[str, int] = {}
    with _running(workshop) as installation, installation.client() as client:
        number = 0
        for turn in range(rounds):
            time.sleep(again if turn else quiet)
            before, began = Usage.of(installation.folder), time.monotonic()
            time.sleep(measured)
            after, seconds = Usage.of(installation.folder), time.monotonic() - began
            shares.append(
                {name: (used - before.seconds.get(name, 0)) / seconds for name, used in after.seconds.items()}
            )
            resident = after.resident
            waits = _hits(installation, client, number)
            number += len(waits)
            first.append(waits[0])
            later.append(median(waits[1:]))
            print(
                f"  {sum(shares[-1].values()):.2%} of a core; first {first[-1]:.2f} s, later {later[-1]:.2f} s",
                flush=True,
            )
    rows = [
        (
            name,
            f"{60 * median(share[name] for share in shares):.2f}",
            ", ".join(f"{share[name]:.2%}" for share in shares),
            f"{resident[name] / 2**20:.0f}",
        )
        for name in sorted(resident)
    ]
    whole = Samples(tuple(sum(share.values()) for share in shares))
    rows.append(
        (
            "all",
            f"{60 * whole.middle:.2f}",
            ", ".join(f"{value:.2%}" for value in whole.values),
            f"{sum(resident.values()) / 2**20:.0f}",
        )
    )
    section.tables.append(Table(("process", "CPU s a minute", "of a core, each round", "memory MiB"), rows))
    waited = Samples(tuple(first))
    section.tables.append(
        Table(
            ("hit", "seconds until in `events`, each round"),
            [
                ("the first after it", ", ".join(f"{value:.2f}" for value in first)),
                ("those that follow (median)", ", ".join(f"{value:.2f}" for value in later)),
            ],
        )
    )
    section.ratios += [
        Ratio("3 % of a core / what is used", Samples(tuple(_GRANTED for _ in shares)).over(whole), 1.0),
        Ratio("a later hit's time / the first one's", Samples(tuple(later)).over(waited)),
    ]
    return section


def _hits(installation: Installation, client: Client, number: int) -> list[float]:
    """How long each of some hits takes, from its request to its row."""
    sent: dict[int, float] = {}
    found: dict[int, float] = {}
    last, due = number + _REFERENCE_HITS, time.monotonic()
    deadline = due + _LATEST
    while len(found) <= _REFERENCE_HITS:
        if number <= last and time.monotonic() >= due:
            sent[number] = time.time()
            installation.hit(number)
            number, due = number + 1, due + 0.5
        rows = client.query("SELECT toUInt32(substring(lead, 6)) FROM events WHERE campaign = 'idle'").result_rows
        now = time.time()
        for (one,) in rows:
            if one in sent:
                found.setdefault(one, now)
        if time.monotonic() > deadline:
            raise Wrong(f"{len(found)} of {_REFERENCE_HITS + 1} hits are in `events`")
        time.sleep(_LOOK_SECONDS)
    return [found[one] - sent[one] for one in sorted(sent)]


@contextlib.contextmanager
def _running(workshop: Workshop) -> Iterator[Installation]:
    """It is ended in its own order: its processes are in sessions of their own, which end with it alone."""
    installation = Installation(workshop)
    cores = f"{workshop.server_core},{workshop.load_core}"
    job = workshop.start("up", python("-m", "sendlens", "up"), core=cores, env=installation.env)
    try:
        workshop.await_(job, lambda: is_ready(installation.port) and _has_tables(installation), _START_SECONDS)
        yield installation
    finally:
        _end(job, installation)


def _has_tables(installation: Installation) -> bool:
    try:
        with installation.client() as client:
            client.query("SELECT count() FROM events")
    except Retry:
        return False
    return True


def _end(job: Job, installation: Installation) -> None:
    job.popen.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        job.popen.wait(90)
    for pid, _ in processes_of(str(installation.folder)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
