"""The examples of docs/webhook-examples.md, as they stand there: signed events in, the vendors' documented requests out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from decisions.effects.webhook_messages import report, signed
from schemas.events import Replied, lines
from tests.support.processes import ROOT, free_port
from tests.support.waiting import wait_until

KEY = b"a key of these tests, 32 bytes.."
SECRET = "whsec_YSBrZXkgb2YgdGhlc2UgdGVzdHMsIDMyIGJ5dGVzLi4="
TO = "ada+crm@example.com"


def an_event(n: int = 1) -> tuple[str, bytes]:
    """A reply as an endpoint that asked for `to` is told of it: its id, and the payload."""
    event = Replied(
        id=f"00000000-0000-4000-8000-{n:012}", at=datetime(2026, 3, 2, 9, tzinfo=UTC), delivery_id="0" * 36, campaign="spring",
        step=1, variant="A", lead="lead-7", sender="news@example.com", message_id="m", matched_by="in-reply-to", text="Yes, <please>!",
        from_address="ada@example.net",
    )  # fmt: skip
    told = report(lines([event]))
    return told.id, told.body(TO)


class Crm:
    """Stands in for a vendor: answers what `answers` says by method and path, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: dict[tuple[str, str], tuple[int, Any]] = {}
        self.url = ""

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        self.asked.append((method, target, headers, json.loads(body) if body else None))
        return self.answers.get((method, urlsplit(target).path), (404, {"message": "resource not found"}))


@pytest.fixture
def crm() -> Iterator[Crm]:
    stand_in = Crm()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, answer = stand_in.answer(self.command, self.path, headers, body)
            said = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield stand_in
    server.shutdown()
    server.server_close()
    thread.join(5)


@contextmanager
def the_receiver(folder: Path, **environment: str) -> Iterator[str]:
    """The program, running; where it is."""
    port = free_port()
    given = {"PATH": os.environ["PATH"], "PORT": str(port), "WEBHOOK_SECRET": SECRET, "SEEN": str(folder / "seen.db")}
    running = subprocess.Popen(
        [sys.executable, str(ROOT / "docs" / "examples" / "receiver.py")], env=given | environment, cwd=folder
    )
    try:
        url = f"http://127.0.0.1:{port}/sendlens"
        wait_until(lambda: post(url, "x", b"{}", signature="v1,none") == 401, 20, "the receiver")
        yield url
    finally:
        running.kill()
        running.wait(10)


def post(url: str, id_: str, body: bytes, signature: str = "") -> int:
    """The status of the answer, 0 where there is none."""
    headers = signed([KEY], id_, datetime.now(UTC), body)
    headers |= {"webhook-signature": signature} if signature else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_a_reply_becomes_a_note_at_its_contact_in_hubspot(crm: Crm, tmp_path: Path) -> None:
    crm.answers = {
        ("GET", "/crm/v3/objects/contacts/ada%2Bcrm%40example.com"): (200, {"id": "501", "properties": {}}),
        ("POST", "/crm/v3/objects/notes"): (201, {"id": "9001"}),
    }
    id_, body = an_event()
    with the_receiver(tmp_path, HUBSPOT_TOKEN="pat-test", HUBSPOT_URL=crm.url) as url:
        assert [post(url, id_, body), post(url, id_, body)] == [204, 204]
        assert (
            post(url, id_, body + b" ", signature=signed([KEY], id_, datetime.now(UTC), body)["webhook-signature"])
            == 401
        )
    (_, looked_up, headers, _), (_, path, _, note) = crm.asked
    assert parse_qs(urlsplit(looked_up).query) == {"idProperty": ["email"]}
    assert headers["authorization"] == "Bearer pat-test"
    assert path == "/crm/v3/objects/notes"
    assert note == {
        "properties": {
            "hs_timestamp": "2026-03-02T09:00:00Z",
            "hs_note_body": "reply (in-reply-to) of spring, step 1: Yes, &lt;please&gt;!",
        },
        "associations": [
            {"to": {"id": "501"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 202}]}
        ],
    }


def test_who_is_no_contact_gets_no_note_and_a_crm_that_is_away_is_asked_again(crm: Crm, tmp_path: Path) -> None:
    path = ("GET", "/crm/v3/objects/contacts/ada%2Bcrm%40example.com")
    with the_receiver(tmp_path, HUBSPOT_TOKEN="pat-test", HUBSPOT_URL=crm.url) as url:
        assert post(url, *an_event(1)) == 204
        crm.answers = {path: (429, {})}
        assert post(url, *an_event(2)) == 502
        crm.answers = {path: (200, {"id": "501"}), ("POST", "/crm/v3/objects/notes"): (201, {"id": "1"})}
        assert post(url, *an_event(2)) == 204
    assert [method for method, *_ in crm.asked] == ["GET", "GET", "GET", "POST"]


def test_a_reply_becomes_a_note_at_its_person_in_pipedrive(crm: Crm, tmp_path: Path) -> None:
    crm.answers = {
        ("GET", "/api/v2/persons/search"): (200, {"success": True, "data": {"items": [{"item": {"id": 77}}]}}),
        ("POST", "/api/v1/notes"): (201, {"success": True, "data": {"id": 1}}),
    }
    with the_receiver(tmp_path, PIPEDRIVE_TOKEN="token-test", PIPEDRIVE_URL=crm.url) as url:
        assert post(url, *an_event()) == 204
        crm.answers[("GET", "/api/v2/persons/search")] = (200, {"success": True, "data": {"items": []}})
        assert post(url, *an_event(2)) == 204
    (_, searched, headers, _), (_, path, _, note), _ = crm.asked
    assert parse_qs(urlsplit(searched).query) == {"term": [TO], "fields": ["email"], "exact_match": ["true"]}
    assert headers["x-api-token"] == "token-test"
    assert path == "/api/v1/notes"
    assert note == {"person_id": 77, "content": "reply (in-reply-to) of spring, step 1: Yes, &lt;please&gt;!"}


# As n8n runs a Code node: the code is the body of an async function with these names in reach.
_AS_N8N = """
const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const run = Object.getPrototypeOf(async () => {}).constructor('$input', '$env', 'require', given.code);
const self = { helpers: { getBinaryDataBuffer: async () => Buffer.from(given.raw, 'base64') } };
run.call(self, { first: () => ({ json: { headers: given.headers } }) }, { WEBHOOK_SECRET: given.secret }, require)
  .then((items) => console.log(JSON.stringify(items)), (error) => { console.error(error.message); process.exit(3); });
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here: on Debian, apt-get install nodejs")
def test_n8n_hands_on_what_is_signed_and_nothing_else() -> None:
    flow = json.loads((ROOT / "docs" / "examples" / "n8n.json").read_text())
    webhook, verify = flow["nodes"]
    assert (webhook["type"], webhook["parameters"]["options"]) == ("n8n-nodes-base.webhook", {"rawBody": True})
    assert verify["type"] == "n8n-nodes-base.code"
    assert flow["connections"][webhook["name"]]["main"][0][0]["node"] == verify["name"]

    def run(headers: dict[str, str], body: bytes) -> subprocess.CompletedProcess[str]:
        import base64

        given = {"code": verify["parameters"]["jsCode"], "headers": headers, "secret": SECRET, "raw": base64.b64encode(body).decode()}  # fmt: skip
        return subprocess.run(
            ["node", "-e", _AS_N8N], input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False
        )

    id_, body = an_event()
    headers = signed([b"an older key", KEY], id_, datetime.now(UTC), body)
    done = run(headers, body)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [{"json": {"id": id_, **json.loads(body)}}]
    forged = run(headers, body.replace(b"spring", b"autumn"))
    assert (forged.returncode, forged.stderr.strip()) == (3, "the signature is wrong")
    old = run(signed([KEY], id_, datetime(2026, 1, 1, tzinfo=UTC), body), body)
    assert (old.returncode, old.stderr.strip()) == (3, "the webhook is too old")
