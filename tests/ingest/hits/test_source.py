"""Whose request it is: X-Forwarded-For is believed exactly as far as trusted proxies wrote it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.hits.source import Source, parse
from schemas.errors import Misconfigured
from schemas.settings import Settings, load
from schemas.tokens import Purpose
from tests.ingest.room import hits, running

PROXIES = Settings(_env_file=None, trusted_proxies="10.0.0.0/8, 192.0.2.1,2001:db8:1::/48").proxies  # type: ignore[call-arg]
SOURCE = Source(PROXIES)
CLIENT = "198.51.100.7"


def ip(peer: str, *forwarded: str) -> str:
    headers = [(b"x-forwarded-for", line.encode("latin-1")) for line in forwarded]
    return SOURCE.ip((peer, 4711), [(b"host", b"example.com"), *headers, (b"accept", b"*/*")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        (CLIENT, [], CLIENT),
        (CLIENT, ["203.0.113.9"], CLIENT),  # a client that makes one up
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", [CLIENT], CLIENT),
        ("10.1.2.3", ["203.0.113.9, " + CLIENT], CLIENT),  # and one that makes one up through a proxy
        ("10.1.2.3", ["203.0.113.9, " + CLIENT + ", 10.9.9.9,192.0.2.1"], CLIENT),
        ("10.1.2.3", [CLIENT, "10.9.9.9"], CLIENT),  # two lines are one list
        ("10.1.2.3", ["203.0.113.9", CLIENT], CLIENT),
        ("10.1.2.3", ["10.5.5.5, 10.6.6.6"], "10.5.5.5"),  # a client inside
        ("10.1.2.3", [CLIENT + ":51234"], CLIENT),
        ("10.1.2.3", ["[2001:db8:9::1]:443"], "2001:db8:9::1"),
        ("10.1.2.3", ["[2001:db8:9::1]"], "2001:db8:9::1"),
        ("10.1.2.3", ["2001:0DB8:9:0::1"], "2001:db8:9::1"),
        ("10.1.2.3", ['"[2001:db8:9::1]:443"'], "2001:db8:9::1"),
        ("2001:db8:1::5", [CLIENT], CLIENT),
        ("::ffff:10.1.2.3", ["::ffff:198.51.100.7"], CLIENT),
        ("10.1.2.3", ["unknown"], "10.1.2.3"),
        ("10.1.2.3", [CLIENT + ", _hidden"], "10.1.2.3"),  # what stands left of garbage is anyone's word
        ("10.1.2.3", [CLIENT + ", unknown, 10.4.4.4"], "10.4.4.4"),
        ("10.1.2.3", [CLIENT + ","], "10.1.2.3"),
        ("10.1.2.3", [""], "10.1.2.3"),
        ("10.1.2.3", ["a" * 60_000 + ", " + CLIENT], CLIENT),
        ("10.1.2.3", ["10.0.0.1," * 20_000 + CLIENT], CLIENT),
    ],
)
def test_the_client_is_the_first_hop_from_the_right_that_is_no_proxy_of_ours(
    peer: str, forwarded: list[str], found: str
) -> None:
    assert ip(peer, *forwarded) == found


@pytest.mark.parametrize(
    "text",
    ["", " ", "1.2.3", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:123456", "[::1", "::1]", "[::1]x", "[::1]:", "fe80::1%eth0", "999.1.1.1", "1.2.3.4/8", "example.com", "\xb2.1.1.1", "1.2.3.4:\xb2"],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None


@given(st.lists(st.text(st.characters(max_codepoint=255), max_size=60), max_size=5))
def test_whatever_is_forwarded_an_address_is_found(lines: list[str]) -> None:
    ipaddress.ip_address(ip("10.1.2.3", *lines))


@given(st.ip_addresses(), st.lists(st.ip_addresses(network="10.0.0.0/8").map(str), max_size=5), st.text(max_size=20))
def test_nothing_to_the_left_of_the_client_matters(
    client: ipaddress.IPv4Address | ipaddress.IPv6Address, proxies: list[str], forged: str
) -> None:
    left = forged.encode("ascii", "ignore").decode()
    address = parse(str(client))
    if address is None or any(address in network for network in PROXIES):
        return
    assert ip("10.1.2.3", ",".join([left, str(client), *proxies])) == str(address)


def test_without_trusted_proxies_no_header_is_looked_at() -> None:
    assert Source(()).ip(("10.1.2.3", 1), [(b"x-forwarded-for", CLIENT.encode())]) == "10.1.2.3"
    assert Source(()).ip(("::ffff:198.51.100.7", 1), []) == CLIENT
    assert Source(PROXIES).ip(None, []) == ""


@pytest.mark.parametrize("networks", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "10.0.0.0/8;10.1.0.0/16"])
def test_networks_that_are_none_are_named_at_the_start(networks: str) -> None:
    with pytest.raises(Misconfigured, match="SENDLENS_TRUSTED_PROXIES"):
        load(trusted_proxies=networks)


async def test_a_hit_carries_the_address_that_its_proxy_saw(settings: Settings) -> None:
    async with running(settings.model_copy(update={"trusted_proxies": "192.0.2.0/24"})) as room:
        await room.until_ready()
        headers = [(b"x-forwarded-for", b"203.0.113.9, 198.51.100.7")]
        assert (await room.ask(f"/o/{room.token(Purpose.OPEN)}.gif", headers=headers)).status == 200
    assert [hit.ip for hit in hits(settings)] == [CLIENT]
