"""A real OAuth 2.0 authorization server on loopback: refreshing (RFC 6749, 6), with rotation, expiry, revocation and
outages as it is told, and introspection (RFC 7662) for mail servers."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

CLIENT_ID = "the-client-of-the-tests"
CLIENT_SECRET = "the-secret-of-the-client"


@dataclass
class AuthorizationServer:
    """Serves while entered. `rotates`: a refresh token is good once, as RFC 9700 wants of public clients, and used
    twice it takes the whole grant back. Answers of `script` (status, headers, body) are given before anything else."""

    seconds: float = 3600.0  # that an access token lives
    rotates: bool = False
    answer_after: threading.Event | None = None  # an answer waits for it
    script: deque[tuple[int, dict[str, str], bytes]] = field(default_factory=deque)
    requests: list[dict[str, str]] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    introspected: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _owner: dict[str, str] = field(default_factory=dict)  # of each refresh token that is good
    _used: dict[str, str] = field(default_factory=dict)
    _access: dict[str, tuple[str, float]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
                if self.path == "/introspect":
                    answer = server._introspect(form.get("token", ""))
                else:
                    assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
                    answer = server._token(form)
                status, headers, body = answer
                with contextlib.suppress(OSError):  # the client may have given up
                    self.send_response(status)
                    for name, value in (
                        {"Content-Type": "application/json", "Cache-Control": "no-store"} | headers
                    ).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.answer_after is not None:
            self.answer_after.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/token"

    @property
    def introspection(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/introspect"

    def consent(self, owner: str) -> str:
        """The owner of a mailbox consents: a refresh token."""
        with self._lock:
            token = f"refresh.{secrets.token_urlsafe(24)}"
            self._owner[token] = owner
            return token

    def revoke(self, owner: str) -> None:
        """The owner takes it back: neither refresh nor access tokens are good any more."""
        with self._lock:
            self._revoke(owner)

    def revoke_access(self, owner: str) -> None:
        """Access tokens are not good any more; others may be had."""
        with self._lock:
            self._access = {token: entry for token, entry in self._access.items() if entry[0] != owner}

    def owner_of(self, access_token: str) -> str | None:
        """Whose mailbox the token opens now."""
        with self._lock:
            owner, until = self._access.get(access_token, ("", 0.0))
            return owner if time.time() < until else None

    def _revoke(self, owner: str) -> None:
        self._owner = {token: whose for token, whose in self._owner.items() if whose != owner}
        self._access = {token: entry for token, entry in self._access.items() if entry[0] != owner}

    def _token(self, form: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            self.requests.append(form)
            scripted = self.script.popleft() if self.script else None
        self.arrived.set()
        if self.answer_after is not None:
            self.answer_after.wait(30)
        if scripted is not None:
            return scripted
        with self._lock:
            if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
                return _error(401, "invalid_client")
            if form.get("grant_type") != "refresh_token":
                return _error(400, "unsupported_grant_type")
            given = form.get("refresh_token", "")
            if given in self._used:
                self._revoke(self._used[given])
            owner = self._owner.get(given)
            if owner is None:
                return _error(400, "invalid_grant", "AADSTS50173: The grant of somebody@example.com was revoked.")
            answer: dict[str, object] = {"token_type": "Bearer", "expires_in": self.seconds}
            answer["access_token"] = token = f"access.{secrets.token_urlsafe(24)}"
            self._access[token] = owner, time.time() + self.seconds
            if self.rotates:
                self._used[given] = self._owner.pop(given)
                answer["refresh_token"] = fresh = f"refresh.{secrets.token_urlsafe(24)}"
                self._owner[fresh] = owner
            return 200, {}, json.dumps(answer).encode()

    def _introspect(self, token: str) -> tuple[int, dict[str, str], bytes]:
        self.introspected += 1
        owner = self.owner_of(token)
        answer: dict[str, object] = {"active": owner is not None}
        return 200, {}, json.dumps(answer | ({"username": owner} if owner else {})).encode()


def _error(status: int, error: str, description: str = "") -> tuple[int, dict[str, str], bytes]:
    return status, {}, json.dumps({"error": error, "error_description": description}).encode()
