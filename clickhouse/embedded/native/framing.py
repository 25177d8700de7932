"""ClickHouse's own compressed frames (`compress=1`, `decompress=1`), which stand inside HTTP's coding.

A frame is the CityHash128 (v1.0.2) of what follows it, a byte for the method, its own length with these nine bytes and
that of its data (both UInt32), then the packed data. Source: ClickHouse, src/Compression/CompressionInfo.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from clickhouse.embedded.errors import (
    CANNOT_DECOMPRESS,
    CHECKSUM_DOESNT_MATCH,
    TOO_LARGE_SIZE_COMPRESSED,
    UNKNOWN_COMPRESSION_METHOD,
    ServerError,
)

_CHECKSUM: Final = struct.Struct("<QQ")
_HEADER: Final = struct.Struct("<BII")
_NONE: Final = 0x02
_LZ4: Final = 0x82
_ZSTD: Final = 0x90
METHODS: Final = {"LZ4": _LZ4, "ZSTD": _ZSTD, "NONE": _NONE}

# ClickHouse's max_compress_block_size: what one frame of an answer holds at most.
_PIECE_BYTES: Final = 1 << 20
# The most that a frame of a request may hold, packed or unpacked. clickhouse-go sends a whole batch as one frame.
_FRAME_BYTES: Final = 64 << 20
# One byte of LZ4 stands for at most 255; of Zstandard a block of 128 KiB takes at least four.
_LZ4_RATIO: Final = 255
_ZSTD_RATIO: Final = 1 << 15
_SLACK: Final = 1 << 17


class FramePacker:
    """Packs an answer into frames of one method; a method that clients' settings may name and we lack means LZ4."""

    def __init__(self, method: str = "LZ4") -> None:
        self._method = METHODS.get(method.upper(), _LZ4)
        self._zstd = zstandard.ZstdCompressor(level=1) if self._method == _ZSTD else None

    def pack(self, data: bytes) -> bytes:
        """The frames of `data`."""
        frames = []
        for at in range(0, len(data), _PIECE_BYTES):
            piece = data[at : at + _PIECE_BYTES]
            frames.append(_frame(self._method, self._packed(piece), len(piece)))
        return b"".join(frames)

    def finish(self) -> bytes:
        """Frames have no common end."""
        return b""

    def _packed(self, piece: bytes) -> bytes:
        if self._zstd is not None:
            return self._zstd.compress(piece)
        if self._method == _LZ4:
            packed: bytes = lz4.block.compress(piece, store_size=False)
            return packed
        return piece


class FrameUnpacker:
    """Takes a request's frames apart as they arrive; a damaged or oversized one is a ServerError.

    What a frame says of its own size is checked before anything of that size is made.
    """

    def __init__(self, check: bool = True) -> None:
        self._check = check
        self._held = bytearray()
        self._wanted = _CHECKSUM.size + _HEADER.size

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yields the data of each frame that is complete with `data`."""
        self._held += data
        at = 0
        head = _CHECKSUM.size + _HEADER.size
        while len(self._held) - at >= self._wanted:
            method, packed, unpacked = _HEADER.unpack_from(self._held, at + _CHECKSUM.size)
            if self._wanted == head:
                self._wanted = _CHECKSUM.size + _checked(method, packed, unpacked)
                continue
            frame = bytes(memoryview(self._held)[at : at + self._wanted])
            at += self._wanted
            self._wanted = head
            yield self._data(frame, method, unpacked)
        del self._held[:at]

    def finish(self) -> None:
        """Raises unless the last frame was whole."""
        if self._held:
            raise ServerError(CANNOT_DECOMPRESS, "Cannot decompress the request body: its last frame ends too early.")

    def _data(self, frame: bytes, method: int, size: int) -> bytes:
        if self._check and frame[: _CHECKSUM.size] != _checksum(frame[_CHECKSUM.size :]):
            raise ServerError(CHECKSUM_DOESNT_MATCH, "Checksum doesn't match: corrupted data in the request body.")
        packed = frame[_CHECKSUM.size + _HEADER.size :]
        try:
            if method == _LZ4:
                data: bytes = lz4.block.decompress(packed, uncompressed_size=size)
            elif method == _ZSTD:
                # A size that the data states itself is obeyed whatever it is.
                stated = zstandard.frame_content_size(packed)
                if stated not in (-1, size):
                    raise zstandard.ZstdError(f"it holds {stated} bytes, not {size}")
                data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size) if size else b""
            else:
                data = packed
        except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError) as error:
            raise ServerError(CANNOT_DECOMPRESS, f"Cannot decompress a frame of the request body: {error}") from error
        if len(data) != size:
            raise ServerError(CANNOT_DECOMPRESS, f"A frame of the request body holds {len(data)} bytes, not {size}.")
        return data


def _checked(method: int, packed: int, unpacked: int) -> int:
    """The length of a frame without its checksum, if it can be as it says."""
    if method not in METHODS.values():
        raise ServerError(
            UNKNOWN_COMPRESSION_METHOD,
            f"Unknown compression method 0x{method:02X} of a frame in the request body. "
            f"Only {', '.join(METHODS)} are supported.",
        )
    if packed < _HEADER.size:
        raise ServerError(CANNOT_DECOMPRESS, f"A frame of the request body is {packed} bytes long, less than its head.")
    if max(packed, unpacked) > _FRAME_BYTES:
        raise ServerError(
            TOO_LARGE_SIZE_COMPRESSED,
            f"A frame of the request body is of {max(packed, unpacked)} bytes, more than {_FRAME_BYTES}: "
            "send smaller blocks.",
        )
    size = packed - _HEADER.size
    most = {_LZ4: size * _LZ4_RATIO, _ZSTD: size * _ZSTD_RATIO + _SLACK, _NONE: size}[method]
    if unpacked > most:
        raise ServerError(
            CANNOT_DECOMPRESS, f"A frame of the request body cannot unpack {size} bytes to {unpacked} bytes."
        )
    return packed


def plain_frame(data: bytes) -> bytes:
    """`data` as it is, in one frame: what searches an answer for an error finds its text."""
    return _frame(_NONE, data, len(data))


def _frame(method: int, packed: bytes, size: int) -> bytes:
    body = _HEADER.pack(method, _HEADER.size + len(packed), size) + packed
    return _checksum(body) + body


def _checksum(data: bytes) -> bytes:
    value: int = CityHash128(data)
    return _CHECKSUM.pack(value >> 64, value & 0xFFFFFFFFFFFFFFFF)
