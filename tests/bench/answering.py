"""Hits answered per second by one core: the hot path, the route that one writes first, and nginx as the limit."""

from __future__ import annotations

import contextlib
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.metrics import RESULTS
from schemas.topics import HITS
from tests.bench import wrk
from tests.bench.broker import Deployment, deployment, read
from tests.bench.figures import Ratio, Samples, Section, Table, Wrong
from tests.bench.workshop import Job, Stopwatch, Workshop, free_port, listens, python

CONNECTIONS = (64, 256)

_REQUESTS = 20_000
_OURS, _NAIVE, _NGINX = "sendlens ingest", "FastAPI + aiokafka `send_and_wait`", "nginx `empty_gif`, buffered log"
_SHARING = (
    "Of ours {:.1f} hits shared a Kafka record on average, and the records of a moment one request: a hit's partition is "
    "its email's, so there are up to 12 of them. They go by a producer on the event loop (`stream/produce/`), for which "
    "a round trip of 12 records costs a third to a fifth of what kafka-python's thread takes for it. With 64 connections no "
    "more than 64 hits can wait for Kafka at once, so the clock's figure is that of its round trip, and the core is not "
    "used up: the embedded broker takes 0.6 ms for a request of 12 partitions and 0.25 ms for one of 3."
)
_CEILING = (
    "Ours can't come closer to nginx than its HTTP server lets it: an ASGI route on Granian that answers with the pixel "
    "at once, without token, hit or Kafka, reaches less than half of nginx. Granian's own interface, RSGI, answers a "
    "tenth more of that. But it gives headers as text and leaves out those that are not ASCII (2.8.9, as Robyn 0.88 "
    "does), user agents among them, which are the judge's to read. uvicorn with httptools and uvloop gives them as they "
    "came and answers two thirds as many as Granian, Hypercorn a tenth: so the hot path stays ASGI on Granian."
)
_NGINX_CONF = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format hit '$msec $request_uri "$http_user_agent" $remote_addr';
  access_log {folder}/access.log hit buffer=64k flush=1s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  keepalive_requests 1000000000;
  server {{ listen 127.0.0.1:{port}; location / {{ empty_gif; }} }}
}}
"""


@dataclass(frozen=True, slots=True)
class Load:
    """One measured load of one server."""

    rate: float
    per_cpu_second: float
    busy: float
    others: float
    p50: float
    p99: float


@dataclass(slots=True)
class Server:
    """A server that answers on `port`, its process, and a check that what it answered was written,
    which returns how many hits shared a record."""

    job: Job
    port: int
    check: Callable[[int], float]


def measure(workshop: Workshop, *, quick: bool) -> Section:
    """Load each server in turn, round after round, at each number of connections."""
    section = Section(
        title="Hits answered per second by one core",
        how=(
            "Pixel requests with 20,000 distinct valid tokens and 2,000 user agents over kept-alive connections, by "
            "wrk with one thread. The server is pinned to one core; broker and wrk share the other. Ours and the naive "
            "route check the token, write the same hit, and answer after Kafka's `acks=all`. "
            "nginx only writes a buffered log line: what a core can do that promises nothing. Servers take turns, and "
            "ratios compare neighbours of one round. After every round the topic is read: fewer hits than were "
            "answered, or one twice, fail the benchmark."
        ),
        command="python -m tests.bench --only answering",
    )
    if not wrk.is_installed():
        section.missing.append("Not measured: wrk is not installed (`apt-get install wrk`).")
        return section
    script = wrk.write_script(workshop.folder, _requests(workshop))
    servers: dict[str, Callable[[Workshop], contextlib.AbstractContextManager[Server]]]
    servers = {_OURS: ours, _NAIVE: _naive}
    if shutil.which("nginx"):
        servers[_NGINX] = _nginx
    else:
        section.missing.append("nginx is not installed (`apt-get install nginx-light`): measured without its limit.")
    loads: dict[tuple[str, int], list[Load]] = {}
    shared: dict[str, float] = {}
    for _ in range(1 if quick else 3):
        for name, starting in servers.items():
            with starting(workshop) as server:
                answered = wrk.run(workshop, script, server.port, 64, 1).requests  # warm
                for connections in CONNECTIONS:
                    load, count = _load(workshop, server, script, connections, 2 if quick else 4)
                    loads.setdefault((name, connections), []).append(load)
                    answered += count
                    print(
                        f"  {name}, {connections} connections: {load.rate:,.0f}/s, p99 {load.p99:.1f} ms, "
                        f"{load.per_cpu_second:,.0f} per CPU second, core {load.busy:.0%}, others {load.others:.0%}",
                        flush=True,
                    )
                shared[name] = server.check(answered)
    _report(section, list(servers), loads)
    section.remarks += [_SHARING.format(shared[_OURS]), _CEILING]
    return section


def _requests(workshop: Workshop) -> Iterator[tuple[str, str]]:
    from tests.bench.material import requests

    return requests(workshop.token_keys, _REQUESTS)


def _load(workshop: Workshop, server: Server, script: Path, connections: int, seconds: int) -> tuple[Load, int]:
    stopwatch = Stopwatch(server.job, workshop.server_core)
    seen = wrk.run(workshop, script, server.port, connections, seconds)
    stopwatch.look()
    spell = stopwatch.spell()
    shares = spell.used / seen.seconds, spell.others / seen.seconds
    return Load(seen.requests / seen.seconds, seen.requests / spell.used, *shares, seen.p50, seen.p99), seen.requests


def _report(section: Section, names: list[str], loads: dict[tuple[str, int], list[Load]]) -> None:
    def samples(name: str, connections: int, of: Callable[[Load], float]) -> Samples:
        return Samples(tuple(of(load) for load in loads[name, connections]))

    rows = []
    for connections in CONNECTIONS:
        for name in names:
            rate = samples(name, connections, lambda load: load.rate)
            p99 = samples(name, connections, lambda load: load.p99)
            cpu = samples(name, connections, lambda load: load.per_cpu_second)
            rows.append(
                (
                    name,
                    str(connections),
                    f"{rate.middle:,.0f}",
                    f"{rate.spread:.0%}",
                    f"{samples(name, connections, lambda load: load.p50).middle:.1f}",
                    f"{p99.middle:.1f} ({min(p99.values):.1f}-{max(p99.values):.1f})",
                    f"{cpu.middle:,.0f}",
                    f"{cpu.spread:.0%}",
                    f"{samples(name, connections, lambda load: load.busy).middle:.0%}",
                    f"{samples(name, connections, lambda load: load.others).middle:.0%}",
                )
            )
        ours = samples(_OURS, connections, lambda load: load.rate)
        per_cpu = samples(_OURS, connections, lambda load: load.per_cpu_second)
        for peer, target in ((_NAIVE, 4.0), (_NGINX, 0.2)):
            if peer not in names:
                continue
            what = f"ours / {peer}, {connections} connections"
            by_clock = ours.over(samples(peer, connections, lambda load: load.rate))
            section.ratios.append(Ratio(what, by_clock, target))
            over_cpu = per_cpu.over(samples(peer, connections, lambda load: load.per_cpu_second))
            section.ratios.append(Ratio(f"{what}, per CPU second", over_cpu, target))
    head = (
        "server",
        "connections",
        "hits/s",
        "spread",
        "p50 ms",
        "p99 ms",
        "per CPU second",
        "spread",
        "core used",
        "by others",
    )
    section.tables.append(Table(head, rows))
    p99 = samples(_OURS, 256, lambda load: 50 / load.p99)
    section.ratios.append(Ratio("50 ms / p99 of ours, 256 connections", p99, 1.0))
    section.remarks += [
        "Where nginx's core is not used up, wrk was the limit, which runs a little Lua for every request: nginx could do "
        "more than the clock shows, and the ratio per CPU second is the one to believe.",
    ]


@contextlib.contextmanager
def ours(workshop: Workshop) -> Iterator[Server]:
    with deployment(workshop) as made, _served(workshop, made, "tests.ingest.served") as server:
        server.check = lambda answered: _check_ours(made, server.port, answered)
        yield server


@contextlib.contextmanager
def _naive(workshop: Workshop) -> Iterator[Server]:
    port = free_port()
    options = ["--port", str(port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    with deployment(workshop) as made:
        command = ["uvicorn", "tests.bench.naive:app", "--factory", "--log-level", "warning", *options]
        with _served(workshop, made, *command, port=port) as server:
            server.check = lambda answered: _check_topic(made, answered)
            yield server


@contextlib.contextmanager
def _served(workshop: Workshop, made: Deployment, *module: str, port: int = 0) -> Iterator[Server]:
    port = port or free_port()
    env = made.with_(ingest_port=port).env
    with workshop.running(module[0], python("-m", *module), core=workshop.server_core, env=env) as job:
        workshop.await_(job, lambda: is_ready(port))
        yield Server(job, port, _written_nowhere)


@contextlib.contextmanager
def _nginx(workshop: Workshop) -> Iterator[Server]:
    port = free_port()
    folder = workshop.folder / f"nginx-{port}"
    folder.mkdir()
    (folder / "nginx.conf").write_text(_NGINX_CONF.format(folder=folder, port=port))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with workshop.running("nginx", command, core=workshop.server_core) as job:
        workshop.await_(job, lambda: listens(port))
        yield Server(job, port, _written_nowhere)
    shutil.rmtree(folder)


def is_ready(port: int) -> bool:
    """Whether ingest says that it is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:  # refused, or 503
        return False


def _written_nowhere(answered: int) -> float:
    """nginx's log is no record of hits that anyone relies on."""
    return 0.0


def _check_ours(made: Deployment, port: int, answered: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        counted = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if not line.startswith("#"))
    for result in RESULTS:
        if result != "recorded" and float(counted[f'sendlens_hits_total{{kind="open",result="{result}"}}']):
            raise Wrong(f"ingest answered hits that were {result}: nothing of this round may be counted")
    return _check_topic(made, answered)


def _check_topic(made: Deployment, answered: int) -> float:
    """What was answered is on the topic, once. What was under way when wrk left may be there on top."""
    written = read(made.settings, HITS)
    ids = [one for record in written for one in record.ids]
    if len(set(ids)) != len(ids):
        raise Wrong(f"{len(ids) - len(set(ids))} hits are on the topic twice")
    most = answered + sum((*CONNECTIONS, 64))
    if not answered <= len(ids) <= most:
        raise Wrong(f"{answered} hits were answered, {len(ids)} are on the topic")
    return len(ids) / len(written)
