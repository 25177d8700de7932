"""What a page of another site gets through a visitor's browser: nothing. Recipients' paths are open to all.

Three checks, for every path but those of recipients and of probes:

- Host. Where no API key is set, every client is let in; a name that another site points at this machine (DNS
  rebinding) must not reach us. So only loopback's names and the host of `SENDLENS_PUBLIC_URL` are answered.
- Origin. Browsers say whose page asks by `Sec-Fetch-Site` (https://www.w3.org/TR/fetch-metadata/), or, on plain http
  beyond loopback, by `Origin` alone (RFC 6454). Programs send neither. A link to a page of ours may be followed from
  anywhere: who wrote it sees nothing of the answer.
- Content type. A write to `/v1` is JSON and says so: a form can't, and a script of another site must ask us first.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.api.http.problems import Problem, answer
from schemas.settings import Settings, is_loopback

_RECIPIENTS = ("/o/", "/c/", "/u/")
# Load balancers and proxies ask by address, or by a name of their network; the answers are no secret.
_PROBES = ("/healthz", "/readyz", "/tls/allowed")
_PAGES = ("/", "/login", "/docs")
# Where Amazon SNS posts JSON as text/plain; a form of another site's has no signature of Amazon's.
_AS_TEXT = ("/v1/providers/ses",)
_READS = ("GET", "HEAD", "OPTIONS")
_JSON = "application/json"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# Nothing of ours is for other sites' pages to embed, or to be taken for another type than it is.
_HEADERS = {"Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff"}

# A host's name and port; no port is the scheme's own.
_Authority = tuple[str, int | None]


class SameOrigin:
    """The ASGI application behind the three checks; a refusal is a problem (RFC 9457)."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._public = _origin(settings.public_url)
        self._is_open = not settings.callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_RECIPIENTS) or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self.check(scope["method"], scope["path"], Headers(scope=scope))
        except Problem as problem:
            await answer(problem)(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Raise Problem: 421 for another host's name, 403 for another site's page, 415 for a write that is no JSON."""
        host = _authority(headers.get("host", "")) if len(headers.getlist("host")) == 1 else None
        if self._is_open and (host is None or not self._is_ours(host[0])):
            raise Problem(
                421,
                "Without an API key only this machine's own name and the host of SENDLENS_PUBLIC_URL are answered. "
                "Ask by one of those, or set SENDLENS_API_KEY.",
                reason="host",
            )
        if self._is_of_another_site(headers, host) and not _is_link(method, path, headers):
            raise Problem(
                403,
                "A page of another site asked. If it is this one, its address must be the host that the proxy in "
                "front of us passes on, or SENDLENS_PUBLIC_URL.",
                reason="cross-site",
            )
        writes = path.startswith("/v1/") and path not in _AS_TEXT and method not in _READS
        if writes and not _is_json_or_nothing(headers):
            raise Problem(415, f"Send JSON, with `Content-Type: {_JSON}`.", {"Accept": _JSON}, reason="content-type")

    def _is_ours(self, name: str) -> bool:
        return is_loopback(name) or (self._public is not None and name == self._public[0])

    def _is_of_another_site(self, headers: Headers, host: _Authority | None) -> bool:
        site = headers.get("sec-fetch-site")
        if site == "same-origin":  # by then Origin may be `null`, as a page's referrer policy has it
            return False
        if site not in (None, "none"):
            return True
        origin = headers.get("origin")
        if origin is None:
            return False
        found = _origin(origin)
        return found is None or found not in (host, self._public)


def _is_link(method: str, path: str, headers: Headers) -> bool:
    """Whether somebody followed a link to a page, in a window of its own."""
    return (
        method in ("GET", "HEAD")
        and path in _PAGES
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _is_json_or_nothing(headers: Headers) -> bool:
    types = headers.getlist("content-type")
    if not types:
        return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
    return all(given.partition(";")[0].strip().lower() == _JSON for given in types)


def _origin(text: str) -> _Authority | None:
    """The host and port of `http(s)://host:port/...`; None of anything else, `null` for one."""
    scheme, _, rest = text.partition("://")
    found = _authority(rest.partition("/")[0])
    if found is None or scheme not in _DEFAULT_PORTS:
        return None
    return found[0], None if found[1] == _DEFAULT_PORTS[scheme] else found[1]


def _authority(text: str) -> _Authority | None:
    """The host and port of `host:port`, an IPv6 address in brackets; None of what is no such thing."""
    try:
        parts = urlsplit(f"//{text}")
        if not parts.hostname or parts.netloc != text or "@" in text:
            return None
        return parts.hostname, parts.port
    except ValueError:
        return None
