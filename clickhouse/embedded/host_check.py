"""Which requests a browser may have been made to send: refused by the host that they name and the page they come from.

A page of another site can make a browser ask a server on loopback. Under a name of its own that leads to 127.0.0.1 (DNS
rebinding) the page may even read the answer; then Host has that name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from clickhouse.embedded.errors import ACCESS_DENIED, ServerError

_LOOPBACK_NETWORK = ipaddress.ip_network("127.0.0.0/8")


class HostCheck:
    """The host names that this server answers to: loopback's, and those it was given."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = {"localhost", "::1"} | {host.lower().rstrip(".") for host in hosts}

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raises ServerError, code 497, for a foreign Host, and for what a page of another site sent.

        Sec-Fetch-Site is what browsers say of a page; where they don't trust the page's origin they leave it out, and
        Origin remains. A request without Host is HTTP/1.0, which no browser speaks.
        """
        named: dict[bytes, set[str]] = {}
        for name, value in headers:
            named.setdefault(name.lower(), set()).add(value.decode("latin-1").strip().lower())
        hosts = named.get(b"host", set())
        if len(hosts) > 1 or not all(self._is_ours(host) for host in hosts):
            raise ServerError(
                ACCESS_DENIED,
                "This server does not answer under the name in Host: ask localhost or 127.0.0.1, or the name in "
                "SENDLENS_CLICKHOUSE_URL or SENDLENS_GRAFANA_CLICKHOUSE_URL.",
            )
        own_origins = {f"http://{host}" for host in hosts} | {f"https://{host}" for host in hosts}
        if named.get(b"sec-fetch-site", set()) - {"none", "same-origin"} or named.get(b"origin", set()) - own_origins:
            raise ServerError(ACCESS_DENIED, "Requests from pages of other sites are refused.")

    def _is_ours(self, host: str) -> bool:
        """Whether `name`, `name:port` or `[address]:port` is this server's, whatever the port."""
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname or "", parts.port
        except ValueError:
            return False
        if parts.netloc != host or parts.username is not None:
            return False
        if name.rstrip(".") in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name) in _LOOPBACK_NETWORK
        except ValueError:
            return False
