"""By which hosts recipients reach us: the public one, those of accounts and campaigns, and those that are listed.

A domain that somebody points at us without our knowing gets 404 for `/o/`, `/c/` and `/u/`, and no certificate. All
else of ingest is answered as before: who may ask that is decided by keys and by `ingest/origin.py`.

Nothing is refused before an operator has named a host, in SENDLENS_TRACKING_HOSTS or as `tracking_url` in
senders.toml: until then a proxy in front of us may call us what it likes. A campaign alone changes nothing there, for
platforms declare them, and don't know the proxy.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Query
from starlette.types import ASGIApp, Receive, Scope, Send

from ingest.api.http.problems import Problem, described
from ingest.hits.source import Source
from ingest.metrics import IngestMetrics
from ingest.pages.pages import Pages
from schemas.errors import Retry
from schemas.events import Campaign, HitKind
from schemas.senders import Senders
from schemas.settings import Settings
from schemas.settings.tracking import further_hosts, host_name, host_of, is_public
from stream.state import StateTopic

log = structlog.get_logger()

# How long a host that is not known may wait for the list of campaigns to be current, in seconds.
_PATIENCE = 2.0
_COMPLAIN_SECONDS = 60.0
_KINDS: dict[str, HitKind | Literal["unsubscribe"]] = {"/o/": "open", "/c/": "click", "/u/": "unsubscribe"}
_LONGEST = 300  # characters of a host with its port


class CampaignHosts:
    """The hosts of the campaigns, each as its newest record has it. Campaigns are told to `saw`, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_campaign: dict[str, str] = {}
        self._campaigns: dict[str, int] = {}  # how many there are of a host

    def __contains__(self, host: object) -> bool:
        return host in self._campaigns

    def saw(self, campaign: Campaign) -> None:
        """Note the campaign's host, and forget the one that it had before."""
        host = host_of(campaign.tracking_url)
        with self._lock:
            before = self._by_campaign.pop(campaign.id, "")
            if before:
                self._campaigns[before] -= 1
                if not self._campaigns[before]:
                    del self._campaigns[before]
            if host:
                self._by_campaign[campaign.id] = host
                self._campaigns[host] = self._campaigns.get(host, 0) + 1


class TrackingHosts:
    """Which hosts are ours. `campaigns` is the view that tells `of_campaigns`.

    `checked` says whether others are refused; `*` in SENDLENS_TRACKING_HOSTS never refuses any, and allows no
    certificate either.
    """

    def __init__(
        self, settings: Settings, senders: Senders, campaigns: StateTopic[Campaign], of_campaigns: CampaignHosts
    ) -> None:
        listed, any_host = further_hosts(settings.tracking_hosts)
        public = host_of(settings.public_url)
        accounts = {host_of(account.tracking_url) for account in senders.accounts if account.tracking_url}
        self._own = frozenset({public, *listed, *accounts})
        self._campaigns = campaigns
        self._of_campaigns = of_campaigns
        self._waiting: asyncio.Future[bool] | None = None
        self.checked = not any_host and bool(listed or accounts)

    async def knows(self, host: str) -> bool:
        """Whether the host is one of ours. Raises Retry while that can't be said."""
        if host in self._own or host in self._of_campaigns:
            return True
        current = await self._is_current()
        if host in self._of_campaigns:
            return True
        if not current:
            raise Retry("the list of campaigns can't be read right now")
        return False

    async def _is_current(self) -> bool:
        """Wait for our copy of the campaigns, of which one may be younger. One wait for all who ask meanwhile: a flood
        of hosts that nobody knows must cost no more than its answers."""
        if self._waiting is None or self._waiting.done():
            self._waiting = asyncio.ensure_future(self._campaigns.wait_until_current(time.time(), _PATIENCE))
        return await asyncio.shield(self._waiting)


class HostGate:
    """The ASGI application in front of recipients' routes: 404 for a host that is not ours.

    A hit is never refused on a guess: while campaigns can't be read, any host is answered. So is an address, and a name
    without a dot, which nobody outside can have.
    """

    def __init__(
        self, app: ASGIApp, hosts: TrackingHosts, source: Source, pages: Pages, metrics: IngestMetrics
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._source = source
        self._pages = pages
        self._metrics = metrics
        self._complained_at = float("-inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = _KINDS.get(scope["path"][:3]) if scope["type"] == "http" else None
        if kind is None:
            await self._app(scope, receive, send)
            return
        forwarded = self._source.trusts(scope.get("client"))
        host = asked_host(scope["headers"], forwarded)
        if host is None or not await self._is_answered(host):
            self._count(kind, host)
            await self._refuse(scope, send)
            return
        await self._app(scope, receive, send)

    async def _is_answered(self, host: str) -> bool:
        if not is_public(host):
            return True
        try:
            return await self._hosts.knows(host)
        except Retry:
            return True

    def _count(self, kind: HitKind | Literal["unsubscribe"], host: str | None) -> None:
        """Count what is refused, and log it once a minute at the most: anybody can make it happen."""
        if kind == "unsubscribe":
            self._metrics.unsubscribes.labels("none", "host").inc()
        else:
            self._metrics.reject(kind, "host")
        if time.monotonic() - self._complained_at >= _COMPLAIN_SECONDS:
            self._complained_at = time.monotonic()
            log.warning("a recipient asked by a host that is not known", kind=kind, host=host or "no host's name")

    async def _refuse(self, scope: Scope, send: Send) -> None:
        wish = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept-language"), "")
        page = self._pages.page("not_found", wish)
        headers = {**self._pages.headers, "Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(page))}
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": 404, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else page})


def asked_host(headers: Iterable[tuple[bytes, bytes]], forwarded: bool) -> str | None:
    """The host that a client asked by, in lower case and without its port: empty where it named none, None where that
    is no host's name. With `forwarded` what a proxy of ours says of it goes before what the proxy itself asked by."""
    found = b""
    for name, value in headers:
        if name == b"host" and not found:
            found = value
        elif name == b"x-forwarded-host" and forwarded:
            found = value.partition(b",")[0]
            break
    text = found.strip().decode("latin-1")
    if not text:
        return ""
    if len(text) > _LONGEST:
        return None
    if text.startswith("["):  # an IPv6 address, which is nobody's domain
        return ""
    host = text.partition(":")[0]
    try:
        return host_name(host)
    except ValueError:
        return None if "." in host else ""


def tls_routes(hosts: TrackingHosts) -> APIRouter:
    """The router of `/tls/allowed`, which a proxy asks before it has a certificate made."""
    router = APIRouter(tags=["operation"])

    @router.get(
        "/tls/allowed",
        summary="May a certificate be made for this domain?",
        responses={
            200: {"description": "Recipients reach us by it."},
            **described(404, "It is none of ours: have no certificate made."),
            **described(503, "That can't be said right now: campaigns can't be read."),
        },
    )
    async def allowed(
        domain: Annotated[str, Query(max_length=_LONGEST, description="A host's name.", examples=["t.example.com"])],
    ) -> dict[str, str]:
        """For Caddy's on-demand TLS (`ask`): only a host that the settings, an account or a campaign names. Asks for
        no key, and tells no more than DNS does."""
        try:
            host = host_name(domain)
        except ValueError:
            host = ""
        if not is_public(host) or not await hosts.knows(host):
            raise Problem(404, "Neither the settings, nor an account, nor a campaign names this host.", reason="host")
        return {"domain": host}

    return router
