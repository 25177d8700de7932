"""An endpoint as a customer has one: a real HTTP server that verifies what it gets with the public library."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError


@dataclass
class Customer:
    """`status` is what it answers; `refuses` are kinds it answers 422. What it took is in `got`, verified or not."""

    port: int
    status: int = 204
    refuses: set[str] = field(default_factory=set)
    secret: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    forged: int = 0
    asked: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        self.asked += 1
        if not 200 <= self.status < 300:
            return self.status
        told = json.loads(body)
        if told["type"] in self.refuses:
            return 422
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.forged += 1
            return 401
        self.got.append(told)
        self.ids.append(headers["webhook-id"])
        return self.status


@dataclass
class Chat:
    """A chat's incoming webhook: `status` is what it answers; what it took is in `got`."""

    url: str = ""
    status: int = 200
    got: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0


@contextmanager
def a_chat() -> Iterator[Chat]:
    """Serve until the block ends, at an address with a secret in it."""
    chat = Chat()

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            chat.asked += 1
            is_right = self.path == "/services/T0/B0/secret" and self.headers["Content-Type"] == "application/json"
            status = chat.status if is_right else 404
            if status == 200:
                chat.got.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/services/T0/B0/secret"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def a_customer(port: int = 0) -> Iterator[Customer]:
    """Serve until the block ends. Port 0 takes a free one."""
    customer = Customer(port)

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = customer.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Take)
    customer.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield customer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
