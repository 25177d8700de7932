"""A real HTTP server with the documented shape of Grafana's /api/annotations."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "a-token-of-these-tests"


class Grafana(ThreadingHTTPServer):
    """Keeps annotations, as https://grafana.com/docs/grafana/latest/developers/http_api/annotations/ has it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Api)
        self.annotations: list[dict[str, Any]] = []
        self.requests = 0
        self.failures = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Api(BaseHTTPRequestHandler):
    server: Grafana

    def do_GET(self) -> None:
        if self._let_in("GET"):
            asked = parse_qs(urlsplit(self.path).query)
            found = [one for one in self.server.annotations if set(asked.get("tags", [])) <= set(one["tags"])]
            self._answer(200, found[: int(asked.get("limit", ["100"])[0])])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._let_in("POST"):
            annotation = json.loads(body)
            assert {"time", "text", "tags"} <= set(annotation)
            annotation["id"] = len(self.server.annotations) + 1
            self.server.annotations.append(annotation)
            self._answer(200, {"message": "Annotation added", "id": annotation["id"]})

    def _let_in(self, method: str) -> bool:
        self.server.requests += 1
        if self.server.failures:
            self.server.failures -= 1
            self._answer(502, {"message": "Bad gateway"})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Invalid API key"})
        elif urlsplit(self.path).path != "/api/annotations":
            self._answer(404, {"message": "Not found"})
        else:
            return True
        return False

    def _answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Grafana]:
    server = Grafana()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
