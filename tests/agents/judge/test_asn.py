"""AS numbers from a MaxMind DB file, written here as the format says (https://maxmind.github.io/MaxMind-DB/)."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from agents.judge.asn import asn_lookup
from decisions.robots.rules import Rules
from schemas.errors import Misconfigured
from tests.decisions.robots.hits import DELIVERED, hit

_MARKER = b"\xab\xcd\xefMaxMind.com"


def _encoded(value: Any) -> bytes:
    """A value in the data section's encoding: strings, unsigned numbers, maps."""
    if isinstance(value, str):
        raw = value.encode()
        assert len(raw) < 285
        return (bytes([2 << 5 | len(raw)]) if len(raw) < 29 else bytes([2 << 5 | 29, len(raw) - 29])) + raw
    if isinstance(value, int):
        raw = value.to_bytes(4, "big").lstrip(b"\0")
        return bytes([6 << 5 | len(raw)]) + raw
    assert isinstance(value, dict)
    return bytes([7 << 5 | len(value)]) + b"".join(_encoded(part) for item in value.items() for part in item)


def database(path: Path, networks: dict[str, int], kind: str = "GeoLite2-ASN") -> str:
    """Write a file that knows the AS numbers of these networks, IPv4 ones under ::/96 as the format wants it."""
    tree: list[list[Any]] = [[None, None]]
    for text, asn in networks.items():
        prefix = ip_network(text)
        bits = f"{int(prefix.network_address):0{prefix.max_prefixlen}b}"[: prefix.prefixlen]
        bits = "0" * 96 + bits if prefix.version == 4 else bits
        node = 0
        for bit in bits[:-1]:
            if tree[node][int(bit)] is None:
                tree.append([None, None])
                tree[node][int(bit)] = len(tree) - 1
            node = tree[node][int(bit)]
        tree[node][int(bits[-1])] = ("asn", asn)
    data, places = b"", {}
    for asn in networks.values():
        places[asn] = len(data)
        data += _encoded({"autonomous_system_number": asn, "autonomous_system_organization": f"AS {asn}"})
    count = len(tree)

    def pointer(record: Any) -> bytes:
        number = count if record is None else count + 16 + places[record[1]] if isinstance(record, tuple) else record
        return int(number).to_bytes(4, "big")

    metadata = {
        "node_count": count, "record_size": 32, "ip_version": 6, "database_type": kind, "languages": {},
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1, "description": {},
    }  # fmt: skip
    path.write_bytes(
        b"".join(pointer(record) for node in tree for record in node) + b"\0" * 16 + data + _MARKER + _encoded(metadata)
    )
    return str(path)


def test_an_address_is_looked_up_in_the_operators_file(tmp_path: Path) -> None:
    asn_of = asn_lookup(database(tmp_path / "asn.mmdb", {"203.0.113.0/24": 8075, "2001:db8::/32": 22843}))
    assert asn_of is not None
    assert [asn_of(ip) for ip in ("203.0.113.9", "203.0.114.9", "2001:db8::9", "no address", "")] == [
        8075, None, 22843, None, None,
    ]  # fmt: skip


def test_the_rules_know_a_scanner_by_its_number_once_there_is_a_file(tmp_path: Path) -> None:
    rules = Rules.load(asn_lookup(database(tmp_path / "asn.mmdb", {"198.51.100.0/24": 22843})))
    within = hit(ip="198.51.100.7", at=DELIVERED + timedelta(minutes=1))
    assert rules.judge(within, DELIVERED).reason == "probable-network"
    assert Rules.load(asn_lookup("")).judge(within, DELIVERED).reason == "browser"


def test_a_file_that_is_none_or_holds_something_else_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database")
    for path in (tmp_path / "missing", tmp_path / "text", tmp_path):
        with pytest.raises(Misconfigured, match="SENDLENS_ASN_DATABASE"):
            asn_lookup(str(path))
    with pytest.raises(Misconfigured, match="not AS numbers"):
        asn_lookup(database(tmp_path / "city.mmdb", {"192.0.2.0/24": 1}, kind="GeoLite2-City"))
