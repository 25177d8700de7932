"""Column types as the Native format carries them: their names, and the layouts of their columns.

The types are read in their binary encoding, for the textual names of Native drop the time zone of a DateTime.
https://clickhouse.com/docs/sql-reference/data-types/data-types-binary-encoding
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from clickhouse.embedded.native.layouts import (
    UINT64,
    Arrays,
    Edits,
    Fixed,
    Layout,
    LowCardinalities,
    Nullables,
    Strings,
    Tuples,
    UnreadableColumn,
    Variants,
    bounded,
    read_number,
)

# Types nest about three deep in practice; each level costs a few frames of Python's stack.
_DEPTH: Final = 50
# What revision 0 writes, and names itself. Source: SerializationDynamic.cpp, SerializationObject.cpp.
_DYNAMIC_VERSION: Final = 1
_OBJECT_VERSION: Final = 0
_JSON_PATHS: Final = 1024
_JSON_TYPES: Final = 32

# Names and bytes of a value, by the byte that stands for the type.
_FIXED: Final[dict[int, tuple[str, int]]] = {
    0x00: ("Nothing", 1),
    0x01: ("UInt8", 1),
    0x02: ("UInt16", 2),
    0x03: ("UInt32", 4),
    0x04: ("UInt64", 8),
    0x05: ("UInt128", 16),
    0x06: ("UInt256", 32),
    0x07: ("Int8", 1),
    0x08: ("Int16", 2),
    0x09: ("Int32", 4),
    0x0A: ("Int64", 8),
    0x0B: ("Int128", 16),
    0x0C: ("Int256", 32),
    0x0D: ("Float32", 4),
    0x0E: ("Float64", 8),
    0x0F: ("Date", 2),
    0x10: ("Date32", 4),
    0x11: ("DateTime", 4),
    0x1D: ("UUID", 16),
    0x28: ("IPv4", 4),
    0x29: ("IPv6", 16),
    0x2D: ("Bool", 1),
    0x31: ("BFloat16", 2),
    0x32: ("Time", 4),
}
_DECIMALS: Final = {0x19: 4, 0x1A: 8, 0x1B: 16, 0x1C: 32}
_INTERVALS: Final = (
    "Nanosecond",
    "Microsecond",
    "Millisecond",
    "Second",
    "Minute",
    "Hour",
    "Day",
    "Week",
    "Month",
    "Quarter",
    "Year",
)
_OTHERS: Final = {
    0x21: "Set",
    0x24: "Function",
    0x25: "AggregateFunction",
}
# Source: ClickHouse, src/Common/quoteString.cpp: what backQuoteIfNeed leaves bare, and writeAnyEscapedString escapes.
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED_WORDS: Final = frozenset({"all", "distinct", "from", "null", "select", "table"})
_ESCAPES: Final = str.maketrans(
    {
        "\b": "\\b",
        "\f": "\\f",
        "\r": "\\r",
        "\n": "\\n",
        "\t": "\\t",
        "\0": "\\0",
        "\\": "\\\\",
    }
)


@dataclass(frozen=True, slots=True)
class Dynamics:
    """A Variant whose alternatives are named before the values; those beyond a number share one as strings."""

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        if UINT64.unpack_from(data, at) != (_DYNAMIC_VERSION,):
            raise UnreadableColumn("Dynamic of another version")
        _, at = read_number(data, at + 8)
        count, at = read_number(data, at)
        kinds = [ColumnType("SharedVariant", _STRINGS)]
        for _ in range(bounded(count, data)):
            start = at
            kind, at = read_type(data, at)
            kinds.append(kind)
            edits.append((start, at, kind.name))
        kinds.sort(key=lambda kind: kind.name.encode("utf-8", "surrogateescape"))
        return Variants(tuple(kind.layout for kind in kinds)).prefix(data, at, edits)

    def values(self, data: bytes, at: int, rows: int) -> int:
        raise UnreadableColumn("Dynamic without its prefix")


@dataclass(frozen=True, slots=True)
class Objects:
    """A JSON: the paths of known types, then those that are named before the values, then all others as pairs."""

    typed: tuple[Layout, ...]

    def prefix(self, data: bytes, at: int, edits: Edits) -> tuple[Layout, int]:
        if UINT64.unpack_from(data, at) != (_OBJECT_VERSION,):
            raise UnreadableColumn("JSON of another version")
        _, at = read_number(data, at + 8)
        count, at = read_number(data, at)
        for _ in range(bounded(count, data)):
            size, at = read_number(data, at)
            at += size
        pairs = Arrays(Tuples((_STRINGS, _STRINGS)))
        return Tuples((*self.typed, *repeat(Dynamics(), count), pairs)).prefix(data, at, edits)

    def values(self, data: bytes, at: int, rows: int) -> int:
        raise UnreadableColumn("JSON without its prefix")


_STRINGS: Final = Strings()
_POINT: Final = Tuples((Fixed(8), Fixed(8)))
_CUSTOM: Final[dict[str, Layout]] = {
    "Point": _POINT,
    "Ring": Arrays(_POINT),
    "LineString": Arrays(_POINT),
    "MultiLineString": Arrays(Arrays(_POINT)),
    "Polygon": Arrays(Arrays(_POINT)),
    "MultiPolygon": Arrays(Arrays(Arrays(_POINT))),
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type: its name in SQL, and the layout of its columns."""

    name: str
    layout: Layout


def read_type(data: bytes, at: int) -> tuple[ColumnType, int]:
    """The type whose binary encoding begins at `at`, and its end; a type without a known layout is Unreadable."""
    reader = _TypeReader(data, at)
    return reader.type(), reader.at


class _TypeReader:
    """Reads one encoded type, from the outside inwards."""

    def __init__(self, data: bytes, at: int) -> None:
        self.at = at
        self._data = data
        self._depth = 0

    def type(self) -> ColumnType:
        self._depth += 1
        if self._depth > _DEPTH:
            raise UnreadableColumn(f"a type nested more than {_DEPTH} deep")
        try:
            return self._type(self._byte())
        finally:
            self._depth -= 1

    def _type(self, code: int) -> ColumnType:
        if code in _FIXED:
            name, size = _FIXED[code]
            return ColumnType(name, Fixed(size))
        if code in _DECIMALS:
            return ColumnType(f"Decimal({self._byte()}, {self._byte()})", Fixed(_DECIMALS[code]))
        read = _READS.get(code)
        if read is None:
            raise UnreadableColumn(_OTHERS.get(code, f"a type unknown here (0x{code:02X})"))
        return read(self)

    def _zoned(self) -> ColumnType:
        return ColumnType(f"DateTime({_quoted(self._text())})", Fixed(4))

    def _precise(self) -> ColumnType:
        return ColumnType(f"DateTime64({self._byte()})", Fixed(8))

    def _precise_zoned(self) -> ColumnType:
        return ColumnType(f"DateTime64({self._byte()}, {_quoted(self._text())})", Fixed(8))

    def _time(self) -> ColumnType:
        return ColumnType(f"Time64({self._byte()})", Fixed(8))

    def _string(self) -> ColumnType:
        return ColumnType("String", _STRINGS)

    def _fixed_string(self) -> ColumnType:
        size = self._number()
        return ColumnType(f"FixedString({size})", Fixed(size))

    def _interval(self) -> ColumnType:
        return ColumnType(f"Interval{_INTERVALS[self._byte()]}", Fixed(8))

    def _array(self) -> ColumnType:
        element = self.type()
        return ColumnType(f"Array({element.name})", Arrays(element.layout))

    def _plain_tuple(self) -> ColumnType:
        parts = self._types()
        return ColumnType(f"Tuple({', '.join(part.name for part in parts)})", _tuple(parts))

    def _named_tuple(self) -> ColumnType:
        names, parts = self._named()
        return ColumnType(f"Tuple({_listed(names, parts)})", _tuple(parts))

    def _nested(self) -> ColumnType:
        names, parts = self._named()
        return ColumnType(f"Nested({_listed(names, parts)})", Arrays(_tuple(parts)))

    def _nullable(self) -> ColumnType:
        value = self.type()
        return ColumnType(f"Nullable({value.name})", Nullables(value.layout))

    def _low_cardinality(self) -> ColumnType:
        key = self.type()
        plain = key.layout.value if isinstance(key.layout, Nullables) else key.layout
        return ColumnType(f"LowCardinality({key.name})", LowCardinalities(plain))

    def _map(self) -> ColumnType:
        pair = [self.type(), self.type()]
        return ColumnType(f"Map({pair[0].name}, {pair[1].name})", Arrays(_tuple(pair)))

    def _variant(self) -> ColumnType:
        parts = self._types()
        layout = Variants(tuple(part.layout for part in parts))
        return ColumnType(f"Variant({', '.join(part.name for part in parts)})", layout)

    def _dynamic(self) -> ColumnType:
        most = self._byte()
        return ColumnType("Dynamic" if most == _JSON_TYPES else f"Dynamic(max_types={most})", Dynamics())

    def _types(self) -> list[ColumnType]:
        return [self.type() for _ in range(self._number())]

    def _enum8(self) -> ColumnType:
        return self._enum(1)

    def _enum16(self) -> ColumnType:
        return self._enum(2)

    def _enum(self, size: int) -> ColumnType:
        values = []
        for _ in range(self._number()):
            name = self._text()
            value = int.from_bytes(self._data[self.at : self.at + size], "little", signed=True)
            self.at += size
            values.append(f"{_quoted(name)} = {value}")
        return ColumnType(f"Enum{8 * size}({', '.join(values)})", Fixed(size))

    def _named(self) -> tuple[list[str], list[ColumnType]]:
        names, parts = [], []
        for _ in range(self._number()):
            names.append(self._text())
            parts.append(self.type())
        return names, parts

    def _custom(self) -> ColumnType:
        name = self._text()
        if name not in _CUSTOM:
            raise UnreadableColumn(name)
        return ColumnType(name, _CUSTOM[name])

    def _json(self) -> ColumnType:
        if self._byte():
            raise UnreadableColumn("JSON of another version")
        paths, types = self._any_number(), self._byte()
        names, parts = self._named()
        said = [f"max_dynamic_types={types}"] if types != _JSON_TYPES else []
        said += [f"max_dynamic_paths={paths}"] if paths != _JSON_PATHS else []
        typed = sorted(zip(names, parts, strict=True), key=lambda one: one[0])
        said += [f"{_identifier(name)} {part.name}" for name, part in typed]
        said += [f"SKIP {_identifier(self._text())}" for _ in range(self._number())]
        said += [f"SKIP REGEXP {_quoted(self._text())}" for _ in range(self._number())]
        layout = Objects(tuple(part.layout for _, part in typed))
        return ColumnType(f"JSON({', '.join(said)})" if said else "JSON", layout)

    def _simple_aggregate(self) -> ColumnType:
        function = self._text()
        if self._number():
            raise UnreadableColumn(f"SimpleAggregateFunction({function} with parameters)")
        arguments = [self.type() for _ in range(self._number())]
        listed = ", ".join([function, *(argument.name for argument in arguments)])
        return ColumnType(f"SimpleAggregateFunction({listed})", arguments[0].layout)

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _any_number(self) -> int:
        number, self.at = read_number(self._data, self.at)
        return number

    def _number(self) -> int:
        return bounded(self._any_number(), self._data)

    def _text(self) -> str:
        size = self._number()
        start, self.at = self.at, self.at + size
        return self._data[start : self.at].decode("utf-8", "surrogateescape")


# What reads the rest of a type, by the byte that stands for it.
_READS: Final[dict[int, Callable[[_TypeReader], ColumnType]]] = {
    0x12: _TypeReader._zoned,
    0x13: _TypeReader._precise,
    0x14: _TypeReader._precise_zoned,
    0x15: _TypeReader._string,
    0x16: _TypeReader._fixed_string,
    0x17: _TypeReader._enum8,
    0x18: _TypeReader._enum16,
    0x1E: _TypeReader._array,
    0x1F: _TypeReader._plain_tuple,
    0x20: _TypeReader._named_tuple,
    0x22: _TypeReader._interval,
    0x23: _TypeReader._nullable,
    0x26: _TypeReader._low_cardinality,
    0x27: _TypeReader._map,
    0x2A: _TypeReader._variant,
    0x2B: _TypeReader._dynamic,
    0x2C: _TypeReader._custom,
    0x2E: _TypeReader._simple_aggregate,
    0x2F: _TypeReader._nested,
    0x30: _TypeReader._json,
    0x34: _TypeReader._time,
}


def _tuple(parts: list[ColumnType]) -> Tuples:
    return Tuples(tuple(part.layout for part in parts))


def _listed(names: list[str], parts: list[ColumnType]) -> str:
    return ", ".join(f"{_identifier(name)} {part.name}" for name, part in zip(names, parts, strict=True))


def _quoted(text: str) -> str:
    return "'" + text.translate(_ESCAPES).replace("'", "\\'") + "'"


def _identifier(name: str) -> str:
    if _BARE.fullmatch(name) and name.lower() not in _QUOTED_WORDS:
        return name
    return "`" + name.translate(_ESCAPES).replace("`", "\\`") + "`"
