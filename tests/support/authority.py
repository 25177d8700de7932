"""A private authority made by openssl, certificates that it signed, and TLS in front of any server of a test."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_CHUNK = 65_536


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and its key, in PEM."""

    file: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.file, self.key)
        return context


class Authority:
    """An authority that no system knows. `file` is its certificate."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl command to make an authority with")
        self._folder = folder
        self.file, self._key = folder / "ca.pem", folder / "ca.key"
        _openssl(
            "req", "-x509", *_KEY, "-days", "2", "-subj", "/CN=Our Authority", "-keyout", self._key, "-out", self.file
        )

    def signed(self, names: str, *, dates: tuple[str, ...] = ("-days", "2")) -> Certificate:
        """A certificate of `names`, as subjectAltName has them (`DNS:localhost`)."""
        stem = self._folder / f"{len(list(self._folder.iterdir()))}"
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        made = Certificate(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        extensions.write_text(f"subjectAltName={names}\n")
        _openssl("req", *_KEY, "-subj", "/CN=server", "-keyout", made.key, "-out", request)
        signing = ("-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, *signing, *dates, "-out", made.file)
        return made


@contextlib.contextmanager
def tls_in_front(port: int, certificate: Certificate) -> Iterator[int]:
    """A port that speaks TLS and passes everything on to `port`, both on loopback."""
    context = certificate.context()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    outside, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(outside,), daemon=True).start()

        def serve(outside: socket.socket) -> None:
            with (
                contextlib.suppress(OSError),
                outside,
                context.wrap_socket(outside, server_side=True) as plain,
                socket.create_connection(("127.0.0.1", port)) as inside,
            ):
                back = threading.Thread(target=_pass_on, args=(inside, plain), daemon=True)
                back.start()
                _pass_on(plain, inside)
                back.join()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)
