"""Who may see the page: anybody on loopback without keys, else who shows an API key of scope `page`.

A person logs in once, by a form, and gets a session's cookie (`dashboards/page/sessions.py`); a program sends the key
with each request, as a bearer token or as the password of HTTP Basic. Forms of other sites never come here, and wrong
keys are answered late: ingest sees to both for all its paths (`ingest/origin.py`, `ingest/api/http/key_guesses.py`).

The cookie is SameSite=Lax, so that a board's address works in a chat or an email: all it opens is read by GET, and
changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, HTTPException, Request, Response

from dashboards.page.sessions import SESSION_SECONDS, LoginSessions
from schemas.errors import Retry
from schemas.keys import find
from schemas.settings import Settings

COOKIE = "sendlens_page"
_FORM_BYTES = 4096

_BASIC = {"WWW-Authenticate": 'Basic realm="Sendlens", charset="UTF-8"'}
_BEARER = {"WWW-Authenticate": 'Bearer realm="Sendlens"'}  # browsers ask for nothing by themselves


class Authenticator:
    """Lets viewers in. `now` is the wall clock in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._keys = [key for key in settings.callers if "page" in key.scopes]
        self._is_open = not settings.callers
        self._sessions = LoginSessions(settings, now)

    async def check(self, request: Request) -> None:
        """Raise HTTPException unless the viewer may come in: 303 to the form for a person, 401 for a program."""
        if self._is_open or self.by_cookie(request):
            return
        authorization = request.headers.get("Authorization", "")
        if authorization and find(self._keys, _given_key(authorization)):
            return
        if "text/html" in request.headers.get("Accept", "") and not authorization:
            raise HTTPException(303, "Log in first.", {"Location": _form_of(request), "Cache-Control": "no-store"})
        is_script = request.headers.get("Sec-Fetch-Dest", "") == "empty"
        raise HTTPException(401, "Log in with an API key.", _BEARER if is_script else _BASIC)

    def by_cookie(self, request: Request) -> bool:
        """Whether the viewer logged in by the form, and that still holds."""
        return self._sessions.holds(request.cookies.get(COOKIE, ""), self._keys)

    def enter(self, given: bytes) -> str | None:
        """The cookie's value for who gives that key, or None."""
        key = find(self._keys, given)
        return self._sessions.begin(key) if key else None

    def leave(self, request: Request) -> None:
        """End the viewer's session, copies of the cookie included. Raises Retry when that can't be kept."""
        self._sessions.end(request.cookies.get(COOKIE, ""), self._keys)


def login_routes(authenticator: Authenticator, form: Callable[[str, int], Response]) -> APIRouter:
    """`/login` and `/logout`. `form` answers with the form, what went wrong, and a status."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/login")
    async def show() -> Response:
        return form("", 200)

    @routes.post("/login")
    async def login(request: Request) -> Response:
        body = await request.body()
        if len(body) > _FORM_BYTES:
            raise HTTPException(413, "A key is shorter.")
        said = parse_qs(body.decode("utf-8", "replace"))
        session = authenticator.enter(said.get("key", [""])[0].strip().encode())
        if session is None:
            return form("That is no key to this page.", 401)
        answer = Response(status_code=303, headers={"Location": _way_back(request), "Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE, session, max_age=SESSION_SECONDS, path="/", secure=_is_tls(request), httponly=True, samesite="lax"
        )
        return answer

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        try:
            authenticator.leave(request)
        except Retry as error:  # the cookie stays: who is told that the session ended must be able to rely on it
            raise HTTPException(503, f"{error}. You are still logged in.") from None
        answer = Response(status_code=303, headers={"Location": "login", "Cache-Control": "no-store"})
        answer.delete_cookie(COOKIE, path="/", secure=_is_tls(request), httponly=True, samesite="lax")
        return answer

    return routes


def _form_of(request: Request) -> str:
    return f"login?{urlencode({'next': '?' + request.url.query})}" if request.url.query else "login"


def _way_back(request: Request) -> str:
    """The requested board. Only the query comes from the client, so it can't redirect elsewhere."""
    query = request.query_params.get("next", "")
    return f"./{query}" if query.startswith("?") and query.isascii() and query.isprintable() else "./"


def _is_tls(request: Request) -> bool:
    """As the browser sees it. A forged header here can only keep a cookie from being sent in the clear."""
    return "https" in (request.url.scheme, request.headers.get("X-Forwarded-Proto", ""))


def _given_key(authorization: str) -> bytes:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip().encode()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""
