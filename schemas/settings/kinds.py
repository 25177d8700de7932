"""Kinds of text that a setting may hold, each checked: what is wrong is said before anything starts."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

from schemas.settings.tracking import further_hosts

_SERVER = re.compile(r"(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::(?P<port>\d{1,5}))?")


def _is_base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be http(s)://host[:port][/path]")
    return url.rstrip("/")


def _is_base_or_empty(url: str) -> str:
    return url and _is_base(url)


def _is_endpoint_or_empty(url: str) -> str:
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ValueError("must be http(s)://host[:port]/path, or empty")
    return url


def _are_servers(servers: str) -> str:
    found = [server.strip() for server in servers.split(",") if server.strip()]
    if any("://" in server for server in found):  # not repeated here: it may hold a password
        raise ValueError("must be host:port without a protocol: Kafka is spoken to without TLS and SASL")
    matches = [_SERVER.fullmatch(server) for server in found]
    if not found or not all(match and 0 < int(match["port"] or 9092) < 65_536 for match in matches):
        raise ValueError("must be host:port, or several with commas between them")
    return servers


def _are_networks(networks: str) -> str:
    for network in filter(None, map(str.strip, networks.split(","))):
        ipaddress.ip_network(network)  # raises ValueError, which says what is wrong with it
    return networks


def _are_hosts(hosts: str) -> str:
    further_hosts(hosts)  # raises ValueError, which says what is wrong with it
    return hosts


def _is_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("name one of the IANA database, such as Europe/Paris or UTC") from None
    return name


Url = Annotated[str, AfterValidator(_is_base)]
UrlOrEmpty = Annotated[str, AfterValidator(_is_base_or_empty)]
EndpointOrEmpty = Annotated[str, AfterValidator(_is_endpoint_or_empty)]
Servers = Annotated[str, AfterValidator(_are_servers)]
Networks = Annotated[str, AfterValidator(_are_networks)]
Hosts = Annotated[str, AfterValidator(_are_hosts)]
Timezone = Annotated[str, AfterValidator(_is_timezone)]
