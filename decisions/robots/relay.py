"""The addresses that Apple's iCloud Private Relay comes from, as Apple publishes them or as they are packaged.

https://mask-api.icloud.com/egress-ip-ranges.csv: a prefix a line, then country, region and city.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from decisions.robots.ip import numbered

# No egress block is so large; a list with a shorter prefix would make half the internet Apple's.
_SHORTEST = {4: 8, 6: 16}
_BITS = {4: 32, 6: 128}
_SHIFT = 64  # IPv6 prefixes of a list are /64 or shorter: half an address tells them apart, in an eighth of the memory


class RelayList:
    """A set of addresses. `name` tells one list from another by what it holds; it is empty for the packaged one.

    Looked up by bisection: 280,000 prefixes that can't be joined take 5 MB (26 MB if one is longer than /64), and
    160 MB for the second or two in which they are read.
    """

    def __init__(self, prefixes: Iterable[str], *, packaged: bool = False) -> None:
        """Raises ValueError for an empty list, or naming the first line that is not a prefix or is too large a one."""
        spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        longest, self.prefixes = 0, 0
        for place, prefix in enumerate(prefixes, 1):
            family, first, length = _read(prefix, place)
            spans[family].append((first, first + (1 << (_BITS[family] - length))))
            longest = max(longest, length if family == 6 else 0)
            self.prefixes += 1
        if not self.prefixes:
            raise ValueError("it is empty")
        v4, v6 = _joined(spans[4]), _joined(spans[6])
        self._shift = _SHIFT if longest <= _SHIFT else 0
        self._v4: Sequence[int] = array("Q", v4)
        self._v6: Sequence[int] = array("Q", [bound >> _SHIFT for bound in v6]) if self._shift else v6
        # Addresses of IPv4, networks of /64 of IPv6: however the prefixes are cut, the same.
        self.covered = (_size(v4), _size(v6) >> _SHIFT)
        digest = hashlib.sha256(",".join(map(str, (*v4, "", *v6))).encode()).hexdigest()
        self.name = "" if packaged else f"relay-{digest[:8]}"

    @classmethod
    def parse(cls, text: bytes) -> RelayList:
        """Read what Apple publishes. Raises ValueError saying what is wrong with it."""
        lines = text.decode("utf-8", "replace").splitlines()
        return cls(line.partition(",")[0].strip() for line in lines if line.strip() and not line.startswith("#"))

    def __contains__(self, address: tuple[int, int]) -> bool:
        """Whether an address (family and number) is Apple's."""
        return self.covers(*address)

    def covers(self, family: int, number: int) -> bool:
        """As `in`, which takes longer to call: the judge asks for nearly every hit."""
        if family == 4:
            return bisect_right(self._v4, number) % 2 == 1
        return bisect_right(self._v6, number >> self._shift) % 2 == 1

    def first_octets(self) -> set[int]:
        """The first octets of its IPv4 addresses."""
        bounds = zip(self._v4[::2], self._v4[1::2], strict=True)
        return {octet for start, end in bounds for octet in range(start >> 24, ((end - 1) >> 24) + 1)}

    def shrank(self, before: RelayList) -> bool:
        """Whether it has lost more than half of either family since: cut short rather than changed at Apple's."""
        return any(now < then / 2 for now, then in zip(self.covered, before.covered, strict=True))


def _read(prefix: str, place: int) -> tuple[int, int, int]:
    """Family, first address and length of a prefix. `ipaddress` takes ten times as long, and a list has 250,000."""
    text, slash, length = prefix.partition("/")
    found = numbered(text)
    if found is None or not slash or not length.isascii() or not length.isdigit():
        raise ValueError(f"line {place} is no prefix: {prefix[:60]!r}")
    (family, first), bits = found, int(length)
    inside = first & ((1 << (_BITS[family] - bits)) - 1) if bits <= _BITS[family] else 1
    if bits < _SHORTEST[family] or inside or (family == 6 and first >> 125 != 1):  # 2000::/3 is all that is given out
        raise ValueError(f"line {place} is no block of addresses of one provider: {prefix[:60]!r}")
    return family, first, bits


def _joined(spans: list[tuple[int, int]]) -> list[int]:
    """Where the set begins, ends, begins again: an address with an odd number of bounds up to it is inside."""
    bounds: list[int] = []
    for start, end in sorted(spans):
        if bounds and start <= bounds[-1]:
            bounds[-1] = max(bounds[-1], end)
        else:
            bounds += (start, end)
    return bounds


def _size(bounds: Sequence[int]) -> int:
    return sum(bounds[1::2]) - sum(bounds[::2])
