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
from schemas.state import StateTopic
from schemas.topics import WEBHOOKS
from schemas.webhooks import Endpoint

KINDS: tuple[str, ...] = tuple(str(event.__struct_config__.tag) for event in EVENTS)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052


def new_endpoint(settings: Settings, url: str, kinds: Sequence[str], now: datetime) -> Endpoint:
    """An endpoint that is told of these kinds of events from now on, of all when there are none. Raises Reject:
    unknown-kind, url-invalid, address-private."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise Reject("unknown-kind", f"no kind of event: {', '.join(unknown)}; choose from {', '.join(KINDS)}")
    check_url(url, private=settings.webhooks_private)
    at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return Endpoint(id=str(uuid4()), url=url, kinds=tuple(sorted(set(kinds))), created_at=at, since=at)


def secret(settings: Settings, endpoint: str) -> str:
    """What the endpoint verifies with. It is derived from the newest signing key: rotate that, and it changes."""
    return "whsec_" + base64.b64encode(settings.keyring.webhook_secrets(endpoint)[0]).decode()


def endpoints_view(settings: Settings) -> StateTopic[Endpoint]:
    """Every endpoint that was not removed."""
    return StateTopic(settings, WEBHOOKS, Endpoint, key=lambda one: one.id, over=lambda one: one.state == "removed")


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
    inner = ip.ipv4_mapped or ip.sixtofour if isinstance(ip, ipaddress.IPv6Address) else None
    if isinstance(ip, ipaddress.IPv6Address) and ip in _NAT64:
        inner = ipaddress.IPv4Address(ip.packed[-4:])
    return ip.is_global and not ip.is_multicast and (inner is None or (inner.is_global and not inner.is_multicast))


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
