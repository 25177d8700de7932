"""A page of another site gets nothing: by its own name for this machine, by a visitor's browser, by a form.

Decided in process for each case, and tried in Chromium with a page that tries all it can.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from schemas.tokens import Purpose
from schemas.topics import CAMPAIGNS, PAUSES, SENDS, WEBHOOKS
from tests.ingest.api.test_sends import CAMPAIGN, a_send
from tests.ingest.room import Room, put, records
from tests.security.front import BEARER, KEY, over_http, room, settings_of
from tests.support.broker import Broker
from tests.support.browser import CHROMIUM, chromium

PUBLIC = "https://t.example.com"
EVIL = "evil.example"
OURS = ("/", "/v1/campaigns/spring", "/v1/export?table=emails&format=csv", "/docs", "/openapi.json", "/metrics",
        "/boards/overview.json", "/static/app.js", "/docs/swagger-ui.css", "/nowhere")  # fmt: skip
WRITES = ("/v1/campaigns", "/v1/sends", "/v1/campaigns/spring/pause", "/v1/campaigns/spring/resume", "/v1/webhooks",
          "/v1/instrument", "/v1/events", "/login", "/logout")  # fmt: skip
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
OTHER_HOSTS = (
    EVIL, f"{EVIL}:8080", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1", "0.0.0.0", "", "::1",
    "a@127.0.0.1", "127.0.0.1@evil.example", "127.0.0.1/evil.example", "[::1", "t.example.com.evil.example", "2130706433",
    "localhost:x",
)  # fmt: skip
OTHER_SITES: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "whatever-comes-next"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1:3000"},
    {"Origin": "http://localhost"},
    {"Origin": "http://t.example.com:3000"},
    {"Origin": "chrome-extension://127.0.0.1"},
    {"Origin": "http://127.0.0.1@evil.example"},
    {"Sec-Fetch-Site": "none", "Origin": "http://evil.example"},
    LINK,
)
OUR_SITE: tuple[dict[str, str], ...] = (
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:80"},
    {"Origin": PUBLIC},
    {"Origin": f"{PUBLIC}:443"},
)
NO_JSON = (
    "", "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "application/jsonp", "application/json-patch+json", "text/plain, application/json", "*/*",
)  # fmt: skip


@pytest.fixture
async def open_room(tmp_path: Path, broker: Broker) -> AsyncIterator[Room]:
    """No key is set, as with `make up`."""
    async with room(tmp_path, broker, public_url=PUBLIC) as there:
        yield there


@pytest.fixture
async def keyed_room(tmp_path: Path, broker: Broker) -> AsyncIterator[Room]:
    async with room(tmp_path, broker, public_url=PUBLIC, api_key=KEY) as there:
        yield there


async def test_without_a_key_another_name_for_this_machine_is_not_answered(open_room: Room) -> None:
    for host in OTHER_HOSTS:
        for path in OURS:
            refused = await open_room.client.get(path, headers={"Host": host})
            assert (refused.status_code, refused.json()["reason"]) == (421, "host"), (host, path)
        refused = await open_room.client.post("/v1/campaigns", json=CAMPAIGN, headers={"Host": host})
        assert refused.status_code == 421, host
    assert records(open_room.settings, CAMPAIGNS) == []


async def test_without_a_key_a_request_of_no_name_or_two_is_not_answered(open_room: Room) -> None:
    for headers in ([], [(b"host", b"127.0.0.1"), (b"host", b"evil.example")]):
        assert (await open_room.ask("/v1/campaigns/spring", headers=headers)).status == 421


async def test_this_machine_and_the_public_name_are_answered(open_room: Room) -> None:
    for host in ("127.0.0.1:8080", "localhost", "LOCALHOST:9", "[::1]:8080", "127.7.7.7", "t.example.com"):
        assert (await open_room.client.get("/", headers={"Host": host})).status_code == 200, host
        assert (await open_room.client.get("/v1/campaigns/spring", headers={"Host": host})).status_code == 404, host


async def test_with_a_key_any_name_is_answered_because_the_key_decides(keyed_room: Room) -> None:
    answer = await keyed_room.client.get("/v1/campaigns/spring", headers={"Host": "inside.example", **BEARER})
    assert answer.status_code == 404


async def test_no_write_and_no_number_is_had_by_another_sites_page(open_room: Room) -> None:
    for said in OTHER_SITES:
        for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded", ""):
            headers = said | ({"Content-Type": kind} if kind else {})
            for path in WRITES:
                refused = await open_room.client.post(path, content=b"{}" if kind else b"", headers=headers)
                assert (refused.status_code, refused.json()["reason"]) == (403, "cross-site"), (headers, path)
        for path in set(OURS) - {"/", "/docs"}:
            assert (await open_room.client.get(path, headers=said)).status_code == 403, (said, path)
        assert (await open_room.client.delete("/v1/webhooks/x", headers=said)).status_code == 403, said


async def test_a_key_changes_nothing_of_that(keyed_room: Room) -> None:
    """A browser that was logged in, or that a script was given a key for."""
    for said in OTHER_SITES:
        login = await keyed_room.client.post("/login", data={"key": KEY}, headers=said)
        assert (login.status_code, "set-cookie" in login.headers) == (403, False), said
    inside = await keyed_room.client.post("/login", data={"key": KEY})
    assert inside.status_code == 303
    assert "samesite=lax" in inside.headers["set-cookie"].lower()
    for said in OTHER_SITES:
        assert (await keyed_room.client.post("/logout", headers=said)).status_code == 403, said
        refused = await keyed_room.client.post("/v1/campaigns", json=CAMPAIGN, headers=said | BEARER)
        assert refused.status_code == 403, said
    # The cookie is for looking: `/v1` does not know it.
    assert (await keyed_room.client.post("/v1/campaigns", json=CAMPAIGN)).status_code == 401
    assert records(keyed_room.settings, CAMPAIGNS) == []


async def test_programs_and_our_own_page_get_in(open_room: Room) -> None:
    for said in OUR_SITE:
        declared = await open_room.client.post("/v1/campaigns", json=CAMPAIGN, headers=said)
        assert declared.status_code in (200, 201), said
        assert (await open_room.client.get("/v1/campaigns/spring", headers=said)).status_code == 200, said


async def test_a_link_to_a_page_may_be_followed_from_anywhere_and_to_nothing_else(open_room: Room) -> None:
    for path in ("/?board=ab", "/login", "/docs"):
        assert (await open_room.client.get(path, headers=LINK)).status_code == 200
        for other in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "object"}, {"Sec-Fetch-Mode": "no-cors"}):
            assert (await open_room.client.get(path, headers=LINK | other)).status_code == 403
    assert (await open_room.client.get("/v1/export?table=emails", headers=LINK)).status_code == 403


async def test_every_page_of_ours_may_load_its_own_scripts_and_nothing_else(open_room: Room) -> None:
    for path in ("/", "/login", "/docs", "/static/app.js", "/docs/swagger-ui-bundle.js", "/docs/start.js"):
        headers = (await open_room.client.get(path)).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        scripts = policy.get("script-src", policy["default-src"])
        assert scripts == "'self'", path
        for of in ("frame-ancestors", "base-uri"):
            assert policy[of] == "'none'", path
        assert headers["referrer-policy"] in ("no-referrer", "same-origin")
        assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_nothing_of_ours_is_for_other_sites_to_embed(open_room: Room) -> None:
    for path in OURS:
        headers = (await open_room.client.get(path)).headers
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


async def test_every_write_says_that_it_is_json(open_room: Room, keyed_room: Room) -> None:
    async def chunked() -> AsyncIterator[bytes]:
        yield b'{"id": "x", "name": "x"}'

    for there in (open_room, keyed_room):
        for kind in NO_JSON:
            headers = BEARER | ({"Content-Type": kind} if kind else {})
            for path in WRITES[:-2]:
                for body in (b'{"id": "x"}', chunked()):
                    refused = await there.client.post(path, content=body, headers=headers)
                    assert (refused.status_code, refused.json()["reason"]) == (415, "content-type"), (kind, path)
                    assert refused.headers["accept"] == "application/json"
        assert records(there.settings, CAMPAIGNS) == []


async def test_json_may_name_its_coding_and_a_write_without_a_body_needs_no_type(open_room: Room) -> None:
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}
    body = b'{"id": "spring", "name": "Spring"}'
    assert (await open_room.client.post("/v1/campaigns", content=body, headers=kind)).status_code == 201
    assert (await open_room.client.post("/v1/campaigns/spring/pause")).status_code == 200


async def test_recipients_paths_and_probes_are_open_to_all(open_room: Room) -> None:
    anywhere = {"Host": "t.other.example", "Sec-Fetch-Site": "cross-site", "Origin": "https://mail.example"}
    client, token = open_room.client, open_room.token(Purpose.UNSUBSCRIBE)
    assert (await client.get(f"/o/{open_room.token(Purpose.OPEN)}.gif", headers=anywhere)).status_code == 200
    assert (await client.get(f"/u/{token}", headers=anywhere)).status_code == 200
    done = await client.post(f"/u/{token}", data={"List-Unsubscribe": "One-Click"}, headers=anywhere)
    assert done.status_code == 200
    for path in ("/healthz", "/readyz"):
        assert (await client.get(path, headers=anywhere)).status_code == 200


ATTACK = """<!doctype html><script>
const at = "AT", outcomes = [];
const bodies = {
  "/v1/campaigns": '{"id": "taken", "name": "Taken"}',
  "/v1/sends": JSON.stringify({sends: [SEND]}),
  "/v1/campaigns/spring/pause": "{}",
  "/v1/webhooks": '{"url": "https://evil.example/in"}',
};
const kinds = ["text/plain", "application/x-www-form-urlencoded", "application/json"];
const attack = async () => {
  for (const [path, body] of Object.entries(bodies)) {
    for (const kind of kinds) for (const mode of ["no-cors", "cors"]) {
      if (kind === "application/json" && mode === "no-cors") continue;
      await fetch(at + path, {method: "POST", mode, body, credentials: "include", headers: {"Content-Type": kind}})
        .then((answer) => outcomes.push(answer.type), () => outcomes.push("failed"));
    }
    navigator.sendBeacon(at + path, new Blob([body], {type: "text/plain"}));
    await fetch(at + path, {method: "POST", mode: "no-cors"}).catch(() => {});
    const frame = document.body.appendChild(document.createElement("iframe"));
    frame.name = path;
    const form = document.body.appendChild(document.createElement("form"));
    Object.assign(form, {action: at + path, method: "post", enctype: "text/plain", target: path});
    const field = form.appendChild(document.createElement("input"));
    field.name = body.slice(0, -1) + ', "x": "';
    field.value = '"}';
    await new Promise((done) => { frame.onload = done; form.submit(); setTimeout(done, 1000); });
  }
  for (const path of ["/v1/campaigns/spring", "/openapi.json", "/metrics", "/"]) {
    await fetch(at + path).then((answer) => answer.text()).then((text) => outcomes.push("read " + path), () => {});
    await new Promise((done) => {
      const image = new Image();
      image.onload = () => { outcomes.push("shown " + path); done(); };
      image.onerror = done;
      image.src = at + path;
    });
  }
  return outcomes;
};
</script><body><a id="link" href="AT/docs">docs</a></body>"""


@contextmanager
def a_site(html: str) -> Iterator[int]:
    """Somebody's web server with one page; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
def test_in_a_browser_a_page_of_another_site_gets_nothing_and_ours_all(tmp_path: Path, broker: Broker) -> None:
    settings = settings_of(tmp_path, broker)
    put(settings, CAMPAIGNS, "spring", b'{"id":"spring","name":"Spring","created_at":"2026-01-01T00:00:00Z"}')
    before = len(records(settings, CAMPAIGNS))
    # Every name leads to this machine, as an attacker's name server would have it.
    with over_http(settings) as url, chromium(f"--host-resolver-rules=MAP {EVIL} 127.0.0.1") as browser:
        port = url.rpartition(":")[2]
        # Another site, another port of one that is nearly ours, and a name that leads to us.
        for name, at in ((EVIL, url), ("localhost", f"http://localhost:{port}"), (EVIL, f"http://{EVIL}:{port}")):
            html = ATTACK.replace("AT", at).replace("SEND", httpx.Response(200, json=a_send()).text)
            with a_site(html) as theirs:
                page = browser.page()
                page.open(f"http://{name}:{theirs}/")
                page.wait("typeof attack === 'function' && document.querySelector('#link')")
                outcomes = page.value("attack()")
                assert set(outcomes) <= {"failed", "opaque"}, outcomes
                page.close()
        assert len(records(settings, CAMPAIGNS)) == before
        for topic in (SENDS, PAUSES, WEBHOOKS):
            assert records(settings, topic) == []

        rebound = browser.page()
        rebound.open(f"http://{EVIL}:{port}/")
        rebound.wait("document.body.innerText.includes('SENDLENS_PUBLIC_URL')")
        rebound.close()
        with a_site(ATTACK.replace("AT", url).replace("SEND", "{}")) as theirs:
            page = browser.page()
            page.open(f"http://{EVIL}:{theirs}/")
            page.wait("document.querySelector('#link')")
            page.click("#link")
            page.wait(f"location.href === '{url}/docs' && document.querySelector('.opblock')")
            assert page.errors == []  # neither its scripts nor its styles are stopped by its own policy
            json = "{method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{\"id\": \"ours\", \"name\": \"Ours\"}'}"
            assert page.value(f"fetch('/v1/campaigns', {json}).then((answer) => answer.status)") == 201
            page.close()
