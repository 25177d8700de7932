"""Who sends a byte now and then is disconnected by a deadline, and keeps nobody out meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from ingest import serve
from ingest.api.http.problems import Problem
from ingest.api.requests import MAX_BODY_BYTES
from ingest.bodies import LEAST_RATE, LONGEST_SECONDS, SECONDS, BodyDeadline, patience
from ingest.hits.hits import PIXEL
from schemas.settings import Settings
from schemas.tokens import Purpose
from tests.ingest.room import CLAIM
from tests.ingest.served_process import served
from tests.security import slow_served
from tests.security.front import settings_of
from tests.support.broker import Broker

LATEST = 30.0  # seconds after the deadline within which a busy machine has answered them all
JSON = b"Content-Type: application/json\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
MULTIPART = b"Content-Type: multipart/form-data; boundary=b\r\n"
FIELD = b'--b\r\nContent-Disposition: form-data; name="confirm"\r\n\r\n'
SIZED, CHUNKED = b"Content-Length: 5000\r\n", b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Settings:
    return settings_of(tmp_path_factory.mktemp("slow"), broker)


@pytest.fixture(scope="module")
def port(settings: Settings) -> Iterator[int]:
    """Ingest whose bodies have two seconds and not fifteen: its port."""
    with served(settings, command=("-m", "tests.security.slow_served")) as (url, _):
        yield int(url.rpartition(":")[2])


class Slow:
    """Connections that send a head, and then a part of the body every so many seconds."""

    def __init__(self, port: int, every: float) -> None:
        self._port = port
        self._every = every
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: list[asyncio.Task[bytes]] = []  # what each was answered until it was closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for task in (*self._tasks, *self.answers):
            task.cancel()
        await asyncio.gather(*self._tasks, *self.answers, return_exceptions=True)
        for writer in self._writers:
            writer.close()

    async def open(self, head: bytes, part: bytes) -> asyncio.Task[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(writer)
        writer.write(head)
        self._tasks.append(asyncio.create_task(self._send(writer, part)))
        self.answers.append(asyncio.create_task(_read(reader)))
        return self.answers[-1]

    async def _send(self, writer: asyncio.StreamWriter, part: bytes) -> None:
        while not writer.is_closing():
            writer.write(part)
            await asyncio.sleep(self._every)


async def _read(reader: asyncio.StreamReader) -> bytes:
    """To the end; a connection that is broken off ends too, after what it said."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65536):
            said += part
    return said


def a_head(method: bytes, path: bytes, *lines: bytes) -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n" % (method, path, b"".join(lines))


def unsubscribe(settings: Settings) -> bytes:
    return f"/u/{settings.keyring.sign(Purpose.UNSUBSCRIBE, CLAIM)}".encode()


def pixel(settings: Settings) -> bytes:
    return f"/o/{settings.keyring.sign(Purpose.OPEN, CLAIM)}.gif".encode()


async def test_every_path_that_reads_a_body_answers_408_and_closes(settings: Settings, port: int) -> None:
    writes = (
        b"/v1/sends",
        b"/v1/campaigns",
        b"/v1/campaigns/x/pause",
        b"/v1/events",
        b"/v1/webhooks",
        b"/v1/instrument",
    )
    async with Slow(port, 0.5) as slow:
        for path, kind in [*((path, JSON) for path in writes), (unsubscribe(settings), FORM)]:
            for size, part in ((SIZED, b"x"), (SIZED, b""), (CHUNKED, b"1\r\nx\r\n"), (CHUNKED, b"0")):
                await slow.open(a_head(b"POST", path, kind, size), part)
        await slow.open(a_head(b"POST", unsubscribe(settings), MULTIPART, SIZED) + FIELD, b"x")
        said = await asyncio.wait_for(asyncio.gather(*slow.answers), slow_served.SECONDS + LATEST)
    for one in said:
        assert one.startswith(b"HTTP/1.1 408 "), one
        assert b"body-slow" in one
        assert b"connection: close" in one.lower()


async def test_a_path_that_reads_none_answers_at_once_and_closes(settings: Settings, port: int) -> None:
    """A pixel, a link, a page that is not there: neither the answer waits for the body, nor the connection."""
    asked = (
        (b"GET", pixel(settings), b"200"),
        (b"POST", pixel(settings), b"405"),
        (b"GET", b"/c/x/y", b"404"),
        (b"GET", unsubscribe(settings), b"200"),
        (b"GET", b"/healthz", b"200"),
        (b"GET", b"/metrics", b"200"),
        (b"POST", b"/nowhere", b"404"),
    )
    async with Slow(port, 0.5) as slow:
        for method, path, status in asked:
            for size, part in ((SIZED, b"x"), (CHUNKED, b"1\r\nx\r\n")):
                answer = await slow.open(a_head(method, path, size), part)
                said = await asyncio.wait_for(answer, LATEST)
                assert said.startswith(b"HTTP/1.1 " + status), (path, said)


async def test_a_body_that_comes_in_time_is_taken_however_it_is_cut(settings: Settings, port: int) -> None:
    body = b'{"id": "cut", "name": "Cut"}'
    async with Slow(port, 60.0) as slow:
        answer = await slow.open(a_head(b"POST", b"/v1/campaigns", JSON, b"Content-Length: %d\r\n" % len(body)), b"")
        for n in range(len(body)):
            slow._writers[-1].write(body[n : n + 1])
            await slow._writers[-1].drain()
        slow._writers[-1].write(a_head(b"GET", b"/healthz", b"Connection: close\r\n"))
        assert (await asyncio.wait_for(answer, LATEST)).startswith(b"HTTP/1.1 201 ")


async def test_a_thousand_slow_bodies_keep_nobody_out(settings: Settings, port: int) -> None:
    await keep_nobody_out(settings, port, 1000, every=0.5, deadline=slow_served.SECONDS)


@pytest.mark.long
async def test_five_thousand_slow_connections_keep_nobody_out(settings: Settings) -> None:
    """A byte each 5 s, and the deadlines as they are: a third never ends its head."""
    with served(settings) as (url, _):
        await keep_nobody_out(settings, int(url.rpartition(":")[2]), 5000, every=5.0, deadline=SECONDS, heads=True)


async def keep_nobody_out(
    settings: Settings, port: int, count: int, *, every: float, deadline: float, heads: bool = False
) -> None:
    """Hold so many slow connections, look at a pixel all the while, and see the last of them closed in time."""
    _need_files(count)
    kinds = [
        (a_head(b"POST", b"/v1/sends", JSON, CHUNKED), b"1\r\nx\r\n"),
        (a_head(b"POST", unsubscribe(settings), FORM, SIZED), b"x"),
    ]
    if heads:
        kinds.append((b"GET / HTTP/1.1\r\nX-Slow: ", b"x"))
    url = f"http://127.0.0.1:{port}{pixel(settings).decode()}"
    began = time.monotonic()
    async with Slow(port, every) as slow, httpx.AsyncClient(timeout=LATEST) as client:

        async def look() -> None:
            seen = await client.get(url, headers={"Connection": "close"})  # by a new connection each time
            assert (seen.status_code, seen.content) == (200, PIXEL)

        for n in range(count):
            await slow.open(*kinds[n % len(kinds)])
            if n % 50 == 49:
                await look()
        await look()
        all_closed = asyncio.ensure_future(asyncio.gather(*slow.answers))
        ends = time.monotonic() + deadline + LATEST
        while not all_closed.done():
            assert time.monotonic() < ends, "some are still open"
            await look()
            await asyncio.wait([all_closed], timeout=0.2)
        said = [one[:12] for one in all_closed.result()]
        assert set(said) <= {b"HTTP/1.1 408", b""}  # a head is not answered
        assert said.count(b"HTTP/1.1 408") == count - len([n for n in range(count) if n % len(kinds) == 2])
        assert time.monotonic() - began >= deadline
        await look()


def _need_files(count: int) -> None:
    """A connection is an open file here too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine grants {hard} open files; {wanted} are needed")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _asked(app: BodyDeadline, receive: Receive) -> None:
    async def send(_: Message) -> None: ...

    await app({"type": "http"}, receive, send)


def test_a_body_has_fifteen_seconds_and_more_at_a_rate_and_an_end() -> None:
    assert patience(0) == SECONDS == 15.0
    assert patience(10 * LEAST_RATE) == SECONDS + 10
    assert patience(MAX_BODY_BYTES) == LONGEST_SECONDS
    assert MAX_BODY_BYTES / LONGEST_SECONDS < 100_000  # bytes a second that the largest body needs


async def test_only_what_is_waited_for_counts_and_after_the_body_nothing_does() -> None:
    """The application may take its time between two parts, and wait as long as it likes for the client to leave."""
    now = 0.0
    parts = [{"type": "http.request", "body": b"x", "more_body": True}] * 3 + [{"type": "http.request", "body": b"x"}]
    left = asyncio.Event()

    async def receive() -> Message:
        if parts:
            return parts.pop(0)
        await left.wait()
        return {"type": "http.disconnect"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal now
        for _ in range(4):
            await receive()
            now += 100.0
        asyncio.get_running_loop().call_later(0.01, left.set)
        assert (await receive())["type"] == "http.disconnect"

    await _asked(BodyDeadline(app, lambda: now), receive)


async def test_a_body_below_the_rate_is_given_up_though_each_part_was_quick() -> None:
    now = 0.0

    async def receive() -> Message:
        nonlocal now
        now += 1.0
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await receive()

    with pytest.raises(Problem, match="too slowly") as refused:
        await asyncio.wait_for(_asked(BodyDeadline(app, lambda: now), receive), LATEST)
    assert refused.value.status == 408
    assert SECONDS <= now < SECONDS + 3


@pytest.mark.parametrize(
    ("soft", "hard", "connections"),
    [
        (1024, 524_288, 16_384),
        (1024, 4096, 3584),
        (256, 256, 128),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 16_384),
    ],
)
def test_connections_leave_files_for_the_spool_and_kafka(
    soft: int, hard: int, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    assert serve._connections() == connections
    assert len(raised) == (1 if 0 <= soft < min(hard, 16_896) else 0)
