"""An answer that stops midway is never taken for a whole one, whatever reads it: by status, by exception, by framing."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Iterator

import pytest

from tests.support.processes import ClickHouseProcess, start_clickhouse
from tests.support.waiting import wait_until

# Half a gigabyte, so that it is on its way when something happens to it.
# Of 50 s at the least: a server that is asked to stop would let a shorter one come to its end.
LONG = "SELECT number, repeat('x', 100), sleepEachRow(0.00001) FROM numbers(5000000) FORMAT TSV"
FAILING = (
    "SELECT number, throwIf(number = 3000000, 'half-way') FROM numbers(4000000) SETTINGS max_threads = 1 FORMAT TSV"
)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    server = start_clickhouse(tmp_path_factory.mktemp("clickhouse") / "data")
    yield server
    server.kill()


def begin(server: ClickHouseProcess, query: str, *headers: str, path: str = "/") -> socket.socket:
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(query)}", *headers, "", query]
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    wire.sendall("\r\n".join(lines).encode())
    return wire


def rest(wire: socket.socket) -> bytes:
    """All that still comes; a connection that is reset ends too."""
    parts = []
    try:
        while part := wire.recv(1 << 20):
            parts.append(part)
    except ConnectionResetError:
        pass
    wire.close()
    return b"".join(parts)


def chunks(body: bytes) -> tuple[bytes, bool]:
    """A chunked body's content, and whether its last chunk is there (RFC 9112, 7.1)."""
    content = b""
    while (end := body.find(b"\r\n")) >= 0:
        size = int(body[:end], 16)
        if size == 0:
            return content, True
        content += body[end + 2 : end + 2 + size]
        body = body[end + 2 + size + 2 :]
    return content, False


def test_a_whole_answer_has_its_last_chunk(server: ClickHouseProcess) -> None:
    head, _, body = rest(begin(server, "SELECT 1", "Connection: close")).partition(b"\r\n\r\n")
    assert b"chunked" in head.lower() or b"content-length" in head.lower()
    if b"chunked" in head.lower():
        assert chunks(body) == (b"1\n", True)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_an_error_midway_is_told_and_breaks_the_transfer(server: ClickHouseProcess, coding: str) -> None:
    path = "/?enable_http_compression=1" if coding == "gzip" else "/"
    answer = rest(begin(server, FAILING, f"Accept-Encoding: {coding}", "Connection: close", path=path))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    content, whole = chunks(body)
    assert not whole
    if coding == "gzip":
        content = zlib.decompressobj(31).decompress(content)
    assert b"half-way" in content[-16384:]
    assert b"__exception__" in content[-16384:]
    assert b"x-clickhouse-exception-tag: " in head.lower()


def test_an_error_before_the_first_row_is_a_status_and_a_header(server: ClickHouseProcess) -> None:
    head, _, _ = rest(begin(server, "SELECT missing", "Connection: close")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")
    assert b"x-clickhouse-exception-code: 47" in head.lower()


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_a_server_that_ends_midway_breaks_the_transfer(server: ClickHouseProcess, ends: str) -> None:
    wire = begin(server, LONG)
    begun = wire.recv(65536)
    wait_until(lambda: b"\r\n\r\n" in begun, 1, "the head in the first bytes")
    server.kill() if ends == "kill" else server.popen.terminate()
    _, _, body = (begun + rest(wire)).partition(b"\r\n\r\n")
    content, whole = chunks(body)
    assert not whole
    assert content.count(b"\n") < 5_000_000
