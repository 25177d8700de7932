"""Native blocks as a client's protocol revision wants them, made of those of revision 0, which are all chDB writes."""

from __future__ import annotations

import struct
from typing import Final

from clickhouse.embedded.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, STD_EXCEPTION, ServerError
from clickhouse.embedded.native.column_types import read_type
from clickhouse.embedded.native.layouts import Edits, UnreadableColumn, read_number

# Asked of the engine with every reframed query.
TYPES_IN_BINARY: Final = "output_format_native_encode_types_in_binary_format"

# What changed when. Source: ClickHouse, src/Core/ProtocolDefines.h and src/Formats/NativeWriter.cpp.
_WITH_LOW_CARDINALITY: Final = 54405  # and time zones of DateTime; earlier clients cannot read our columns
_WITH_CUSTOM_SERIALIZATION: Final = 54454
_WITH_OUT_OF_ORDER_BUCKETS: Final = 54480
_WITH_STRING_SIZES: Final = 54492  # strings laid out in another way

# A default block: no overflow row, bucket -1; fields have numbers, 0 ends them. Source: src/Core/BlockInfo.cpp.
_BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff"
_NO_BUCKETS: Final = b"\x03\x00"


class Reframing:
    """Rewrites blocks of revision 0 with binary types as blocks of `revision`.

    Values are the same bytes in both; what differs stands between columns, and where a Dynamic names its types.
    `binary_types` leaves the types as they come, for a client that asked for them so.
    """

    def __init__(self, revision: int, binary_types: bool = False) -> None:
        info = _BLOCK_INFO + (_NO_BUCKETS if revision >= _WITH_OUT_OF_ORDER_BUCKETS else b"")
        self._info = info + b"\x00"
        self._after_type = b"\x00" if revision >= _WITH_CUSTOM_SERIALIZATION else b""
        self._revision = revision
        self._binary_types = binary_types

    def reframe(self, data: bytes) -> bytes:
        """Whole blocks in, whole blocks out; ServerError 48 when a column's type has no known layout."""
        parts: list[bytes] = []
        at = 0
        try:
            while at < len(data):
                at = self._block(data, at, parts)
        except (IndexError, struct.error) as error:
            raise self._misread(error) from error
        if at != len(data):
            raise self._misread("it ends early")
        return b"".join(parts)

    def _block(self, data: bytes, at: int, parts: list[bytes]) -> int:
        start = at
        columns, at = read_number(data, at)
        rows, at = read_number(data, at)
        parts += (self._info, data[start:at])
        for _ in range(columns):
            start = at
            size, at = read_number(data, at)
            name_at, at = at, at + size
            type_at = at
            edits: Edits = []
            try:
                kind, at = read_type(data, at)
                values_at = at
                if rows:  # without rows not even a prefix is written
                    layout, at = kind.layout.prefix(data, at, edits)
                    at = layout.values(data, at, rows)
            except UnreadableColumn as error:
                column = data[name_at:type_at].decode("utf-8", "replace")
                # What quotes the query stands last, where the log leaves it out.
                raise ServerError(
                    NOT_IMPLEMENTED,
                    f"Type {error} cannot be written in Native of client_protocol_version {self._revision} by the "
                    f"embedded server. Cast it in the query, or ask for another FORMAT: In scope column {column[:100]}",
                ) from error
            if self._binary_types:
                parts += (data[start:values_at], self._after_type, data[values_at:at])
                continue
            parts += (data[start:type_at], _text(kind.name), self._after_type)
            for begin, end, name in edits:
                parts += (data[values_at:begin], _text(name))
                values_at = end
            parts.append(data[values_at:at])
        return at

    def _misread(self, why: object) -> ServerError:
        return ServerError(STD_EXCEPTION, f"The engine's Native block was not understood: {why}.")


def read_revision(asked: str) -> int:
    """The revision of Native that `client_protocol_version` asks for; 0 is that without block info."""
    if not asked.isascii() or not asked.isdigit() or len(asked) > 10:
        raise ServerError(BAD_ARGUMENTS, f"client_protocol_version must be a number, not {asked[:40]!r}.")
    return int(asked)


def reframing(revision: int, binary_types: bool) -> Reframing:
    """The way to `revision`; ServerError 48 for one whose blocks are laid out in another way."""
    if not _WITH_LOW_CARDINALITY <= revision < _WITH_STRING_SIZES:
        raise ServerError(
            NOT_IMPLEMENTED,
            f"Native of client_protocol_version {revision} is not supported by the embedded server; "
            f"ask for 0, or one from {_WITH_LOW_CARDINALITY} to {_WITH_STRING_SIZES - 1}.",
        )
    return Reframing(revision, binary_types)


def _text(name: str) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    size = len(raw)
    head = bytearray()
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + raw
