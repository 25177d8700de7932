"""Webhooks reach the open internet alone: no special network, in no spelling, by no name and no redirect."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.webhooks.http import EndpointClient
from schemas.errors import Reject
from schemas.state.endpoints import check_url, is_public
from tests.agents.webhooks.test_http import Endpoint, endpoint

__all__ = ["endpoint"]  # the fixture

# IANA's registries of special-purpose addresses, and what else is no unicast of the open internet.
SPECIAL = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
    "::/8", "::127.0.0.1/128", "::10.0.0.1/128", "::8.8.8.8/128", "::ffff:0:127.0.0.1/128", "::ffff:0:0:0/96",
    "64:ff9b:1::/48", "100::/64", "2001::/32", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16",
    "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "4000::/3", "8000::/1",
]  # fmt: skip
# Where an IPv4 address stands in an IPv6 one, at its end.
IN_CLOTHES = {"mapped": "::ffff:0:0", "nat64": "64:ff9b::"}


@pytest.mark.parametrize("network", SPECIAL)
def test_neither_end_of_a_special_network_is_public(network: str) -> None:
    ends = ipaddress.ip_network(network)
    if network == "::/8":  # holds ::ffff:0:0/96 and 64:ff9b::/96, which are IPv4
        assert not is_public("::2")
        return
    assert not is_public(str(ends[0]))
    assert not is_public(str(ends[-1]))


@pytest.mark.parametrize("prefix", IN_CLOTHES.values(), ids=list(IN_CLOTHES))
@given(number=st.integers(0, 2**32 - 1))
def test_an_ipv4_address_in_ipv6_clothes_is_what_it_is_without(prefix: str, number: int) -> None:
    dressed = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + number)
    assert is_public(str(dressed)) == is_public(str(ipaddress.IPv4Address(number)))


@given(st.ip_addresses(v=6) | st.ip_addresses(v=4))
def test_what_the_standard_library_knows_to_be_private_is_never_public(address: Any) -> None:
    if not address.is_global:
        assert not is_public(str(address)) or address in ipaddress.ip_network("64:ff9b::/96")


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1", "2001:200::1"])
def test_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "[64:ff9b:1::7f00:1]",
        "[fec0::1]",
        "[::127.0.0.1]",
        "[::7f00:1]",
        "[::ffff:0:127.0.0.1]",
        "[fe80::1%25lo]",
        "017700000001",
        "127.1",
    ],
)
def test_such_an_address_is_refused_when_it_is_added(host: str) -> None:
    with pytest.raises(Reject, match="address-private"):
        check_url(f"https://{host}/hook", private=False)


async def test_a_name_that_changes_its_mind_after_it_was_looked_up_is_not_connected_to(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is looked at when its socket is made. However the name was resolved, by whom and when, and whatever a
    cache says: what is connected to is what was looked at."""
    asked: list[str] = []

    async def resolved(self: asyncio.AbstractEventLoop, host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", endpoint.port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
    public = EndpointClient(private=False, seconds=2.0)
    try:
        answer = await public.post(f"https://hooks.example:{endpoint.port}/", {}, b"{}")
    finally:
        await public.close()
    assert asked == ["hooks.example"]
    assert (answer.status, endpoint.got) == (0, [])
    assert "127.0.0.1 is not of the open internet" in answer.words


async def test_of_several_addresses_none_that_is_private_is_tried(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Any] = []

    async def resolved(self: asyncio.AbstractEventLoop, host: str, port: int, **_: Any) -> list[Any]:
        there = ("10.0.0.1", "127.0.0.1", "169.254.169.254")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, endpoint.port)) for address in there]

    async def connected(self: asyncio.AbstractEventLoop, sock: socket.socket, address: Any) -> None:
        tried.append(address)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolved)
    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", connected)
    public = EndpointClient(private=False, seconds=2.0)
    try:
        answer = await public.post(f"https://hooks.example:{endpoint.port}/", {}, b"{}")
    finally:
        await public.close()
    assert (answer.status, tried, endpoint.got) == (0, [], [])
