"""The section of docs/accuracy.md on cases from the field: small mails and requests after public reports, by family."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from decisions.mail.read import read_mail
from schemas.settings import load
from tests.corpus.mails import SHARED
from tests.support.installation import environment, running

HEADING = "## Cases from the field"
MAILS = SHARED / "field-mail"
HITS = SHARED / "field-hits"

# A family, and how many of its cases are right, of how many.
Counts = dict[str, tuple[int, int]]

_HOW = """
Small cases after what public bug reports describe or real systems send, by family, kept beside the corpora above. The
mails are read as `sendlens judge mail FILE` does, and one is right if kind, recipients, classes and text all are. The
other cases are asked of a running `sendlens up`: links, HTML, headers, robots, counts. All of them were looked at while
the rules were written, so they say that the rules hold for these; other variants of the same families were kept from us.

What is still wrong, each of it held by a test:

- *A person counts as a machine* who writes that they are away and nothing else ("I am on vacation until 9 November."), or
  that they have left, or that their address has changed; whose mail says below their own words that it was sent
  automatically; who writes under a subject such as "Out of office furniture", without "Re:", and of the same in the text.
- *A machine counts as a person* where it acknowledges a mail and gives neither number nor header nor a word that it is
  one, and where it says of somebody by name that they are away. [limits.md](limits.md) says why the first stays so.
- *The text keeps a quote* that has neither marks nor a date above it ("Carla Voss wrote:", and her lines).
- *A charset that nothing declares* is read as Latin where it is Big5, Greek, Hebrew, Arabic, Thai or Central European.
- *Dead by its code*: a mailbox of which the server itself says 5.1.1 and that it is inactive is hard.
"""

_MAIL_TABLE = ("| family of mails | right |", "|---|---:|")
_HITS_TABLE = ("| family of requests, on a running stack | right |", "|---|---:|")


def mails() -> Counts:
    """How many mails of each family are read as their labels say."""
    counts: Counts = {}
    for label in _lines(MAILS / "labels.jsonl"):
        family = str(label["group"]).partition("-")[2].replace("-", " ")
        _count(counts, family, _is_right(label))
    return counts


def _is_right(label: dict[str, Any]) -> bool:
    settings = {name.removeprefix("SENDLENS_").lower(): value for name, value in label.get("env", {}).items()}
    read = read_mail((MAILS / label["file"]).read_bytes(), load(**settings).keyring if settings else None)
    found = {one.address.lower(): one.bounce_class for one in read.recipients}
    wanted = {one["address"].lower(): one.get("class") for one in label.get("recipients") or ()}
    return (
        read.kind == label["kind"]
        and (label.get("recipients") is None or found.keys() == wanted.keys())
        and all(found[address] == want for address, want in wanted.items() if want)
        and (label.get("text") is None or read.text.split() == label["text"].split())
    )


def hits() -> Counts:
    """How many cases of each family a Sendlens gets right that is started for them."""
    families = {case["id"]: str(case["family"]).replace("-", " ") for case in _lines(HITS / "cases.jsonl")}
    counts: Counts = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = environment(Path(folder) / "data")
        with running(["up"], settings, Path(folder) / "up.log"):
            _until_ready(settings["SENDLENS_PUBLIC_URL"])
            for line in _asked(settings, Path(folder) / "data").splitlines():
                verdict, _, rest = line.partition(" ")
                if verdict in ("pass", "FAIL"):
                    case = max((name for name in families if rest.startswith(name)), key=len)
                    _count(counts, families[case], verdict == "pass")
    return counts


def _asked(settings: dict[str, str], data: Path) -> str:
    """What the corpus's own program prints."""
    password = (data / "clickhouse_reader_password").read_text().strip()
    asks = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BASE": settings["SENDLENS_PUBLIC_URL"],
        "SINK_PORT": settings["SENDLENS_SMTP_PORT"],
        "CLICKHOUSE": settings["SENDLENS_CLICKHOUSE_URL"],
        "READER": f"reader:{password}",
    }
    command = [sys.executable, str(HITS / "check.py"), str(HITS / "cases.jsonl")]
    return subprocess.run(command, env=os.environ | asks, capture_output=True, text=True, check=True).stdout


def _until_ready(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError("Sendlens was not ready in time")
        time.sleep(0.5)


def section(written: str, asked: Callable[[], Counts] | None = None) -> str:
    """The section as it is today; where the corpora are missing, as it stands in the document that was `written`.

    Requests are counted by `asked`. Without it their table stays as it was written.
    """
    _, heading, rest = written.partition(HEADING)
    if not MAILS.exists():
        return heading + rest
    kept = rest.partition(_HITS_TABLE[0])[2].removeprefix("\n" + _HITS_TABLE[1] + "\n")
    requests = "\n".join([*_table(asked()), ""]) if asked else kept
    return "\n".join([HEADING, _HOW, *_MAIL_TABLE, *_table(mails()), "", *_HITS_TABLE, requests])


def written_hits(written: str) -> list[str]:
    """The rows on requests of a written document."""
    return written.partition(_HITS_TABLE[0])[2].splitlines()[2:]


def _table(counts: Counts) -> Iterator[str]:
    for family, (right, of) in sorted(counts.items()):
        yield f"| {family} | {right} of {of} |"
    yield f"| **all** | {sum(right for right, _ in counts.values())} of {sum(of for _, of in counts.values())} |"


def _count(counts: Counts, family: str, is_right: bool) -> None:
    right, of = counts.get(family, (0, 0))
    counts[family] = (right + is_right, of + 1)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
