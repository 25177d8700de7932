"""HTTP as it is spoken: bytes sent to Granian, bytes that come back, and what was recorded of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from ingest.hits.hits import PIXEL
from schemas.events import Hit
from schemas.settings import Settings
from schemas.tokens import Claim, Purpose, delivery_id
from tests.ingest.conftest import settings_in
from tests.ingest.room import PATIENCE, add_link, hits
from tests.ingest.served_process import served
from tests.support.broker import Broker, create_topics

HOST = b"Host: t.example.com\r\n"
LINK = "https://example.com/offer"


@dataclass
class Answer:
    version: str
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """A connection that is read as RFC 9112 says, so that a byte too many or too few is seen."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._buffer = b""

    def send(self, *requests: bytes) -> Wire:
        self._socket.sendall(b"".join(requests))
        return self

    def answer(self, *, to_head: bool = False) -> Answer:
        while b"\r\n\r\n" not in self._buffer:
            part = self._socket.recv(65536)
            assert part, f"closed after {self._buffer!r}"
            self._buffer += part
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        length = 0 if to_head or status in (204, 304) else int(headers["content-length"])
        while len(self._buffer) < length:
            part = self._socket.recv(65536)
            assert part, "closed in the middle of a body"
            self._buffer += part
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(first.split()[0], status, headers, body)

    @property
    def closed(self) -> bool:
        """Whether the server closes now, with nothing more said."""
        return self._buffer == b"" and self._socket.recv(1) == b""

    def close(self) -> None:
        self._socket.close()


class Place:
    """Ingest on a port; every test signs for leads of its own and so finds its own hits."""

    def __init__(self, settings: Settings, port: int, link: str) -> None:
        self.settings = settings
        self._test = uuid4().hex
        self._port = port
        self._link = link
        self._wires: list[Wire] = []

    def wire(self) -> Wire:
        self._wires.append(Wire(self._port))
        return self._wires[-1]

    def end(self) -> None:
        for wire in self._wires:
            wire.close()

    def pixel(self, lead: str) -> bytes:
        return f"/o/{self._sign(Purpose.OPEN, lead)}.gif".encode()

    def click(self, lead: str) -> bytes:
        return f"/c/{self._sign(Purpose.CLICK, lead)}/{self._link}".encode()

    def unsubscribe(self, lead: str) -> bytes:
        return f"/u/{self._sign(Purpose.UNSUBSCRIBE, lead)}".encode()

    def hits(self, lead: str = "") -> list[Hit]:
        """Those of the test, of this lead or of all."""
        found = [hit for hit in hits(self.settings) if hit.lead.startswith(self._test)]
        return [hit for hit in found if not lead or hit.lead == f"{self._test} {lead}"]

    def _sign(self, purpose: Purpose, lead: str) -> str:
        lead = f"{self._test} {lead}"
        claim = Claim(delivery_id("spring", 1, lead), "spring", 1, "A", lead, 1_790_000_000)
        return self.settings.keyring.sign(purpose, claim)


@pytest.fixture(scope="module")
def listening(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, int, str]]:
    """One process for all tests: its settings, its port, and a link that it follows."""
    settings = settings_in(tmp_path_factory.mktemp("wire"), broker.bootstrap, public_url="http://t.example.com")
    create_topics(settings)
    link = add_link(settings, LINK)
    with served(settings) as (url, _):
        yield settings, int(url.rsplit(":", 1)[1]), link


@pytest.fixture
def place(listening: tuple[Settings, int, str]) -> Iterator[Place]:
    place = Place(*listening)
    yield place
    place.end()


def get(path: bytes, *headers: bytes, method: bytes = b"GET", version: bytes = b"1.1") -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return method + b" " + path + b" HTTP/" + version + b"\r\n" + (HOST if version == b"1.1" else b"") + lines + b"\r\n"


def test_each_method_has_its_answer_and_what_is_no_look_is_told_apart(place: Place) -> None:
    wire = place.wire()
    head = wire.send(get(place.pixel("head"), method=b"HEAD")).answer(to_head=True)
    full = wire.send(get(place.pixel("head"))).answer()
    assert (head.status, full.status, full.body) == (200, 200, PIXEL)
    assert {k: v for k, v in head.headers.items() if k != "date"} == {
        k: v for k, v in full.headers.items() if k != "date"
    }
    redirect = wire.send(get(place.click("head"), method=b"HEAD")).answer(to_head=True)
    assert (redirect.status, redirect.headers["location"]) == (302, LINK)
    unknown = wire.send(get(b"/c/unknown", method=b"HEAD")).answer(to_head=True)
    assert (unknown.status, int(unknown.headers["content-length"]) > 0) == (404, True)
    assert sorted((hit.kind, hit.method) for hit in place.hits("head")) == [
        ("click", "HEAD"),
        ("open", "GET"),
        ("open", "HEAD"),
    ]

    for path in (place.pixel("other"), place.click("other")):
        options = wire.send(get(path, method=b"OPTIONS")).answer()
        assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
        assert "content-length" not in options.headers  # RFC 9110, 8.6
        for method in (b"POST", b"PUT", b"DELETE", b"TRACE", b"PROPFIND"):
            refused = wire.send(get(path, method=method)).answer()
            assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert wire.send(get(b"*", method=b"OPTIONS")).answer().status == 204
    assert place.hits("other") == []

    unsubscribe = wire.send(get(place.unsubscribe("other"), method=b"OPTIONS")).answer()
    assert (unsubscribe.status, unsubscribe.headers["allow"]) == (204, "GET, HEAD, POST, OPTIONS")
    refused = wire.send(get(place.unsubscribe("other"), method=b"DELETE")).answer()
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, POST, OPTIONS")
    for path in (b"/healthz", b"/readyz"):
        assert wire.send(get(path, method=b"HEAD")).answer(to_head=True).status == 200


@pytest.mark.parametrize(
    "header",
    [
        b'If-None-Match: "abc"',
        b"If-Modified-Since: Mon, 23 Nov 2026 10:00:00 GMT",
        b"Range: bytes=0-3",
        b"Range: bytes=9999-",
        b"Range: pages=1",
        b"Purpose: prefetch",
        b"Sec-Purpose: prefetch;prerender",
        b"X-Moz: prefetch",
    ],
)
def test_a_pixel_is_whole_and_never_cached_and_the_judge_sees_how_it_was_asked_for(place: Place, header: bytes) -> None:
    """It has no validator and no parts, so every condition is met and every range is the whole (RFC 9110, 13 and 14)."""
    answer = place.wire().send(get(place.pixel("l"), header)).answer()
    assert (answer.status, answer.body) == (200, PIXEL)
    assert not {"etag", "last-modified", "content-range", "age", "expires"} & set(answer.headers)
    assert "no-store" in answer.headers["cache-control"]
    [hit] = place.hits("l")
    name, _, value = header.decode().partition(": ")
    assert hit.headers == {name.lower(): value}


def test_http_1_0_closes_unless_asked_to_stay(place: Place) -> None:
    wire = place.wire().send(get(place.pixel("old"), version=b"1.0"))
    answer = wire.answer()
    assert (answer.status, answer.body, wire.closed) == (200, PIXEL, True)
    wire = place.wire()
    for _ in range(2):
        answer = wire.send(get(place.click("old"), b"Connection: keep-alive", version=b"1.0")).answer()
        assert (answer.status, answer.headers["location"], answer.body) == (302, LINK, b"")
        assert answer.headers["connection"].lower() == "keep-alive"
    assert len(place.hits("old")) == 3


def test_pipelined_requests_are_answered_in_their_order_and_recorded_each(place: Place) -> None:
    count = 40
    requests = []
    for n in range(count):
        requests += [
            get(place.pixel(f"p{n}"), method=b"HEAD"),
            get(place.click(f"p{n}")),
            get(b"/nowhere"),
            get(place.pixel(f"p{n}")),
        ]
    requests.append(get(place.pixel("last"), b"Connection: close"))
    wire = place.wire().send(*requests)
    for _ in range(count):
        assert wire.answer(to_head=True).headers["content-type"] == "image/gif"
        assert wire.answer().headers["location"] == LINK
        assert wire.answer().status == 404
        assert wire.answer().body == PIXEL
    assert (wire.answer().body, wire.closed) == (PIXEL, True)
    assert len(place.hits()) == 3 * count + 1


def test_a_body_that_is_not_read_is_not_taken_for_the_next_request(place: Place) -> None:
    smuggled = get(place.pixel("smuggled"))
    length = b"Content-Length: " + str(len(smuggled)).encode()
    wire = place.wire().send(get(place.pixel("l"), length), smuggled, get(place.pixel("l")))
    assert (wire.answer().body, wire.answer().body) == (PIXEL, PIXEL)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)
    wire = place.wire().send(get(place.pixel("l"), b"Transfer-Encoding: chunked", method=b"POST"), chunked)
    assert (wire.answer().status, wire.send(get(place.pixel("l"))).answer().status) == (405, 200)
    both = (b"Transfer-Encoding: chunked", b"Content-Length: 5")
    wire = place.wire().send(get(place.pixel("l"), *both, method=b"POST"), b"0\r\n\r\n", smuggled)
    assert (wire.answer().status, wire.closed) == (405, True)  # RFC 9112, 6.3: closed, or it is a smuggler's way
    two = place.wire().send(get(place.pixel("l"), b"Content-Length: 5", b"Content-Length: 6", method=b"POST"))
    assert two.answer().status == 400
    assert place.hits("smuggled") == []


@pytest.mark.parametrize(
    "upgrade",
    [
        (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA=="),
        (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        (b"Expect: 100-continue",),
    ],
)  # fmt: skip
def test_who_asks_for_more_than_http_1_1_gets_http_1_1(place: Place, upgrade: tuple[bytes, ...]) -> None:
    answer = place.wire().send(get(place.pixel("l"), *upgrade)).answer()
    assert (answer.version, answer.status, answer.body) == ("HTTP/1.1", 200, PIXEL)
    assert len(place.hits("l")) == 1
