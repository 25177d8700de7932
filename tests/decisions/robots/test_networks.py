"""Finding an address's network: prefixes, families, and bad text."""

from __future__ import annotations

import tracemalloc
from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.robots.networks import Network, Networks
from decisions.tables import rows

BOTH = frozenset({"open", "click"})
A, B = Network("a", "scanner", BOTH), Network("b", "probable", BOTH)


def test_the_edges_of_a_prefix_belong_to_it() -> None:
    networks = Networks([("192.0.2.64/26", A), ("2001:db8::/48", B)])
    assert [networks.find(ip) for ip in ("192.0.2.63", "192.0.2.64", "192.0.2.127", "192.0.2.128")] == [
        None,
        A,
        A,
        None,
    ]
    assert networks.find("2001:db8:0:ffff:ffff:ffff:ffff:ffff") == B
    assert networks.find("2001:db8:1::") is None


def test_an_ipv4_address_in_ipv6_clothes_is_the_ipv4_address() -> None:
    assert Networks([("192.0.2.0/24", A)]).find("::ffff:192.0.2.9") == A


@pytest.mark.parametrize("text", ["", "unknown", "192.0.2.1:443", "999.1.1.1", "192.0.2.0/24", "\x00", "é", "1" * 500])
def test_what_is_no_address_is_in_no_network(text: str) -> None:
    assert Networks([("0.0.0.0/0", A), ("::/0", B)]).find(text) is None


def test_networks_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        Networks([("192.0.2.0/24", A), ("192.0.2.128/25", B)])


@given(st.ip_addresses())
def test_the_packaged_networks_are_found_as_by_looking_at_each(ip: object) -> None:
    listed = [ip_network(network) for _, (network, *_) in rows("networks.tsv", 5) if not network.startswith("AS")]
    expected = any(ip_address(str(ip)) in prefix for prefix in listed)
    assert (PACKAGED.find(str(ip)) is not None) == expected


@given(st.integers(0, 255), st.ip_addresses().map(str) | st.text(max_size=20))
def test_an_address_that_its_first_octet_rules_out_is_in_no_network(octet: int, text: str) -> None:
    """With an ASN database every address is looked at."""
    for ip in (text, f"{octet}.{text.partition('.')[2]}", f"::ffff:{octet}.0.2.1"):
        assert PACKAGED.find(ip) == LOOKS_AT_EACH.find(ip)


def test_every_packaged_prefix_is_found() -> None:
    for _, (network, trust, _, label, _) in rows("networks.tsv", 5):
        if not network.startswith("AS"):
            for ip in (ip_network(network)[0], ip_network(network)[-1]):
                found = PACKAGED.find(str(ip))
                assert found is not None
                assert (found.label, found.trust) == (label, trust), ip


def test_addresses_are_remembered_in_bounded_memory() -> None:
    """A worker meets new addresses for as long as it lives, and must not grow with them."""
    networks = Networks([("192.0.2.0/24", A)], asn_of=len)
    tracemalloc.start()
    try:
        for address in range(60_000):
            networks.find(str(IPv4Address(address)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4 << 20


PACKAGED = Networks.load()
LOOKS_AT_EACH = Networks.load(asn_of=lambda ip: None)


@pytest.mark.parametrize("ip", ["40.94.0.1", "40.94.16.9", "40.94.89.23", "40.94.97.57", "40.94.255.254"])
def test_defenders_detonation_is_a_scanner(ip: str) -> None:
    found = Networks.load().find(ip)
    assert found is not None
    assert (found.label, found.trust, found.kinds) == ("Microsoft Defender", "scanner", BOTH)


@pytest.mark.parametrize("ip", ["40.91.0.1", "40.95.0.1", "40.100.0.1"])
def test_its_neighbours_are_not(ip: str) -> None:
    assert Networks.load().find(ip) is None
