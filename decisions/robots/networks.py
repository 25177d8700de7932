"""Which networks are known: scanners for certain or probably, scanners and people both, and Apple's relay egress.

`data/networks.tsv` has one network a line with its source. A network given as `AS22843` is known by number and takes
part when the caller supplies a lookup from address to AS number (an ASN database of the operator's); the rest are
prefixes. Apple's relay is asked last, so that one list of it or another changes nothing that is said of other networks.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import pairwise
from typing import Literal, cast, get_args

from decisions.robots.ip import numbered
from decisions.robots.relay import RelayList
from decisions.tables import rows

Trust = Literal["scanner", "probable", "second-signal", "relay"]
AsnLookup = Callable[[str], int | None]

# AS numbers are remembered, 190 bytes an address: the database takes microseconds for each. All else is found in half a
# microsecond, less than it takes to remember an address that does not come again, as most do.
_CACHED_ADDRESSES = 16_384


@dataclass(frozen=True, slots=True)
class Network:
    """What is known of a network. `kinds` are the hits it judges: a click network says nothing of opens."""

    label: str
    trust: Trust
    kinds: frozenset[str]


RELAY = Network("Apple Private Relay", "relay", frozenset({"open"}))


class Ranges:
    """Disjoint address ranges of one family, looked up by bisection."""

    def __init__(self, networks: Iterable[tuple[IPv4Network | IPv6Network, Network]]) -> None:
        by_network: dict[Network, list[IPv4Network | IPv6Network]] = {}
        for prefix, network in networks:
            by_network.setdefault(network, []).append(prefix)
        spans = sorted(
            (int(prefix.network_address), int(prefix.broadcast_address), network.label, network)
            for network, prefixes in by_network.items()
            for prefix in collapse_addresses(cast(list[IPv4Network], prefixes))
        )
        for (_, end, one, _), (start, _, other, _) in pairwise(spans):
            if start <= end:
                raise ValueError(f"the networks of {one} and {other} overlap: one address must have one answer")
        self._starts = [start for start, _, _, _ in spans]
        self._ends = [end for _, end, _, _ in spans]
        self._networks = [network for _, _, _, network in spans]

    def first_octets(self) -> set[int]:
        """The first octets of the addresses in it, of IPv4."""
        return {
            octet
            for start, end in zip(self._starts, self._ends, strict=True)
            for octet in range(start >> 24, (end >> 24) + 1)
        }

    def find(self, address: int) -> Network | None:
        at = bisect_right(self._starts, address) - 1
        return self._networks[at] if at >= 0 and address <= self._ends[at] else None


class Networks:
    """Finds the known network of an address; remembers the AS numbers of recent addresses."""

    def __init__(self, known: Iterable[tuple[str, Network]], asn_of: AsnLookup | None = None) -> None:
        v4: list[tuple[IPv4Network | IPv6Network, Network]] = []
        v6: list[tuple[IPv4Network | IPv6Network, Network]] = []
        relay: list[str] = []
        known = list(known)
        self._by_label = {network.label: network for _, network in known} | {RELAY.label: RELAY}
        self._by_asn: dict[int, Network] = {}
        for text, network in known:
            if text.startswith("AS"):
                self._by_asn[int(text[2:])] = network
                continue
            if network.trust == "relay":
                relay.append(text)
                continue
            prefix = ip_network(text)
            (v4 if prefix.version == 4 else v6).append((prefix, network))
        self._v4, self._v6 = Ranges(v4), Ranges(v6)
        self._asn_of = lru_cache(maxsize=_CACHED_ADDRESSES)(asn_of) if asn_of is not None else None
        self._relay = RelayList(relay, packaged=True) if relay else None
        self._octets = self._first_octets()

    def with_relay(self, relay: RelayList) -> Networks:
        """The same networks with another list of Apple's relay."""
        other = copy.copy(self)
        other._relay = relay
        other._octets = other._first_octets()
        return other

    @property
    def relay(self) -> str:
        """The name of the list of Apple's relay, empty for the packaged one."""
        return self._relay.name if self._relay else ""

    @classmethod
    def load(cls, asn_of: AsnLookup | None = None) -> Networks:
        """Read the packaged networks. Raises ValueError naming the line that is wrong."""
        return cls(_listed(), asn_of)

    def called(self, label: str) -> Network | None:
        """The network of that label; None for one that is not known, or no more."""
        return self._by_label.get(label)

    def find(self, ip: str) -> Network | None:
        """The network of an address; None where nothing is known of it. Any text gives an answer."""
        octet, dot, _ = ip.partition(".")
        if dot and octet not in self._octets and ":" not in octet:
            return None  # nearly every address: in the whole /8 there is no network that is known
        address = numbered(ip)
        if address is None:
            return None  # not an address, so nothing is known of it
        family, number = address
        found = (self._v4 if family == 4 else self._v6).find(number)
        if found is not None:
            return found
        if self._asn_of is not None and (asn := self._asn_of(ip)) is not None and asn in self._by_asn:
            return self._by_asn[asn]
        return RELAY if self._relay is not None and self._relay.covers(family, number) else None

    def _first_octets(self) -> frozenset[str]:
        """As they are written, the first octets of IPv4 addresses of which something may be known."""
        if self._asn_of is not None:
            return frozenset(map(str, range(256)))
        relay = self._relay.first_octets() if self._relay is not None else set()
        return frozenset(map(str, self._v4.first_octets() | relay))


def _listed() -> Iterable[tuple[str, Network]]:
    for place, (network, trust, kinds, label, _source) in rows("networks.tsv", 5):
        if trust not in get_args(Trust) or not set(kinds.split(",")) <= {"open", "click"}:
            raise ValueError(f"{place}: trust is one of {get_args(Trust)}, hits are open, click or open,click")
        yield network, Network(label, cast(Trust, trust), frozenset(kinds.split(",")))
