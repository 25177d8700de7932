"""What stands before the embedded ClickHouse: Host, pages of other sites, passwords before bodies, and a clean log."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from clickhouse.embedded.http_connection import HttpConnection
from clickhouse.embedded.response import respond
from tests.support.processes import ROOT, ClickHouseProcess, free_port, start_clickhouse
from tests.support.waiting import wait_until

PASSWORD, READER = "the writer's pässword", "the reader's password"
MB = 1 << 20
# What a process may take for its own ends while it refuses; the hostile bodies are many times that.
SLACK = 64 * MB


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseProcess]:
    path = tmp_path_factory.mktemp("doors") / "clickhouse"
    process = start_clickhouse(path, password=PASSWORD, readonly_user="reader", readonly_password=READER)
    yield process
    assert process.stop() == 0, process.output()


@pytest.fixture
def http(server: ClickHouseProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def basic(name: str = "default", password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def ask(server: ClickHouseProcess, headers: list[tuple[bytes, bytes]], target: str = "/?query=SELECT+1") -> bytes:
    """One request of exactly these headers, and the whole answer."""
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
        raw.sendall(b"GET " + target.encode() + b" HTTP/1.1\r\nConnection: close\r\n" + lines + b"\r\n")
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    return answer


LOGIN = (b"Authorization", basic().encode())
OURS = ["127.0.0.1", "localhost", "LocalHost", "127.0.0.1:{port}", "localhost:1", "127.8.9.1", "[::1]", "[::1]:80"]
FOREIGN = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "evil.example#localhost",
    "localhost, evil.example",
    "localhost:80:80",
    "localhost/..",
    "192.0.2.1",
    "0.0.0.0",
    "[::ffff:192.0.2.1]",
    "[::2]",
    "[::1",
    "2130706433",
    "",
]


@pytest.mark.parametrize("host", OURS)
def test_loopbacks_names_are_answered(server: ClickHouseProcess, host: str) -> None:
    answer = ask(server, [(b"Host", host.format(port=server.port).encode()), LOGIN])
    assert answer.startswith(b"HTTP/1.1 200"), answer


@pytest.mark.parametrize("target", ["/?query=SELECT+1", "/ping", "/replicas_status", "/anything"])
@pytest.mark.parametrize("host", FOREIGN)
def test_under_another_name_nothing_is_answered(server: ClickHouseProcess, host: str, target: str) -> None:
    answer = ask(server, [(b"Host", host.format(port=server.port).encode()), LOGIN], target)
    assert answer.startswith(b"HTTP/1.1 403"), answer
    assert b"Code: 497." in answer
    assert b"SENDLENS_CLICKHOUSE_URL" in answer  # what to do


def test_of_two_hosts_none_counts(server: ClickHouseProcess) -> None:
    for hosts in (("localhost", "evil.example"), ("evil.example", "localhost")):
        answer = ask(server, [*((b"Host", host.encode()) for host in hosts), LOGIN])
        assert re.match(rb"HTTP/1.1 40[03]", answer), answer


def test_the_host_it_listens_on_is_its_own(tmp_path: Path) -> None:
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        pytest.skip("this machine's name leads nowhere")
    path, port = tmp_path / "data", free_port()
    program = [sys.executable, "-m", "clickhouse.embedded", "--open"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*program, "--path", str(path), "--port", str(port), "--host", name], cwd=ROOT, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: b"ready on" in (tmp_path / "log").read_bytes(), 60, "ClickHouse")
        for host, status in ((name, 200), (name.upper(), 200), ("evil.example", 403)):
            answer = httpx.get(f"http://{address}:{port}/ping", headers={"Host": f"{host}:{port}"})
            assert answer.status_code == status, host
    finally:
        process.terminate()
        process.wait(30)


CROSS_SITE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "CROSS-SITE"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:3000"},
    {"Origin": "http://localhost:{port}"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:{port}.evil.example"},
    {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"},
    {"Origin": ""},
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
def test_a_page_of_another_site_gets_nothing(
    server: ClickHouseProcess, http: httpx.Client, headers: dict[str, str]
) -> None:
    sent = {name: value.format(port=server.port) for name, value in headers.items()}
    refused = http.post("/", headers=sent | {"Authorization": basic()}, content="SELECT 1")
    assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (403, "497")
    assert http.get("/ping", headers=sent).status_code == 403
    assert http.options("/", headers=sent).status_code == 403


def test_a_page_of_its_own_may_ask(server: ClickHouseProcess, http: httpx.Client) -> None:
    own: list[dict[str, str]] = [{"Sec-Fetch-Site": "none"}, {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}]
    for headers in own:
        assert http.post("/", headers=headers | {"Authorization": basic()}, content="SELECT 1").text == "1\n"


def hostile(kind: str) -> tuple[bytes, bytes]:
    """Content-Type and the beginning of a body that never has to end."""
    head = b'--b\r\nContent-Disposition: form-data; name="x"'
    return {
        "field": (b"multipart/form-data; boundary=b", head + b"\r\n\r\n"),
        "file": (b"multipart/form-data; boundary=b", head + b'; filename="f"\r\n\r\n'),
        "text": (b"text/plain", b"SELECT '"),
    }[kind]


def send_much(server: ClickHouseProcess, login: bytes, kind: str, size: int) -> tuple[bytes, int]:
    """Sends `size` bytes unless the server answers before; its answer, and how many were sent by then."""
    content_type, start = hostile(kind)
    lines = [b"POST / HTTP/1.1", b"Host: localhost", b"Content-Type: " + content_type, b"Authorization: " + login]
    piece = b"y" * MB
    sent, answer = 0, b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
        raw.sendall(b"\r\n".join([*lines, b"Content-Length: %d" % size, b"", b""]) + start)
        raw.settimeout(0.001)
        with contextlib.suppress(ConnectionError):
            while sent < size and not answer:
                with contextlib.suppress(TimeoutError):
                    sent += raw.send(piece)
                with contextlib.suppress(TimeoutError):
                    answer = raw.recv(65536)
            raw.settimeout(60)
            answer = answer or raw.recv(65536)
    return answer, sent


@pytest.mark.parametrize("kind", ["field", "file", "text"])
def test_a_wrong_password_is_refused_before_the_body_is_read(server: ClickHouseProcess, kind: str) -> None:
    before = server.resident_bytes()
    answer, sent = send_much(server, basic(password="wrong").encode(), kind, 600 * MB)
    assert b"x-clickhouse-exception-code: 516\r\n" in answer
    assert sent < 100 * MB, "the answer comes while most of the body is still to come"
    assert server.resident_bytes() - before < SLACK


@pytest.mark.parametrize(("kind", "code"), [("field", b"229"), ("file", b"48"), ("text", b"229")])
def test_who_may_log_in_is_kept_within_bounds_too(server: ClickHouseProcess, kind: str, code: bytes) -> None:
    answer, sent = send_much(server, basic("reader", READER).encode(), kind, 600 * MB)
    assert b"x-clickhouse-exception-code: " + code + b"\r\n" in answer
    assert sent < 100 * MB


HEADS = {
    "a long address": b"GET /?query=",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ",
    "a long name": b"GET / HTTP/1.1\r\nHost: localhost\r\n",
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_without_end_is_not_kept(server: ClickHouseProcess, kind: str) -> None:
    before, sent = server.resident_bytes(), 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as raw:
        raw.sendall(HEADS[kind])
        with contextlib.suppress(ConnectionError):
            while sent < 600 * MB:
                sent += raw.send(b"y" * MB)
    assert sent < 100 * MB
    assert server.resident_bytes() - before < SLACK


def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a first request and of a later one."""
    monkeypatch.setattr(HttpConnection, "head_seconds", 0.05)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await respond(send, 200, {}, b"Ok.\n")

    async def talk() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=HttpConnection, ws="none", lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        for start in (b"", b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nPOST / HT"):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(start)
            answers = await asyncio.wait_for(reader.read(), 30)  # to the end of the connection
            assert answers.count(b"Ok.") == (start.count(b"Length"))
            writer.close()
        server.should_exit = True
        await serving

    asyncio.run(talk())


def test_many_small_fields_are_within_bounds_too(http: httpx.Client) -> None:
    fields = {f"param_p{number}": (None, "x") for number in range(10_001)}
    refused = http.post("/", files=fields, headers={"Authorization": basic()})
    assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (400, "36")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary here"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
    ],
)
def test_a_form_that_is_none_is_the_clients_fault(http: httpx.Client, content_type: str, body: bytes) -> None:
    refused = http.post("/", content=body, headers={"Content-Type": content_type, "Authorization": basic()})
    assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (400, "36")


def test_a_forms_fields_ask_but_log_nobody_in(http: httpx.Client) -> None:
    form = {"query": (None, "SELECT {n:UInt8}, currentUser() != ''"), "param_n": (None, "7")}
    assert http.post("/", files=form, headers={"Authorization": basic()}).text == "7\t1\n"
    login = {"user": (None, "default"), "password": (None, PASSWORD)}
    assert http.post("/", files=form | login).headers["X-ClickHouse-Exception-Code"] == "516"


@pytest.mark.parametrize(
    "header",
    [
        b"Basic \xe9",
        b"Basic \xff\xfe\x00"[:-1],
        b"Basic",
        b"Basic ",
        b"Basic !!!",
        b"Basic a",
        b"Basic " + base64.b64encode(b"\xff\xfe:\xff"),
        b"Basic " + base64.b64encode(b"default"),
        b"Basic " + base64.b64encode(PASSWORD.encode()),
        b"Basic " + base64.b64encode("default:the writer's p\xe4ssword".encode("latin-1")),
        b"\xe9 \xe9",
        b"Bearer " + base64.b64encode(PASSWORD.encode()),
    ],
)
def test_what_is_no_login_is_a_wrong_password(server: ClickHouseProcess, header: bytes) -> None:
    answer = ask(server, [(b"Host", b"localhost"), (b"Authorization", header)])
    assert answer.startswith(b"HTTP/1.1 403"), answer
    assert b"Code: 516." in answer


def test_the_right_password_is_right_by_every_way(server: ClickHouseProcess, http: httpx.Client) -> None:
    assert http.post("/", auth=("default", PASSWORD), content="SELECT 1").text == "1\n"
    assert http.post("/", params={"user": "default", "password": PASSWORD}, content="SELECT 1").text == "1\n"
    key = [(b"X-ClickHouse-User", b"default"), (b"X-ClickHouse-Key", PASSWORD.encode())]
    assert ask(server, [(b"Host", b"localhost"), *key]).startswith(b"HTTP/1.1 200")


def test_wrong_passwords_wait_and_the_right_one_does_not(server: ClickHouseProcess) -> None:
    wrong = 24
    answered: list[str] = []

    def guess(number: int) -> None:
        ask(server, [(b"Host", b"localhost"), (b"Authorization", basic(password=f"guess {number}").encode())])
        answered.append("wrong")

    guesses = [threading.Thread(target=guess, args=(number,)) for number in range(wrong)]
    for thread in guesses:
        thread.start()
    right = ask(server, [(b"Host", b"localhost"), LOGIN])
    answered.append("right")
    for thread in guesses:
        thread.join()
    assert right.startswith(b"HTTP/1.1 200"), "ever so many wrong ones lock nobody out"
    assert answered.index("right") < wrong, "it did not wait behind them"


HOSTILE_IDS = [
    "a\nclickhouse: WARNING query failed code=0",
    "a\r\nX-Evil: 1",
    "\x1b]0;owned\x07",
    "\u2028b",
    "ada@example.com",
    "Ada Lovelace",
]


@pytest.mark.parametrize("query_id", HOSTILE_IDS)
def test_a_query_id_neither_forges_a_line_of_the_log_nor_names_anybody_there(
    server: ClickHouseProcess, http: httpx.Client, query_id: str
) -> None:
    before = len(server.output())
    table = f"t{uuid.uuid4().hex}"
    refused = http.post(
        "/", params={"query_id": query_id}, content=f"SELECT * FROM {table}", headers={"Authorization": basic()}
    )
    assert refused.status_code == 404
    wait_until(lambda: table in server.output()[before:], 10, "the log line")
    (line,) = server.output()[before:].splitlines()
    assert re.fullmatch(r"clickhouse: WARNING query failed code=60 status=404 user=default id=other .*", line)
    assert query_id not in line


def test_a_name_that_is_tried_is_not_logged(server: ClickHouseProcess, http: httpx.Client) -> None:
    before = len(server.output())
    for name in ("ada@example.com", "x\nclickhouse: WARNING forged", "\x1b[2Jx"):
        assert http.post("/", auth=(name, "secret-guess"), content="SELECT 1").status_code == 403
    wait_until(lambda: server.output()[before:].count("\n") >= 3, 10, "the log lines")
    assert set(server.output()[before:].splitlines()) == {
        "clickhouse: WARNING query failed code=516 status=403 user=? id=? "
        "Authentication failed: password is incorrect, or there is no user with such name."
    }


@pytest.mark.parametrize("name", ["query_id", "session_id"])
def test_an_id_has_bounds(http: httpx.Client, name: str) -> None:
    for size, status in ((128, 200), (129, 400)):
        answer = http.post("/", params={name: "x" * size}, content="SELECT 1", headers={"Authorization": basic()})
        assert answer.status_code == status


def test_without_passwords_it_does_not_start(tmp_path: Path) -> None:
    for more in ([], ["--open", "--readonly-user", "reader"]):
        ended = subprocess.run(
            [sys.executable, "-m", "clickhouse.embedded", "--path", str(tmp_path / "data"), *more],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.returncode == 2
        assert "needs a password" in ended.stderr
    assert not (tmp_path / "data").exists()
