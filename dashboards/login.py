"""Who may see the page: anybody on loopback without keys, else who shows an API key of scope `page`.

A person logs in once, by a form, and gets a cookie that says until when; a program sends the key with each request, as
a bearer token or as the password of HTTP Basic. The cookie is signed with the token keys, over the digest of the API
key too, so it ends with its time, with the API key and with the token keys, and no process needs to remember it.

It is SameSite=Lax, so that a board's address works in a chat or an email: all it opens is read by GET, and changes
nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, HTTPException, Request, Response

from schemas.keys import ApiKey, find
from schemas.settings import Settings

COOKIE = "sendlens_page"
SESSION_SECONDS = 12 * 3600  # a working day
FAILURES = 10  # wrong keys of one address within
FAILURE_SECONDS = 60.0  # before it must wait
_ADDRESSES = 10_000  # remembered at most
_FORM_BYTES = 4096

_BASIC = {"WWW-Authenticate": 'Basic realm="Sendlens", charset="UTF-8"'}
_BEARER = {"WWW-Authenticate": 'Bearer realm="Sendlens"'}  # browsers ask for nothing by themselves


class Failures:
    """How often each address gave a wrong key of late. Keys are long; this is for those that somebody made up."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of: dict[str, tuple[float, int]] = {}

    def add(self, address: str) -> None:
        until, count = self._of.pop(address, (0.0, 0))
        now = self._clock()
        self._of[address] = (until, count + 1) if until > now else (now + FAILURE_SECONDS, 1)
        if len(self._of) > _ADDRESSES:
            del self._of[next(iter(self._of))]

    def wait(self, address: str) -> int:
        """Seconds until this address may try again, 0 for now."""
        until, count = self._of.get(address, (0.0, 0))
        left = until - self._clock()
        return int(left) + 1 if count >= FAILURES and left > 0 else 0


class Door:
    """Lets viewers in. `now` is the wall clock in seconds."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._keys = [key for key in settings.callers if "page" in key.scopes]
        self._is_open = not settings.callers
        self._secrets = [hmac.digest(secret, b"page session", "sha256") for secret in settings.keyring.keys.values()]
        self._now = now
        self.failures = Failures()

    async def check(self, request: Request) -> None:
        """Raise HTTPException unless the viewer may come in: 303 to the form for a person, 401 for a program."""
        if self._is_open or self.by_cookie(request):
            return
        authorization = request.headers.get("Authorization", "")
        if authorization and self._find(request, _given_key(authorization)):
            return
        if "text/html" in request.headers.get("Accept", "") and not authorization:
            raise HTTPException(303, "Log in first.", {"Location": _form_of(request), "Cache-Control": "no-store"})
        is_script = request.headers.get("Sec-Fetch-Dest", "") == "empty"
        raise HTTPException(401, "Log in with an API key.", _BEARER if is_script else _BASIC)

    def by_cookie(self, request: Request) -> bool:
        """Whether the viewer logged in by the form, and that still holds."""
        expires, _, mac = request.cookies.get(COOKIE, "").partition(".")
        if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or not mac.isascii():
            return False
        given = [hmac.compare_digest(mac, right) for right in self._macs(expires, self._keys)]
        return any(given) and int(expires) > self._now()

    def enter(self, request: Request, given: bytes) -> str | None:
        """The cookie's value for who gives that key, or None. Raises HTTPException (429) after too many wrong ones."""
        key = self._find(request, given)
        if key is None:
            return None
        expires = str(int(self._now()) + SESSION_SECONDS)
        return f"{expires}.{next(self._macs(expires, [key]))}"

    def _macs(self, expires: str, keys: Iterable[ApiKey]) -> Iterator[str]:
        """The signature by the newest token key first."""
        for secret in self._secrets:
            for key in keys:
                yield hmac.new(secret, key.digest + expires.encode(), hashlib.sha256).hexdigest()

    def _find(self, request: Request, given: bytes) -> ApiKey | None:
        address = request.client.host if request.client else ""
        if wait := self.failures.wait(address):
            raise HTTPException(429, f"Too many wrong keys. Try again in {wait} s.", {"Retry-After": str(wait)})
        key = find(self._keys, given)
        if key is None:
            self.failures.add(address)
        return key


def login_routes(door: Door, form: Callable[[str, int], Response]) -> APIRouter:
    """`/login` and `/logout`. `form` answers with the form, what went wrong, and a status."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/login")
    async def show() -> Response:
        return form("", 200)

    @routes.post("/login")
    async def login(request: Request) -> Response:
        _from_here(request)
        body = await request.body()
        if len(body) > _FORM_BYTES:
            raise HTTPException(413, "A key is shorter.")
        said = parse_qs(body.decode("utf-8", "replace"))
        try:
            session = door.enter(request, said.get("key", [""])[0].strip().encode())
        except HTTPException as refused:
            return form(str(refused.detail), refused.status_code)
        if session is None:
            return form("That is no key to this page.", 401)
        answer = Response(status_code=303, headers={"Location": _way_back(request), "Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE, session, max_age=SESSION_SECONDS, path="/", secure=_is_tls(request), httponly=True, samesite="lax"
        )
        return answer

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        _from_here(request)
        answer = Response(status_code=303, headers={"Location": "login", "Cache-Control": "no-store"})
        answer.delete_cookie(COOKIE, path="/", secure=_is_tls(request), httponly=True, samesite="lax")
        return answer

    return routes


def _form_of(request: Request) -> str:
    return f"login?{urlencode({'next': '?' + request.url.query})}" if request.url.query else "login"


def _way_back(request: Request) -> str:
    """The board that was asked for. Only the query is taken from outside, so it leads nowhere else."""
    query = request.query_params.get("next", "")
    return f"./{query}" if query.startswith("?") and query.isprintable() else "./"


def _from_here(request: Request) -> None:
    """Raise HTTPException when another site's page sent the form."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "This form is of another site.")


def _is_tls(request: Request) -> bool:
    """As the browser sees it. What a stranger says here can only keep a cookie from being sent in the clear."""
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
