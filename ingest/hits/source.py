"""Whose request it is: the connection's address, or what trusted proxies in front of us say of it.

`X-Forwarded-For` is believed as far as it was written by proxies that `SENDLENS_TRUSTED_PROXIES` names: read from the
right, the first hop that is not one of them is the client. Anyone could have sent what stands left of it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HEADER = b"x-forwarded-for"
_HOPS = 20  # more proxies than anyone has; a header may hold thousands
_CACHED = 8192


class Source:
    """Finds a request's client address, as text in its shortest form; empty when the request has none."""

    def __init__(self, trusted: Iterable[Network]) -> None:
        self._trusted = tuple(trusted)
        self._read = lru_cache(_CACHED)(self._read_uncached)

    def ip(self, client: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """`client` is the connection's other end, `headers` are as they came, names in lower case."""
        if not client:
            return ""
        if not self._trusted:
            return client[0].removeprefix("::ffff:")  # how a socket of both families tells IPv4
        address, trusted = self._read(client[0])
        if not trusted:
            return address or client[0]
        # Several lines of one name are one list (RFC 9110, 5.3).
        forwarded = b",".join([value for name, value in headers if name == _HEADER])
        for hop in reversed(forwarded.rsplit(b",", _HOPS)[-_HOPS:]):
            farther, trusted = self._read(hop.decode("latin-1"))
            if not farther:
                break  # no address: what a trusted proxy saw ends here
            address = farther
            if not trusted:
                break
        return address

    def trusts(self, client: tuple[str, int] | None) -> bool:
        """Whether the connection's other end is a proxy of ours, whose word on a request is believed."""
        return client is not None and bool(self._trusted) and self._read(client[0])[1]

    def _read_uncached(self, text: str) -> tuple[str, bool]:
        address = parse(text)
        if address is None:
            return "", False
        return str(address), any(address in network for network in self._trusted)


class RealClient:
    """The ASGI application behind, which finds the client of `Source` as its connection's other end."""

    def __init__(self, app: ASGIApp, source: Source) -> None:
        self._app = app
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if client := scope.get("client"):
            scope["client"] = (self._source.ip(client, scope["headers"]), client[1])
        await self._app(scope, receive, send)


def parse(text: str) -> Address | None:
    """The address in `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`, quoted or not; or None.

    An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2) is given as what it is.
    """
    text = text.strip(" \t").strip('"')
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not (port[0] == ":" and _is_port(port[1:]))):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(port):
            return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return None
    return address


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5
