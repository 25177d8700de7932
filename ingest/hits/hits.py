"""The hot path: pixels and wrapped links, answered in front of the FastAPI app.

A pixel is always answered with the pixel, and a known link always redirects, whatever becomes of the record. A pixel's
status tells: 200 promises that the hit is in Kafka or on disk, 503 and 429 promise nothing. Nothing here looks a hit up
anywhere but in its token and the link map.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from ingest.hits.commit import CommitResult, GroupCommit
from ingest.hits.source import Source
from ingest.hits.source_rate import WINDOW_SECONDS, SourceRateLimit
from ingest.metrics import IngestMetrics
from ingest.pages.pages import Pages
from schemas.errors import Reject
from schemas.events import Hit, HitKind, Link
from schemas.tokens import BadToken, Claim, Keyring, Purpose, published_link_id
from stream.state import StateTopic

log = structlog.get_logger()

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The smallest transparent GIF that every client draws: GIF89a, 1 x 1, two colours, the first one transparent.
PIXEL = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
# How long a click on a link we do not know yet may wait for the link map to catch up, in seconds.
_LINK_PATIENCE = 2.0
_IS_HTTP = re.compile(r"https?://", re.IGNORECASE)  # a scheme has no case (RFC 3986, 3.1)
# By a name of our own: an enumeration looks its members up by a function in Python 3.11.
_OPEN, _CLICK = Purpose.OPEN, Purpose.CLICK
_BEHIND = "links-behind"
# Headers that rules read, as they come and as they are kept. Everything else a client says is not kept.
_KEPT_HEADERS = {
    name.encode(): name
    for name in (
        "accept",
        "accept-language",
        "if-modified-since",
        "if-none-match",
        "purpose",
        "range",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-user",
        "sec-purpose",
        "via",
        "x-moz",
        "x-purpose",
    )
}
_HEADER_BYTES = 256
_USER_AGENT_BYTES = 1024

_PRIVATE = [
    (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"x-content-type-options", b"nosniff"),
]


def _start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [*headers, *_PRIVATE]}


_ALLOW = (b"allow", b"GET, HEAD, OPTIONS")
_NOTHING: Message = {"type": "http.response.body", "body": b""}
_PIXEL_HEADERS = (
    (b"content-type", b"image/gif"),
    (b"content-length", str(len(PIXEL)).encode()),
    (b"pragma", b"no-cache"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
_PIXEL_START = _start(200, *_PIXEL_HEADERS)
# An open that could not be recorded. Clients draw an image of any status; those that can try again are asked to.
_PIXEL_AGAIN = _start(503, *_PIXEL_HEADERS, (b"retry-after", b"30"))
_PIXEL_ENOUGH = _start(429, *_PIXEL_HEADERS, (b"retry-after", str(int(WINDOW_SECONDS)).encode()))
_PIXEL_OF = {commit_result: _PIXEL_START if commit_result.safe else _PIXEL_AGAIN for commit_result in CommitResult} | {
    CommitResult.SHED: _PIXEL_ENOUGH
}
_PIXEL_BODY: Message = {"type": "http.response.body", "body": PIXEL}
_OPTIONS_START = _start(204, _ALLOW)
_METHOD_START = _start(405, _ALLOW, (b"content-length", b"0"))


class Hits:
    """The ASGI application in front: answers `/o/` and `/c/`, hands everything else on."""

    def __init__(
        self,
        app: App,
        keyring: Keyring,
        links: StateTopic[Link],
        commit: GroupCommit,
        source: Source,
        rate_limit: SourceRateLimit,
        pages: Pages,
        metrics: IngestMetrics,
    ) -> None:
        self._app = app
        self._keyring = keyring
        self._links = links
        self._commit = commit
        self._source = source
        self._rate_limit = rate_limit
        self._pages = pages
        self._metrics = metrics
        self._ids = _Ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            start = path[:3]
            if start == "/o/":
                await self._open(scope, path[3:], send)
                return
            if start == "/c/":
                await self._click(scope, path[3:], send)
                return
            if scope["method"] == "OPTIONS" and path == "*":  # the server as a whole (RFC 9110, 9.3.7)
                await send(_OPTIONS_START)
                await send(_NOTHING)
                return
        await self._app(scope, receive, send)

    async def _open(self, scope: Scope, rest: str, send: Send) -> None:
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            await self._other_method("open", method, send)
            return
        start = _PIXEL_START
        try:
            claim = self._keyring.verify(_OPEN, rest.removesuffix(".gif"))
            start = _PIXEL_OF[await self._record("open", scope, claim, "")]
        except BadToken as bad:
            self._metrics.reject("open", bad.reason)
        except Exception as error:  # the pixel is answered whatever happens
            start = _PIXEL_AGAIN
            self._metrics.reject("open", "error")
            log.error("an open was not recorded", error=repr(error))
        await send(start)
        await send(_NOTHING if method == "HEAD" else _PIXEL_BODY)

    async def _click(self, scope: Scope, rest: str, send: Send) -> None:
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            await self._other_method("click", method, send)
            return
        token, _, link_id = rest.partition("/")
        link_id = published_link_id(link_id)
        try:
            claim = self._keyring.verify(_CLICK, token)
            location = await self._location(claim, link_id)
        except Reject as bad:
            self._metrics.reject("click", bad.reason)
            start, body = self._no_such_link(scope, bad.reason == _BEHIND)
            await send(start)
            await send(_NOTHING if method == "HEAD" else body)
            return
        try:
            await self._record("click", scope, claim, link_id)
        except Exception as error:  # a known link redirects whatever happens
            self._metrics.reject("click", "error")
            log.error("a click was not recorded", error=repr(error))
        await send(_start(302, (b"location", location), (b"content-length", b"0")))
        await send(_NOTHING)

    def _no_such_link(self, scope: Scope, behind: bool) -> tuple[Message, Message]:
        """The page that says so, or, where nobody can say yet, that asks to try again."""
        wish = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept-language"), "")
        page = self._pages.page("not_yet" if behind else "not_found", wish)
        headers = {**self._pages.headers, "Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(page))}
        if behind:
            headers["Retry-After"] = "5"
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        start = {"type": "http.response.start", "status": 503 if behind else 404, "headers": raw}
        return start, {"type": "http.response.body", "body": page}

    async def _location(self, claim: Claim, link_id: str) -> bytes:
        """Where the link leads, or Reject when it is no link of this email's campaign."""
        link = self._links.get(link_id)
        if link is None:
            # The mail may be younger than our copy of the map: only an up-to-date map can say that there is no link.
            current = await self._links.wait_until_current(time.time(), _LINK_PATIENCE)
            link = self._links.get(link_id)
            if link is None:
                raise Reject("link" if current else _BEHIND)
        if link.campaign != claim.campaign:
            raise Reject("link")
        return _header(link.url)

    async def _record(self, kind: HitKind, scope: Scope, claim: Claim, link_id: str) -> CommitResult:
        """Have the hit written, and return when it is safe, or has waited long enough, or need not be written."""
        ip = self._source.ip(scope.get("client"), scope["headers"])
        delivery = str(claim.delivery_id)
        if not self._rate_limit.takes(ip, delivery, link_id, time.monotonic()):
            self._metrics.hit[kind, CommitResult.SHED].inc()
            return CommitResult.SHED
        waiter = self._commit.add(delivery, _line(_hit(self._ids, kind, scope, claim, delivery, link_id, ip)))
        commit_result = CommitResult.LOST if waiter is None else await waiter
        if waiter is None:
            self._metrics.rejected.labels(kind, "in-flight").inc()
        self._metrics.hit[kind, commit_result].inc()
        return commit_result

    async def _other_method(self, kind: HitKind, method: str, send: Send) -> None:
        if method != "OPTIONS":
            self._metrics.reject(kind, "method")
        await send(_OPTIONS_START if method == "OPTIONS" else _METHOD_START)
        await send(_NOTHING)


def clean(raw: bytes, limit: int) -> str:
    """Text a client sent, as valid UTF-8 of at most `limit` bytes without control characters."""
    if len(raw) <= limit and raw.isascii():
        text = raw.decode("ascii")
        if text.isprintable():
            return text
    text = "".join(c for c in raw[:limit].decode("utf-8", "replace") if c.isprintable())
    return text.encode()[:limit].decode("utf-8", "ignore")


def _hit(ids: _Ids, kind: HitKind, scope: Scope, claim: Claim, delivery: str, link_id: str, ip: str) -> Hit:
    user_agent, headers = _headers(scope["headers"])
    now = time.time_ns() // 1_000_000
    return Hit(
        id=ids.new(now),
        kind=kind,
        at=datetime.fromtimestamp(now / 1000, UTC),
        delivery_id=delivery,
        campaign=claim.campaign,
        step=claim.step,
        variant=claim.variant,
        lead=claim.lead,
        minted_at=datetime.fromtimestamp(claim.minted_at, UTC),
        link_id=link_id,
        method=scope["method"],
        user_agent=user_agent,
        ip=ip,
        headers=headers,
    )


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> tuple[str, dict[str, str]]:
    """The user agent, and the headers that rules read. Of a referrer only that there was one: it is personal."""
    user_agent, kept = "", {}
    for name, value in raw:
        if name == b"user-agent":
            user_agent = clean(value, _USER_AGENT_BYTES)
        elif name in _KEPT_HEADERS:
            kept[_KEPT_HEADERS[name]] = clean(value, _HEADER_BYTES)
        elif name == b"referer":
            kept["referer"] = "present"
    return user_agent, kept


# A random hexadecimal digit with its first two bits made 10, which marks the layout of these UUIDs (RFC 9562, 4.1).
_VARIANT = {f"{digit:x}": f"{0b1000 | digit & 0b11:x}" for digit in range(16)}


class _Ids:
    """UUIDs of version 7 (RFC 9562, 5.7): unique without coordination, and in order of time for the database.

    Randomness is fetched for many at once: each system call would give the interpreter lock away.
    """

    def __init__(self) -> None:
        self._pool = ""  # hexadecimal digits
        self._at = 0

    def new(self, milliseconds: int) -> str:
        at = self._at
        if at == len(self._pool):
            self._pool, at = os.urandom(10 * 1024).hex(), 0
        self._at = at + 20
        random = self._pool[at : at + 20]
        time = f"{milliseconds:012x}"
        return f"{time[:8]}-{time[8:]}-7{random[:3]}-{_VARIANT[random[3]]}{random[4:7]}-{random[7:19]}"


def _header(url: str) -> bytes:
    """The URL as a header value. The map holds what mails held: what can't be a Location is no link."""
    if not _IS_HTTP.match(url) or any(c <= " " or c == "\x7f" for c in url):
        raise Reject("link-url")
    try:
        return url.encode()
    except UnicodeEncodeError:
        raise Reject("link-url") from None


_encode = msgspec.json.Encoder().encode


def _line(hit: Hit) -> bytes:
    return _encode(hit) + b"\n"
