"""Where the parts of a column of Native end, for each way in which columns are laid out."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import repeat
from typing import Final, Protocol

UINT64: Final = struct.Struct("<Q")
# The parts of the first word of a LowCardinality column. Source: ClickHouse, SerializationLowCardinality.cpp.
_KEYS_FOLLOW: Final = 1 << 9
_SHARED_DICTIONARY: Final = 1 << 8
_SHARED_VERSION: Final = 1
# The mode of a Variant's discriminators that has one for each row. Source: SerializationVariant.cpp.
_EACH_ROW: Final = 0


# Where types are named within a column, from and to, and their textual names; in the order of their places.
Edits = list[tuple[int, int, str]]


class UnreadableColumn(Exception):
    """A column whose values have no end that can be found; the text names its type."""


class Layout(Protocol):
    """Where the parts of a column end; each part begins at `at`. Damaged data may raise IndexError or struct.error."""

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        """The layout that the values have by what comes once, before those of the whole column, and its end.

        Types that are named there are added to `edits`.
        """

    def values(self, data: bytes, at: int, rows: int) -> int:
        """The end of the values of `rows` rows."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """Values of one size."""

    size: int

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        return self, at

    def values(self, data: bytes, at: int, rows: int) -> int:
        return at + rows * self.size


@dataclass(frozen=True, slots=True)
class Strings:
    """Values that each begin with their length."""

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        return self, at

    def values(self, data: bytes, at: int, rows: int) -> int:
        for _ in repeat(None, rows):
            size = data[at]
            if size < 0x80:  # nearly all; this loop is what reframing costs
                at += size + 1
            else:
                size, at = read_number(data, at)
                at += size
        return at


@dataclass(frozen=True, slots=True)
class Arrays:
    """The end of each row's elements, then all elements."""

    element: Layout

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        element, at = self.element.prefix(data, at, edits)
        return Arrays(element), at

    def values(self, data: bytes, at: int, rows: int) -> int:
        if not rows:
            return at
        at += 8 * rows
        (elements,) = UINT64.unpack_from(data, at - 8)
        return self.element.values(data, at, bounded(elements, data))


@dataclass(frozen=True, slots=True)
class Tuples:
    """One column after the other; a tuple of nothing takes a byte a row."""

    parts: tuple[Layout, ...]

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        parts, at = prefixes(self.parts, data, at, edits)
        return Tuples(parts), at

    def values(self, data: bytes, at: int, rows: int) -> int:
        if not self.parts:
            return at + rows
        for part in self.parts:
            at = part.values(data, at, rows)
        return at


@dataclass(frozen=True, slots=True)
class Nullables:
    """A byte for each row that tells whether it is NULL, then a value for every row."""

    value: Layout

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        value, at = self.value.prefix(data, at, edits)
        return Nullables(value), at

    def values(self, data: bytes, at: int, rows: int) -> int:
        return self.value.values(data, at + rows, rows)


@dataclass(frozen=True, slots=True)
class LowCardinalities:
    """A dictionary, then a place in it for each row; no rows are no bytes at all."""

    key: Layout

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        if UINT64.unpack_from(data, at) != (_SHARED_VERSION,):
            raise UnreadableColumn("LowCardinality of another version")
        return self, at + 8

    def values(self, data: bytes, at: int, rows: int) -> int:
        if not rows:
            return at
        (flags,) = UINT64.unpack_from(data, at)
        at += 8
        if flags & _SHARED_DICTIONARY or not flags & _KEYS_FOLLOW:
            raise UnreadableColumn("LowCardinality with a shared dictionary")
        (keys,) = UINT64.unpack_from(data, at)
        at = self.key.values(data, at + 8, bounded(keys, data))
        if UINT64.unpack_from(data, at) != (rows,):
            raise UnreadableColumn("LowCardinality in several parts")
        width: int = 1 << (flags & 0xFF)
        return at + 8 + rows * width


@dataclass(frozen=True, slots=True)
class Variants:
    """A byte for each row with its alternative, or none, then the values of each alternative."""

    alternatives: tuple[Layout, ...]

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        if UINT64.unpack_from(data, at) != (_EACH_ROW,):
            raise UnreadableColumn("Variant of another mode")
        alternatives, at = prefixes(self.alternatives, data, at + 8, edits)
        return Variants(alternatives), at

    def values(self, data: bytes, at: int, rows: int) -> int:
        chosen = data[at : at + rows]
        at += rows
        for number, alternative in enumerate(self.alternatives):
            at = alternative.values(data, at, chosen.count(number))
        return at


def read_number(data: bytes, at: int) -> tuple[int, int]:
    """A LEB128 number of at most 64 bits, and its end."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise IndexError("a number longer than 64 bits")


def bounded(count: int, data: bytes) -> int:
    """A count of things that take a byte each at least."""
    if count > len(data):
        raise IndexError("more elements than bytes")
    return count


def prefixes(layouts: tuple[Layout, ...], data: bytes, at: int, edits: Edits) -> tuple[tuple[Layout, ...], int]:
    """The prefixes of several columns, one after the other."""
    known = []
    for layout in layouts:
        one, at = layout.prefix(data, at, edits)
        known.append(one)
    return tuple(known), at
