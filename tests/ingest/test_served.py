"""The room as it is run: Granian in a process of its own, plain sockets, signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from ingest.hits.hits import PIXEL
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from tests.ingest.room import CLAIM, PATIENCE, add_link, hits, metric_of
from tests.ingest.served_process import served
from tests.support.processes import ROOT
from tests.support.waiting import until


@pytest.mark.every_broker
def test_the_main_path_over_real_http(settings: Settings) -> None:
    link = add_link(settings, "https://example.com/offer?a=b")
    with served(settings) as (url, process), httpx.Client(base_url=url, timeout=PATIENCE) as client:
        sign = settings.keyring.sign
        opened = client.get(f"/o/{sign(Purpose.OPEN, CLAIM)}.gif", headers={"User-Agent": "Thunderbird"})
        clicked = client.get(f"/c/{sign(Purpose.CLICK, CLAIM)}/{link}")
        assert (opened.status_code, opened.content) == (200, PIXEL)
        assert (clicked.status_code, clicked.headers["location"]) == (302, "https://example.com/offer?a=b")
        head = client.head(f"/o/{sign(Purpose.OPEN, CLAIM)}.gif")
        assert (head.status_code, head.headers["content-length"], head.content) == (200, "43", b"")
        assert client.head(f"/u/{sign(Purpose.UNSUBSCRIBE, CLAIM)}").status_code == 200
        assert client.request("OPTIONS", "/o/x.gif").headers["allow"] == "GET, HEAD, OPTIONS"
        assert client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        send = {"campaign": "spring", "step": 1, "lead": "l", "to": "a@example.com", "sender": "b@example.com"}
        sent = client.post("/v1/sends", json={"sends": [{**send, "subject": "Hi", "text": "Hello"}]})
        assert (sent.status_code, sent.json()["accepted"]) == (202, 1)
        done = client.post(f"/u/{sign(Purpose.UNSUBSCRIBE, CLAIM)}", data={"List-Unsubscribe": "One-Click"})
        assert done.status_code == 200

        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0
    found = hits(settings)
    assert sorted((hit.kind, hit.method) for hit in found) == [("click", "GET"), ("open", "GET"), ("open", "HEAD")]
    assert {hit.ip for hit in found} == {"127.0.0.1"}


def test_a_folder_with_names_of_our_packages_hides_none_of_them(settings: Settings, tmp_path: Path) -> None:
    """A data folder has some: `clickhouse`, and in it ClickHouse's own `store`."""
    for package in ("clickhouse", "dashboards", "decisions", "ingest", "oauth2", "schemas", "stream"):
        for module in (ROOT / package).glob("[a-z]*"):
            (tmp_path / package / module.stem).mkdir(parents=True, exist_ok=True)
    (tmp_path / "sendlens.py").write_text("raise SystemExit('not ours')")
    program = str(Path(sys.executable).with_name("sendlens"))
    with (
        served(settings, command=(program, "ingest"), folder=tmp_path) as (url, _),
        httpx.Client(base_url=url, timeout=PATIENCE) as client,
    ):
        assert client.post("/v1/campaigns", json={"id": "spring", "name": "Spring"}).status_code == 201
        send = {"campaign": "spring", "step": 1, "lead": "l", "to": "a@example.com", "sender": "b@example.com"}
        large = {**send, "variant": "A", "html": f"<p>{'Hello, ' * 10_000}</p>"}  # made in another process
        made = client.post("/v1/instrument", json={"sends": [large]})
        assert made.status_code == 200, made.text
        assert len(made.json()["emails"]) == 1


RAW = {
    "percent-encoded CR and LF": (
        b"GET /o/a%0d%0aSet-Cookie:%20a=b.gif HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        200,
    ),
    "invalid UTF-8, encoded": (b"GET /o/%ff%fe.gif HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
    "NUL bytes, encoded": (b"GET /c/%00/%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
    "HTTP/1.0": (b"GET /o/a.gif HTTP/1.0\r\n\r\n", 200),
    "a header that is not ASCII": (
        b"GET /o/a.gif HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: \xff\xe9\r\n\r\n",
        200,
    ),
    "a bare CR in a header": (
        b"GET /o/a.gif HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: a\rb\r\n\r\n",
        400,
    ),
    "a NUL in a header": (b"GET /o/a.gif HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: a\x00b\r\n\r\n", 400),
    "a URL of 60 kB": (b"GET /o/" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
    "a URL of 100 kB": (b"GET /o/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 414),
    "a click's URL of 100 kB": (
        b"GET /c/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        414,
    ),
    "headers of 1 MB": (b"GET /o/a.gif HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n", 431),
    "a body where none belongs": (
        b"GET /o/a.gif HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
        200,
    ),
    "a method nobody knows": (b"BREW /o/a.gif HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    "no HTTP at all": (b"\x16\x03\x01 hello\r\n\r\n", 400),
}


def _exchange(port: int, request: bytes) -> bytes:
    """All that the server sends back until it closes, or says nothing more for half a second."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):  # it may answer and close before it has read everything
            connection.sendall(request)
        answer = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while part := connection.recv(65536):
                answer += part
                connection.settimeout(0.5)
        return answer


def _status(port: int, request: bytes) -> int:
    return int(_exchange(port, request).split(b" ")[1])


def test_whatever_comes_over_the_wire_has_its_answer_and_the_server_lives(settings: Settings) -> None:
    with served(settings) as (url, _):
        port = int(url.rsplit(":", 1)[1])
        answers = {name: _status(port, request) for name, (request, _) in RAW.items()}
        assert answers == {name: status for name, (_, status) in RAW.items()}
        assert httpx.get(f"{url}/readyz").status_code == 200
        pipelined = _exchange(port, b"GET /o/a.gif HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        assert pipelined.count(PIXEL) == 3
    assert hits(settings) == []


@pytest.mark.every_broker
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
async def test_stopped_under_load_every_answered_hit_is_on_the_topic(settings: Settings, signal_number: int) -> None:
    answered: set[str] = set()

    async def open_until_refused(client: httpx.AsyncClient, worker: int) -> None:
        for n in range(100_000):
            lead = f"{worker}-{n}"
            claim = Claim(delivery_id("spring", 1, lead), "spring", 1, "A", lead, 1_790_000_000)
            try:
                answer = await client.get(f"/o/{settings.keyring.sign(Purpose.OPEN, claim)}.gif")
            except httpx.TransportError:
                return
            assert answer.content == PIXEL
            answered.add(lead)

    with served(settings) as (url, process):
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
            load = asyncio.gather(*(open_until_refused(client, worker) for worker in range(8)))
            await until(lambda: load.done() or len(answered) >= 500)
            assert not load.done()
            text = (await client.get("/metrics")).text
            assert metric_of(text, "sendlens_hits_total", kind="open", result="unacknowledged") == 0
            os.killpg(process.pid, signal_number)  # the whole group, as Ctrl-C in a terminal does
            await load
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    found = [hit.lead for hit in hits(settings)]
    assert answered <= set(found)
    assert len(found) == len(set(found))


async def test_whoever_has_not_heard_yet_that_it_stops_is_answered(settings: Settings) -> None:
    """A load balancer sends requests until its next probe says 503, on new connections too."""
    claim = Claim(delivery_id("spring", 1, "lead"), "spring", 1, "A", "lead", 1_790_000_000)
    pixel = f"/o/{settings.keyring.sign(Purpose.OPEN, claim)}.gif"
    probed = asyncio.Event()
    statuses: list[int] = []

    async def balance(client: httpx.AsyncClient) -> None:
        while not probed.is_set():
            statuses.append((await client.get(pixel)).status_code)

    with served(settings) as (url, process):
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
            load = asyncio.gather(*(balance(client) for _ in range(16)))
            while len(statuses) < 200:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            while (probe := await client.get("/readyz")).status_code == 200:
                pass
            assert (probe.json()["reasons"], probe.headers["connection"]) == (["stopping"], "close")
            assert (await client.get(pixel)).status_code == 200
            probed.set()
            await load
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    assert set(statuses) == {200}
