"""What may be an endpoint of webhooks, and the secret it verifies with: the same for the command and for the API."""

from __future__ import annotations

import base64
import ipaddress
import socket
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit
from uuid import uuid4

from schemas.errors import Reject
from schemas.events import EVENTS
from schemas.settings import Settings
from schemas.state.webhook_calls import Endpoint

KINDS: tuple[str, ...] = tuple(str(event.__struct_config__.tag) for event in EVENTS)

# IANA's registries of special-purpose addresses (RFC 6890), and multicast. Written down, because what the standard
# library calls global changes with Python's version.
_SPECIAL_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        ),
    )
)  # fmt: skip
# All that IPv6 has of the open internet (RFC 4291, 2.4; IANA gives out nothing else), less what is special in it: among
# others Teredo (in 2001::/23) and 6to4 (2002::/16), which hold an IPv4 address.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_SPECIAL_6 = tuple(
    map(
        ipaddress.IPv6Network,
        ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20"),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address as seen from a network without IPv4


def new_endpoint(
    settings: Settings, url: str, kinds: Sequence[str], now: datetime, *, with_to: bool = False
) -> Endpoint:
    """An endpoint that is told of these kinds of events from now on, of all when there are none; `with_to` of the
    recipient's address too. Raises Reject: unknown-kind, url-invalid, address-private, to-not-kept."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise Reject("unknown-kind", f"no kind of event: {', '.join(unknown)}; choose from {', '.join(KINDS)}")
    check_url(url, private=settings.webhooks_private)
    if with_to and not settings.webhooks_to:
        raise Reject("to-not-kept", "recipients' addresses are not kept here: SENDLENS_WEBHOOKS_TO=true keeps them")
    at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return Endpoint(id=str(uuid4()), url=url, kinds=tuple(sorted(set(kinds))), created_at=at, since=at, with_to=with_to)


def secret(settings: Settings, endpoint: str) -> str:
    """What the endpoint verifies with. It is derived from the newest signing key: rotate that, and it changes."""
    return "whsec_" + base64.b64encode(settings.keyring.webhook_secrets(endpoint)[0]).decode()


def check_url(url: str, *, private: bool) -> None:
    """Raise Reject unless this can be an endpoint. `private` allows plain http and addresses that are not public."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Reject("url-invalid", f"{error}: want https://host/path") from None
    if not url.isascii() or not url.isprintable() or " " in url:
        raise Reject(
            "url-invalid", "want https://host/path in ASCII: a host by its IDNA name, the rest percent-encoded"
        )
    if parts.scheme not in (("https", "http") if private else ("https",)) or not host or parts.username is not None:
        raise Reject("url-invalid", "want https://host/path, without a user in it")
    if not private and _is_private_literal(host):
        raise Reject("address-private", f"{host} is not of the open internet; SENDLENS_WEBHOOKS_PRIVATE allows it")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet: not of this machine, a private network, or a cloud's
    metadata service (169.254.169.254)."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or (ipaddress.IPv4Address(ip.packed[-4:]) if ip in _NAT64 else None)
        if inner is None:
            return ip in _GLOBAL_UNICAST and not any(ip in network for network in _SPECIAL_6)
        ip = inner
    return not any(ip in network for network in _SPECIAL_4)


def _is_private_literal(host: str) -> bool:
    """Whether a host is an IP address, in any spelling a resolver takes, that is not public."""
    try:
        return not is_public(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return not is_public(socket.inet_ntoa(socket.inet_aton(host)))  # 2130706433, 0x7f.1 and the like
    except (OSError, UnicodeError):
        return False
