"""Nobody writes a line of our logs by what they send, nor anything that a terminal obeys: an entry is a line."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from schemas.settings import Settings
from schemas.tokens import Purpose
from tests.ingest.conftest import settings_in
from tests.ingest.room import CLAIM
from tests.support.broker import Broker, create_topics
from tests.support.processes import ROOT, ClickHouseProcess, free_port, start, start_clickhouse
from tests.support.waiting import wait_until

FORGED = "22:00:00 [info     ] forged"
BREAKS = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1e", "\x85", "\u2028", "\u2029")
STEERING = ("\x1b[2K\x1b[1G", "\x1b]0;title\x07", "\x9b31m", "\x08\x08\x08", "\x00", "\x7f", "\u202e", "\u2066")
WORDS = [f"before{one}{FORGED}" for one in (*BREAKS, *STEERING)]
# What no log may hold, a line's end apart.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

# Each field in which a stranger's text can stand, by our own logger and by a library's.
ENTRIES = """
import json, logging, sys
import structlog
from commands.edge import _log
from schemas.settings import Settings

_log(Settings(_env_file=None, log_format=sys.argv[1]))
ours, library = structlog.get_logger(), logging.getLogger("library")
for word in json.load(sys.stdin):
    ours.warning("entry", word=word, error=repr(ValueError(word)), many=[word], of={word: (word,)}, raw=word.encode())
    ours.warning("entry " + word)
    library.warning("entry %s", word)
    try:
        raise ValueError(word)
    except ValueError:
        ours.exception("entry")
        library.exception("entry %s", word)
"""


def logged(form: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ENTRIES, form],
        input=json.dumps(WORDS), cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


def entries(log: str) -> list[str]:
    """The lines of a log that begin an entry; those of a traceback are indented."""
    assert not OBEYED.search(log), OBEYED.search(log)
    return [line for line in log.split("\n") if line and not line.startswith(" ")]


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_entry_is_a_line_whatever_stands_in_its_fields(form: str) -> None:
    lines = entries(logged(form))
    assert len(lines) == 5 * len(WORDS)
    assert not [line for line in lines if line.startswith(FORGED)]
    if form == "json":
        assert all(json.loads(line) for line in lines if line.startswith("{"))


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    process = start_clickhouse(tmp_path_factory.mktemp("clickhouse") / "data")
    yield process
    process.kill()


def test_what_clients_of_the_database_call_themselves_is_no_line_of_its_log(clickhouse: ClickHouseProcess) -> None:
    for n, word in enumerate(WORDS):
        failing = f"SELECT missing_{n}, '{word}'".encode()
        ask(clickhouse.port, "/", {"query_id": word, "database": word}, failing)
        ask(clickhouse.port, "/", {"query_id": f"{word} {n}"}, failing)
        ask(clickhouse.port, "/", {word: word}, b"SELECT 1", word)
    for word in WORDS[::4]:
        ask(clickhouse.port, "/", {"user": word, "password": word}, b"SELECT 1")
    last = str(uuid4())
    ask(clickhouse.port, "/", {"query_id": last}, b"SELECT missing")
    wait_until(lambda: last in clickhouse.output(), 30, "the last entry")
    lines = entries(clickhouse.log.read_bytes().decode("utf-8"))
    assert [line for line in lines if not line.startswith("clickhouse: ")] == []


@pytest.fixture
def settings(broker: Broker, tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path, broker.bootstrap, ingest_port=free_port(), public_url="http://127.0.0.1")
    create_topics(settings)
    return settings


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_requests_say_is_no_line_of_ingests_log(settings: Settings, tmp_path: Path, form: str) -> None:
    token, port = settings.keyring.sign(Purpose.OPEN, CLAIM), settings.ingest_port
    names = ("kafka", "topic_prefix", "token_keys", "partitions", "data_dir", "ingest_port")
    environment = {f"SENDLENS_{name.upper()}": str(getattr(settings, name)) for name in names}
    process = start(["-m", "sendlens", "ingest"], tmp_path / "log", environment | {"SENDLENS_LOG_FORMAT": form})
    try:
        wait_until(lambda: ready(port), 90, "ingest's readiness")
        for word in WORDS:
            for path in (f"/o/{token}.gif", "/o/x.gif", "/c/x/y", "/u/x", f"/{quote(word)}"):
                ask(port, path, {word: word}, said=word)
            declared = json.dumps({"id": word, "name": word}).encode()
            ask(port, "/v1/campaigns", {}, declared, word)
            ask(port, "/v1/campaigns", {}, declared.replace(word.encode(), b"spring", 1))
            ask(port, f"/v1/campaigns/{quote(word, safe='')}/pause", {}, b"{}")
            ask(port, "/v1/leads/x/timeline", {"cursor": word})
            ask(
                port, "/v1/webhooks", {}, json.dumps({"url": f"https://example.com/{word}", "kinds": ["open"]}).encode()
            )
        ask(port, "/v1/campaigns", {}, b'{"id": "the-last", "name": "x"}')
        wait_until(lambda: "the-last" in process.output(), 30, "the last entry")
    finally:
        process.stop(60)
    lines = entries(process.log.read_bytes().decode("utf-8"))
    # Ours, the server's and libraries': nothing that does not begin as they do.
    ours = re.compile(r"\{\"" if form == "json" else r"\d\d:\d\d:\d\d \[\w+ *\] ")
    theirs = re.compile(r"\[[A-Z]+\] |[A-Z]+ [\w.]+: ")
    assert [line for line in lines if not (ours.match(line) or theirs.match(line)) or line.startswith(FORGED)] == []


def ask(port: int, path: str, params: dict[str, str], body: bytes | None = None, said: str = "x") -> None:
    """One request, with what is said in its headers as it is: no client of ours would send that."""
    clean = said.translate({ord(one): None for one in "\n\r\0"}).encode()
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params.items())
    head = f"{'GET' if body is None else 'POST'} {path}?{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode()
    for name in (b"User-Agent", b"X-Forwarded-For", b"Referer", b"Idempotency-Key", b"Accept-Language"):
        head += name + b": " + clean + b"\r\n"
    head += b"Content-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body or b"")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        wire.sendall(head + (body or b""))
        while wire.recv(65536):
            pass


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False
