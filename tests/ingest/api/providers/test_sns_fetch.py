"""What is fetched from Amazon SNS, from a real server with TLS here: whole, bounded, and from the named host alone."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ingest.api.providers.sns.fetch import fetched
from schemas.errors import Retry
from tests.ingest.api.providers.amazon import KEY, PEM, a_certificate

Server = tuple[str, ssl.SSLContext]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server with TLS, and what trusts it: a certificate in two pieces, a file of 1 MB, one that claims more than it
    has, and an answer of 302 to everything else."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    cert.write_bytes(a_certificate("localhost"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    half = len(PEM) // 2
    files = {
        b"/pieces": (len(PEM), [PEM[:half], PEM[half:]]),
        b"/large": (1_000_000, [b"x" * 1000] * 1000),
        b"/broken": (len(PEM), [PEM[:half]]),
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).split()[1]
        status = b"200 OK" if path in files else b"302 Found\r\nLocation: /large"
        length, pieces = files.get(path, (5, [b"moved"]))
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (status, length))
        with contextlib.suppress(ConnectionError):
            for number, piece in enumerate(pieces):
                if path == b"/pieces" and number:
                    await asyncio.sleep(0.05)  # so that they are two reads for the client
                writer.write(piece)
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    trusting = ssl.create_default_context(cafile=cert)
    yield f"https://localhost:{listening.sockets[0].getsockname()[1]}", trusting
    listening.close()


async def test_a_certificate_that_comes_in_pieces_is_whole(server: Server) -> None:
    assert await fetched(f"{server[0]}/pieces", server[1]) == PEM


@pytest.mark.parametrize(
    ("path", "why"), [("large", "more than 32768"), ("broken", "can't be reached"), ("moved", "302")]
)
async def test_what_is_too_large_or_broken_off_or_elsewhere_is_not_had(server: Server, path: str, why: str) -> None:
    with pytest.raises(Retry, match=why):
        await fetched(f"{server[0]}/{path}", server[1])


async def test_a_host_without_a_certificate_that_is_trusted_is_not_believed(server: Server) -> None:
    with pytest.raises(Retry, match="can't be reached"):
        await fetched(f"{server[0]}/pieces")
