"""No line of an answer's head is written from outside: CR LF in paths, tokens, links and `next`, spoken over raw sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dashboards.page.page import router
from ingest.app import create_app
from schemas import senders
from schemas.keys import new_key
from schemas.settings import Settings
from schemas.tokens import Purpose
from tests.ingest.conftest import settings_in
from tests.ingest.room import CLAIM, PATIENCE, add_link
from tests.ingest.served_process import served as served_by_granian
from tests.support.broker import Broker, create_topics
from tests.support.served import served as served_by_uvicorn

INJECTED = "Set-Cookie: injected=1"
SPLITS = (
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\nHTTP/1.1 200 OK\r\n",
    "%0d%0a",
    "%0D%0A%0D%0A",
    "%250d%250a",
    "%E5%98%8A%E5%98%8D",  # its low bytes are LF and CR, for whoever cuts characters
    "\u560a\u560d",
    "%u000d%u000a",
    "\x85",
    "\u2028",
)
LINKS = tuple(f"https://example.com/{split}{INJECTED}" for split in SPLITS)


@pytest.fixture(scope="module")
def settings(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = settings_in(tmp_path_factory.mktemp("redirects"), broker.bootstrap, api_key=new_key()[0])
    create_topics(settings)
    for link in LINKS:
        add_link(settings, link)
    return settings


@pytest.fixture(scope="module")
def port(settings: Settings) -> Iterator[int]:
    """Ingest as it is served: by Granian."""
    with served_by_granian(settings) as (url, _):
        yield int(url.rpartition(":")[2])


def ask(port: int, target: str, *headers: str, method: str = "GET", body: str = "") -> list[str]:
    """The lines of the answer's head, and a check that there is one answer."""
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", f"Content-Length: {len(body)}"]
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as wire:
        wire.sendall("\r\n".join([*lines, *headers, "", body]).encode("utf-8", "surrogateescape"))
        answer = b""
        while part := wire.recv(65536):
            answer += part
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.")
    assert not rest.startswith(b"HTTP/")
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r" not in head.replace(b"\r\n", b"")
    return head.decode("latin-1").split("\r\n")


def written(head: list[str]) -> list[str]:
    """Headers that were written from outside."""
    return [line for line in head if line.lower().startswith("set-cookie: injected")]


def percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize("link", LINKS, ids=ascii)
def test_a_link_with_a_line_end_in_it_leads_nowhere_and_any_other_stays_one_line(
    settings: Settings, port: int, link: str
) -> None:
    token = settings.keyring.sign(Purpose.CLICK, CLAIM)
    head = ask(port, f"/c/{token}/{settings.keyring.link_id(CLAIM.campaign, link)}")
    leads = [line for line in head if line.lower().startswith("location:")]
    assert written(head) == []
    if any(one in link for one in "\r\n "):
        assert (head[0].split()[1], leads) == ("404", [])


@pytest.mark.parametrize("split", SPLITS, ids=ascii)
def test_no_path_writes_a_header(settings: Settings, port: int, split: str) -> None:
    token = settings.keyring.sign(Purpose.CLICK, CLAIM)
    said = percent(f"{split}{INJECTED}")
    for target in (
        f"/c/{token}/{said}",
        f"/c/{token}{said}/x",
        f"/c/{said}/x",
        f"/o/{token}.gif{said}",
        f"/u/{said}",
        f"/v1/campaigns/{said}",
        f"/{said}",
        f"/docs?{said}",
    ):
        assert written(ask(port, target)) == [], target


@pytest.mark.parametrize("split", SPLITS, ids=ascii)
def test_the_way_back_after_the_login_stays_one_line_and_on_this_site(settings: Settings, split: str) -> None:
    said = percent(f"?x={split}{INJECTED}")
    with served_by_uvicorn(create_app(settings, senders.load(settings), router(settings))) as url:
        port = int(url.rpartition(":")[2])
        asked = ask(port, f"/?x={percent(split + INJECTED)}", "Accept: text/html")
        assert written(asked) == []
        for next_ in (
            said,
            percent("//elsewhere.example/"),
            percent("https://elsewhere.example/"),
            percent("?/../\\\\x"),
        ):
            body = f"key={settings.api_key}"
            form = "Content-Type: application/x-www-form-urlencoded"
            head = ask(port, f"/login?next={next_}", form, method="POST", body=body)
            assert written(head) == []
            leads = [line.partition(": ")[2] for line in head if line.lower().startswith("location:")]
            assert leads, head
            assert all(lead.startswith("./") and not lead.startswith(".//") for lead in leads)
