"""Refreshing Apple's relay list: from a server on loopback, which answers well, badly or not at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agents.judge import relay_refresh as relay
from agents.judge.judge import Judge
from agents.judge.relay_refresh import RelayRefresher, cached_relay_list
from agents.runtime.metrics import RELAY_PREFIXES, RELAY_REFRESHES
from decisions.robots.relay import RelayList
from decisions.robots.rules import Rules
from schemas.errors import Retry
from schemas.events import Opened, lines
from schemas.settings import Settings, load
from schemas.topics import HITS
from stream.records import Record
from tests.support.processes import free_port
from tests.support.stream import a_hit
from tests.support.waiting import wait_until

FIRST = b"198.51.100.0/24,US,US-CA,Anytown,\n2a02:26f7:1::/64,US,US-CA,Anytown,\n"
SECOND = FIRST + b"203.0.113.0/24,GB,GB-EN,Anywhere,\n"


class Apple(ThreadingHTTPServer):
    """Serves `text`, conditionally; `status` other than 200 fails, `promised` lies about the length."""

    daemon_threads = True
    text, status, promised, etag = FIRST, 200, 0, '"1"'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/egress-ip-ranges.csv"


class _Answer(BaseHTTPRequestHandler):
    server: Apple

    def do_GET(self) -> None:
        apple = self.server
        apple.asked.append({name.lower(): value for name, value in self.headers.items()})
        unchanged = self.headers.get("If-None-Match") == apple.etag and apple.status == 200
        self.send_response(304 if unchanged else apple.status)
        if unchanged:
            self.end_headers()
            return
        self.send_header("ETag", apple.etag)
        self.send_header("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT")
        self.send_header("Content-Length", str(apple.promised or len(apple.text)))
        self.end_headers()
        self.wfile.write(apple.text)

    def log_message(self, *_: object) -> None:
        """Says nothing on stderr."""


@pytest.fixture
def apple() -> Iterator[Apple]:
    server = Apple()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def settings_of(folder: Path, url: str, hours: float = 24.0) -> Settings:
    return load(data_dir=folder, relay_list_url=url, relay_list_hours=hours)


def counted(result: str) -> float:
    return RELAY_REFRESHES.labels(result)._value.get()


def test_a_list_is_fetched_used_kept_and_asked_for_conditionally(apple: Apple, tmp_path: Path) -> None:
    used: list[RelayList] = []
    refresh = RelayRefresher(settings_of(tmp_path, apple.url), used.append)
    assert [refresh.once(), refresh.once()] == ["new", "unchanged"]
    assert apple.asked[1]["if-none-match"] == '"1"'
    assert apple.asked[1]["if-modified-since"] == "Mon, 02 Nov 2026 10:00:00 GMT"
    apple.text, apple.etag = SECOND, '"2"'
    assert refresh.once() == "new"
    assert [one.name for one in used] == [RelayList.parse(FIRST).name, RelayList.parse(SECOND).name]
    assert RELAY_PREFIXES._value.get() == 3
    assert [path.name for path in tmp_path.glob("relay*")] == ["relay-list.json"]
    found = cached_relay_list(settings_of(tmp_path, apple.url))
    assert found is not None
    assert found[1].name == used[-1].name


def test_the_same_addresses_in_another_text_are_no_new_list(apple: Apple, tmp_path: Path) -> None:
    used: list[RelayList] = []
    refresh = RelayRefresher(settings_of(tmp_path, apple.url), used.append)
    refresh.once()
    apple.text, apple.etag = b"# moved\n" + FIRST.replace(b"Anytown", b"Elsewhere"), '"2"'
    assert refresh.once() == "unchanged"
    assert len(used) == 1


@pytest.mark.parametrize(
    ("text", "status", "promised", "result"),
    [
        (b"", 200, 0, "refused"),
        (b"<html>Sign in to the network</html>", 200, 0, "refused"),
        (FIRST[: FIRST.index(b"\n") + 1], 200, 0, "refused"),  # IPv6 is gone
        (FIRST, 200, len(FIRST) + 9, "failed"),  # cut off
        (FIRST, 503, 0, "failed"),
    ],
)
def test_a_bad_answer_leaves_the_list_in_use_and_on_disk(
    apple: Apple, tmp_path: Path, text: bytes, status: int, promised: int, result: str
) -> None:
    used: list[RelayList] = []
    refresh = RelayRefresher(settings_of(tmp_path, apple.url), used.append)
    refresh.once()
    on_disk, before = (tmp_path / "relay-list.json").read_bytes(), counted(result)
    apple.text, apple.status, apple.promised, apple.etag = text, status, promised, '"2"'
    assert refresh.once() == result
    assert counted(result) == before + 1
    assert len(used) == 1
    assert (tmp_path / "relay-list.json").read_bytes() == on_disk


def test_an_answer_without_end_is_given_up(apple: Apple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_MOST_BYTES", 1 << 16)
    apple.text = FIRST * 2_000
    assert RelayRefresher(settings_of(tmp_path, apple.url), lambda _: None).once() == "refused"


def test_a_server_that_is_away_fails_nothing(tmp_path: Path) -> None:
    refresh = RelayRefresher(settings_of(tmp_path, f"http://127.0.0.1:{free_port()}/"), lambda _: None)
    assert refresh.once() == "failed"


def test_a_restart_without_a_network_uses_the_last_good_list(apple: Apple, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, apple.url)
    RelayRefresher(settings, lambda _: None).once()
    apple.status = 503
    used: list[RelayList] = []
    again = RelayRefresher(settings, used.append)
    again.start()
    again.stop()
    assert [one.name for one in used] == [RelayList.parse(FIRST).name]
    assert len(apple.asked) == 1  # it is a day until it is due


@pytest.mark.parametrize("damage", [b"", b"{", b'{"url":1}', b"\xff"])
def test_a_damaged_file_is_fetched_again(apple: Apple, tmp_path: Path, damage: bytes) -> None:
    settings = settings_of(tmp_path, apple.url)
    (tmp_path / "relay-list.json").write_bytes(damage)
    assert cached_relay_list(settings) is None
    refreshed = RelayRefresher(settings, lambda _: None)
    refreshed.start()
    wait_until(lambda: cached_relay_list(settings) is not None, 10, "the new file")
    refreshed.stop()


def test_another_url_does_not_use_what_the_first_one_gave(apple: Apple, tmp_path: Path) -> None:
    RelayRefresher(settings_of(tmp_path, apple.url), lambda _: None).once()
    assert cached_relay_list(settings_of(tmp_path, "http://127.0.0.1:1/")) is None


async def test_the_judge_takes_the_list_between_records_while_it_runs(
    apple: Apple, tmp_path: Path, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = Judge(settings_of(tmp_path, apple.url, hours=0.001), rules)
    hit = a_hit("lead-1", user_agent="Mozilla/5.0", ip="203.0.113.9")

    async def known(_: object) -> None:
        """The deliveries and clicks of other processes are no part of this."""

    monkeypatch.setattr(judge, "_know_deliveries", known)
    monkeypatch.setattr(judge, "_know_clicks_before", known)
    monkeypatch.setattr(judge._deliveries, "start", lambda: None)
    monkeypatch.setattr(judge._deliveries, "stop", lambda: None)

    async def judged() -> Opened:
        from msgspec.json import decode

        record = Record(HITS, 0, 0, b"", lines([hit]), time.time())
        (out,) = (await judge.handle([record])).out
        return decode(out.value, type=Opened)

    async def write(_: object) -> None:
        raise Retry("the judge writes nothing of its own accord")

    assert (await judged()).rules_version == rules.version
    await judge.start(write)
    wait_until(lambda: judge._rules is not rules, 10, "the first list")
    event = await judged()
    assert (event.verdict, event.reason) == ("bot", "bare-mozilla")
    assert event.rules_version == f"{rules.version}+{RelayList.parse(FIRST).name}"
    apple.text, apple.etag, first = SECOND, '"2"', judge._rules
    wait_until(lambda: judge._rules is not first, 20, "the second list")
    event = await judged()
    assert (event.verdict, event.reason) == ("machine", "apple-privacy")
    assert event.rules_version == f"{rules.version}+{RelayList.parse(SECOND).name}"
    await judge.stop()


def test_one_machine_asks_nobody_outside_unless_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENDLENS_RELAY_LIST_URL")
    assert load(data_dir=tmp_path).relay_list_url == ""
    assert load(data_dir=tmp_path, relay_list_url="http://127.0.0.1:1/").relay_list_url == "http://127.0.0.1:1/"
    cluster = load(mode="cluster", token_keys="1:0123456789abcdef0123456789abcdef", api_key="k" * 22, data_dir=tmp_path)
    assert cluster.relay_list_url == "https://mask-api.icloud.com/egress-ip-ranges.csv"
