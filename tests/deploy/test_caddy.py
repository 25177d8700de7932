"""deploy/Caddyfile: Caddy takes it, has certificates made for our hosts alone, and passes recipients' paths on."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.tokens import Purpose
from tests.ingest.conftest import settings_in
from tests.ingest.room import CLAIM
from tests.ingest.served_process import served
from tests.support.broker import Broker, create_topics, drop_topics
from tests.support.processes import ROOT, free_port
from tests.support.waiting import wait_until

FILE = ROOT / "deploy" / "Caddyfile"
OWN, SHOP, STRANGER = "t.garden.internal", "t.shop.internal", "t.stranger.internal"
PLACEHOLDER = re.compile(r"\{\$([A-Z_]+)(?::[^}]*)?\}")


def caddy() -> str:
    found = shutil.which("caddy")
    if found is None:
        pytest.skip("no caddy here: on Debian, apt-get install caddy")
    return found


def test_its_braces_are_closed_and_it_names_what_it_says_it_does() -> None:
    text = FILE.read_text()
    code = [line.partition("#")[0] for line in text.splitlines() if not line.startswith("#")]
    opened = 0
    for line in code:
        bare = PLACEHOLDER.sub("", line)
        assert not re.search(r"\{\S|\S\{", bare.strip()), "a block's brace stands alone"
        opened += bare.count("{") - bare.count("}")
        assert opened >= 0
        assert line.startswith("\t" * (opened - bare.count("{"))), "tabs, as `caddy fmt` has them"
    assert opened == 0
    explained = set(re.findall(r"^#   ([A-Z_]+) ", text, re.MULTILINE))
    assert {name for line in code for name in PLACEHOLDER.findall(line)} == explained
    assert "/tls/allowed" in text
    assert re.search(r"@recipients path /o/\* /c/\* /u/\*$", text, re.MULTILINE)


def test_caddy_takes_it() -> None:
    done = subprocess.run(
        [caddy(), "validate", "--config", str(FILE), "--adapter", "caddyfile"],
        env={"PUBLIC_HOST": "t.example.com", "HOME": "/nonexistent"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@dataclass
class Front:
    """Caddy in front of an ingest; certificates are its own authority's, whose root is in `ca`."""

    port: int
    ca: Path
    token: str

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    def get(self, host: str, path: str) -> tuple[int, bytes]:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as line,
            self.context().wrap_socket(line, server_hostname=host) as secured,
        ):
            secured.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: secured.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


@pytest.fixture(scope="module")
def front(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    program, folder = caddy(), tmp_path_factory.mktemp("caddy")
    settings = settings_in(
        folder, broker.bootstrap, public_url=f"https://{OWN}", tracking_hosts=SHOP, trusted_proxies="127.0.0.1/32"
    )
    create_topics(settings)
    port, plain = free_port(), free_port()
    options = f"\tadmin off\n\thttps_port {port}\n\thttp_port {plain}\n\tlocal_certs\n\tskip_install_trust\n"
    options += f"\tdefault_bind 127.0.0.1\n\tstorage file_system {folder}\n"
    config = folder / "Caddyfile"
    config.write_text(FILE.read_text().replace("{\n\ton_demand_tls", "{\n" + options + "\ton_demand_tls", 1))
    with served(settings) as (url, _):
        process = subprocess.Popen(
            [program, "run", "--config", str(config), "--adapter", "caddyfile"],
            env={"PUBLIC_HOST": OWN, "INGEST_ADDRESS": url.removeprefix("http://"), "HOME": str(folder)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            ca = folder / "pki" / "authorities" / "local" / "root.crt"
            wait_until(lambda: ca.exists() and _listens(port), 20, "Caddy listens")
            yield Front(port, ca, settings.keyring.sign(Purpose.UNSUBSCRIBE, CLAIM))
        finally:
            process.terminate()
            process.wait(timeout=20)
    drop_topics(settings)


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def test_a_known_domain_gets_a_certificate_and_recipients_paths_and_nothing_else(front: Front) -> None:
    status, pixel = front.get(SHOP, "/o/none.gif")
    assert (status, pixel[:6]) == (200, b"GIF89a")
    assert front.get(SHOP, f"/u/{front.token}")[0] == 200
    for path in ("/", "/v1/campaigns", "/readyz", "/metrics", "/tls/allowed?domain=t.shop.internal"):
        assert front.get(SHOP, path)[0] == 404, path
    assert front.get(OWN, "/readyz")[0] == 200


def test_a_strangers_domain_gets_no_certificate(front: Front) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        front.get(STRANGER, "/o/none.gif")
