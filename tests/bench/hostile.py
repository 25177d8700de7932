"""How long a pixel takes while hostile HTML is instrumented: ten bodies of 2 MB at once, beside nothing at all."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

from tests.bench.answering import Server, ours
from tests.bench.figures import Ratio, Samples, Section, Table, Wrong
from tests.bench.material import requests
from tests.bench.workshop import ROOT, Workshop, python
from tests.security.shapes import Shape

_BYTES = 2_000_000
_PROMISED_MS = 100.0
_CONNECTIONS = 8
_PAUSE = 0.005
_QUIET_SECONDS = 5.0
_TOKENS = 2_000
# What took for ever once, and what takes longest now.
_BODIES = (
    *(Shape(unit) for unit in ("<a ", "<p a=", "</style", "<!", "<script", "<!--{{unsubscribe_url}}-->", "<a>b</a> ", "&#1")),
    Shape('<p a="<b>', "", "b='>"),
    Shape("<a href=http://x.example/{n}>"),
)  # fmt: skip


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Ask for pixels, first alone and then while the bodies are worked on, round after round."""
    alone: list[tuple[float, float]] = []
    beside: list[tuple[float, float]] = []
    took: list[float] = []
    for _ in range(1 if quick else 3):
        with ours(workshop) as server:
            _declare(server.port)
            asyncio.run(_pixels(server.port, workshop.token_keys, None))  # warm
            quiet = asyncio.run(_pixels(server.port, workshop.token_keys, None))
            command = python("-m", "tests.bench.hostile", str(server.port))
            poster = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            began = time.monotonic()
            busy = asyncio.run(_pixels(server.port, workshop.token_keys, poster))
            took.append(time.monotonic() - began)
            _check(server, poster)
        alone.append(_percentiles(quiet))
        beside.append(_percentiles(busy))
        print(
            f"  pixels alone p50 {alone[-1][0]:.1f} p99 {alone[-1][1]:.1f} ms; beside ten hostile bodies p50 "
            f"{beside[-1][0]:.1f} p99 {beside[-1][1]:.1f} ms, most {max(busy) * 1000:.0f} ms, over {took[-1]:.1f} s",
            flush=True,
        )
    return _section(alone, beside, took)


def _section(alone: list[tuple[float, float]], beside: list[tuple[float, float]], took: list[float]) -> Section:
    section = Section(
        title="Pixels while hostile HTML is instrumented",
        how=(
            f"{_CONNECTIONS} connections ask for pixels, {1000 * _PAUSE:.0f} ms after each answer for the next, first for "
            f"{_QUIET_SECONDS:.0f} s alone and then while ten requests to `/v1/instrument` of {_BYTES // 1_000_000} MB each are worked on: "
            "unclosed tags, attributes, comments, scripts and references over and over, and thousands of links. Ingest and the "
            "processes that it instruments in share one core, which is harder than any machine with two."
        ),
        command="python -m tests.bench --only hostile",
    )
    names = ("alone", "beside ten hostile bodies")
    columns = [
        (Samples(tuple(p50 for p50, _ in each)), Samples(tuple(p99 for _, p99 in each))) for each in (alone, beside)
    ]
    section.tables.append(
        Table(
            ("pixels", "p50 ms", "p99 ms", "spread"),
            [
                (
                    name,
                    f"{p50.middle:.1f}",
                    f"{p99.middle:.1f} ({min(p99.values):.1f}-{max(p99.values):.1f})",
                    f"{p99.spread:.0%}",
                )
                for name, (p50, p99) in zip(names, columns, strict=True)
            ],
        )
    )
    (_, quiet), (_, worst) = columns
    section.ratios += [
        Ratio(
            "100 ms / p99 beside ten hostile bodies", Samples(tuple(_PROMISED_MS / p99 for p99 in worst.values)), 1.0
        ),
        Ratio("p99 alone / p99 beside them", quiet.over(worst)),
    ]
    section.remarks.append(f"All ten were answered after {Samples(tuple(took)).middle:.1f} s.")
    return section


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(seconds)
    return ordered[len(ordered) // 2] * 1000, ordered[len(ordered) * 99 // 100] * 1000


async def _pixels(port: int, token_keys: str, until: subprocess.Popen[str] | None) -> list[float]:
    """Seconds of each pixel, until the process has ended, or for a while where there is none."""
    ends = time.monotonic() + _QUIET_SECONDS
    asked = cycle(path for path, _ in requests(token_keys, _TOKENS))

    def goes_on() -> bool:
        return until.poll() is None if until else time.monotonic() < ends

    async def one() -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        taken: list[float] = []
        while goes_on():
            head = f"GET {next(asked)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: Mozilla/5.0\r\n\r\n"
            began = time.perf_counter()
            writer.write(head.encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(43)
            taken.append(time.perf_counter() - began)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise Wrong(f"a pixel was answered {answer[:40]!r}")
            await asyncio.sleep(_PAUSE)
        writer.close()
        return taken

    return [seconds for each in await asyncio.gather(*(one() for _ in range(_CONNECTIONS))) for seconds in each]


def _declare(port: int) -> None:
    status, _ = _post(port, "/v1/campaigns", json.dumps({"id": "spring", "name": "Spring"}).encode())
    if status not in (200, 201):
        raise Wrong(f"the campaign was answered {status}")


def _check(server: Server, poster: subprocess.Popen[str]) -> None:
    said, _ = poster.communicate()
    statuses = said.split()
    if len(statuses) != len(_BODIES) or not {*statuses} <= {"200", "422"}:
        raise Wrong(f"hostile bodies were answered {said!r}:\n{server.job.tail()}")


def _post(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=300) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def post(port: int) -> None:
    """Send all bodies at once; print their statuses."""
    bodies = [
        json.dumps(
            {
                "sends": [
                    {
                        **{"campaign": "spring", "step": 1, "lead": f"lead-{number}", "html": shape.of(_BYTES - 100)},
                        **{"to": "ada@example.com", "sender": "news@example.net"},
                    }
                ]
            }
        ).encode()
        for number, shape in enumerate(_BODIES)
    ]
    with ThreadPoolExecutor(len(bodies)) as threads:
        print(*(status for status, _ in threads.map(lambda body: _post(port, "/v1/instrument", body), bodies)))


if __name__ == "__main__":
    post(int(sys.argv[1]))
