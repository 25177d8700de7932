"""Writes MaxMind DB files for tests, as the format says (https://maxmind.github.io/MaxMind-DB/)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

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


def write_maxmind(path: Path, kind: str, networks: Mapping[str, Any]) -> str:
    """Write a file of this kind that knows a record of each network, IPv4 ones under ::/96 as the format wants it.

    Returns the path. The networks must not overlap.
    """
    tree: list[list[Any]] = [[None, None]]
    for place, text in enumerate(networks):
        prefix = ip_network(text)
        bits = f"{int(prefix.network_address):0{prefix.max_prefixlen}b}"[: prefix.prefixlen]
        bits = "0" * 96 + bits if prefix.version == 4 else bits
        node = 0
        for bit in bits[:-1]:
            if tree[node][int(bit)] is None:
                tree.append([None, None])
                tree[node][int(bit)] = len(tree) - 1
            node = tree[node][int(bit)]
        tree[node][int(bits[-1])] = ("record", place)
    data, places = b"", []
    for record in networks.values():
        places.append(len(data))
        data += _encoded(record)
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
