"""Which networks are known: scanners for certain or probably, scanners and people both, and Apple's relay egress.

`data/networks.tsv` has one network a line with its source. A network given as `AS22843` is known by number and takes
part when the caller supplies a lookup from address to AS number (an ASN database of the operator's); the rest are
prefixes.
"""

from __future__ import annotations

import socket
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import pairwise
from typing import Literal, cast, get_args

from agents.decisions.tables import rows

Trust = Literal["scanner", "probable", "second-signal", "relay"]
AsnLookup = Callable[[str], int | None]

_CACHED_ADDRESSES = 65_536  # about 10 MB when full
_MAPPED = b"\0" * 10 + b"\xff\xff"  # ::ffff:0:0/96, an IPv4 address in IPv6 clothes


@dataclass(frozen=True, slots=True)
class Network:
    """What is known of a network. `kinds` are the hits it judges: a click network says nothing of opens."""

    label: str
    trust: Trust
    kinds: frozenset[str]


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

    def find(self, address: int) -> Network | None:
        at = bisect_right(self._starts, address) - 1
        return self._networks[at] if at >= 0 and address <= self._ends[at] else None


class Networks:
    """Finds the known network of an address; remembers recent addresses."""

    def __init__(self, known: Iterable[tuple[str, Network]], asn_of: AsnLookup | None = None) -> None:
        v4: list[tuple[IPv4Network | IPv6Network, Network]] = []
        v6: list[tuple[IPv4Network | IPv6Network, Network]] = []
        self._by_asn: dict[int, Network] = {}
        for text, network in known:
            if text.startswith("AS"):
                self._by_asn[int(text[2:])] = network
                continue
            prefix = ip_network(text)
            (v4 if prefix.version == 4 else v6).append((prefix, network))
        self._v4, self._v6, self._asn_of = Ranges(v4), Ranges(v6), asn_of
        self.find = lru_cache(maxsize=_CACHED_ADDRESSES)(self._find)

    @classmethod
    def load(cls, asn_of: AsnLookup | None = None) -> Networks:
        """Read the packaged networks. Raises ValueError naming the line that is wrong."""
        return cls(_listed(), asn_of)

    def _find(self, ip: str) -> Network | None:
        found = self._by_prefix(ip)
        if found is None and self._asn_of is not None and (asn := self._asn_of(ip)) is not None:
            found = self._by_asn.get(asn)
        return found

    def _by_prefix(self, ip: str) -> Network | None:
        try:
            return self._v4.find(int.from_bytes(socket.inet_pton(socket.AF_INET, ip), "big"))
        except (OSError, ValueError):
            pass
        try:
            packed = socket.inet_pton(socket.AF_INET6, ip)
        except (OSError, ValueError):
            return None  # not an address, so nothing is known of it
        if packed.startswith(_MAPPED):
            return self._v4.find(int.from_bytes(packed[12:], "big"))
        return self._v6.find(int.from_bytes(packed, "big"))


def _listed() -> Iterable[tuple[str, Network]]:
    for place, (network, trust, kinds, label, _source) in rows("networks.tsv", 5):
        if trust not in get_args(Trust) or not set(kinds.split(",")) <= {"open", "click"}:
            raise ValueError(f"{place}: trust is one of {get_args(Trust)}, hits are open, click or open,click")
        yield network, Network(label, cast(Trust, trust), frozenset(kinds.split(",")))
