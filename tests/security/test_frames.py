"""ClickHouse's compressed frames from a hostile client: sizes are checked before memory is taken, sums before use."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator

import lz4.block
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.embedded.errors import ServerError
from clickhouse.embedded.native.framing import FramePacker, FrameUnpacker, _checksum, plain_frame

# A frame that ClickHouse 26.9 itself wrote: the String column of one row, 'abcdefgh ' a hundred times.
WRITTEN = bytes.fromhex(
    "3427723bf6789811d01f7ce34b99712690250000008603000028b52ffd60860295000058840761626364656667682001007859152f"
)


def frame(method: int, packed: bytes, size: int, length: int | None = None) -> bytes:
    body = struct.pack("<BII", method, 9 + len(packed) if length is None else length, size) + packed
    return _checksum(body) + body


def unpacked(data: bytes, step: int = 1 << 30) -> bytes:
    unpacker = FrameUnpacker()
    parts = [part for at in range(0, len(data), step) for part in unpacker.unpack(data[at : at + step])]
    unpacker.finish()
    return b"".join(parts)


@given(st.lists(st.binary(max_size=5000), max_size=5), st.sampled_from(["LZ4", "ZSTD", "NONE"]), st.integers(1, 600))
def test_what_is_packed_comes_back_however_it_is_cut(pieces: list[bytes], method: str, step: int) -> None:
    packer = FramePacker(method)
    packed = b"".join(packer.pack(piece) for piece in pieces) + packer.finish()
    assert unpacked(packed, step) == b"".join(pieces)


def test_what_clickhouse_packed_is_read() -> None:
    assert unpacked(WRITTEN) == b"\x84\x07" + b"abcdefgh " * 100


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # The empty string's is that of CityHash's own test; the others are by clickhouse-go's implementation too.
        (b"", "2b9ac064fc9df03d291ee592c340b53c"),
        (b"a", "d01ae0afa13971d2f66cc8e4e28e7efd"),
        (b"x" * 16, "aa93bc70edaf21abf98ca9ea3e005ad6"),
        (b"x" * 100, "f2f914d0245856acac04bf2d225b21a6"),
    ],
)
def test_checksums_are_cityhash_of_version_1_0_2(text: bytes, told: str) -> None:
    assert _checksum(text).hex() == told


HOSTILE = {
    "an empty frame": (frame(0x82, b"", 0, length=0), 271),
    "shorter than its head": (frame(0x82, b"", 0, length=8), 271),
    "longer than 4 GB": (frame(0x82, b"x", 1, length=0xFFFFFFFF), 39),
    "unpacks to 4 GB": (frame(0x82, b"x" * 100, 0xFFFFFFFF), 39),
    "LZ4 beyond its ratio": (frame(0x82, b"x" * 100, 60 << 20), 271),
    "Zstandard beyond its ratio": (frame(0x90, zstandard.compress(b"x"), 60 << 20), 271),
    "as it is, but of another size": (frame(0x02, b"xyz", 4), 271),
    "as it is, but shorter": (frame(0x02, b"xyz", 2), 271),
    "an unknown method": (frame(0x91, b"xyz", 3), 89),
    "no LZ4": (frame(0x82, b"\xff" * 50, 100), 271),
    "LZ4 of less": (frame(0x82, lz4.block.compress(b"x" * 50, store_size=False), 51), 271),
    "LZ4 of more": (frame(0x82, lz4.block.compress(b"x" * 50, store_size=False), 49), 271),
    "no Zstandard": (frame(0x90, b"\xff" * 50, 100), 271),
    "Zstandard that says another size": (frame(0x90, zstandard.compress(b"x" * 50), 49), 271),
    "Zstandard that says nothing, of more": (
        frame(0x90, zstandard.ZstdCompressor(write_content_size=False).compress(b"x" * 50), 49),
        271,
    ),
    "a wrong checksum": (bytes(16) + frame(0x02, b"xyz", 3)[16:], 40),
    "one bit turned": (frame(0x02, b"xyz", 3)[:-1] + b"{", 40),
    "cut off": (frame(0x02, b"xyz", 3)[:-1], 271),
}


@pytest.mark.parametrize(("data", "code"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_frame_is_refused(data: bytes, code: int) -> None:
    with pytest.raises(ServerError) as refused:
        unpacked(plain_frame(b"before it a good one") + data)
    assert refused.value.code == code


@given(st.binary(max_size=300))
def test_any_bytes_are_data_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ServerError):
        unpacked(data)


def test_checksums_are_skipped_for_who_asks_so() -> None:
    broken = bytes(16) + frame(0x02, b"xyz", 3)[16:]
    assert b"".join(FrameUnpacker(check=False).unpack(broken)) == b"xyz"


def test_a_frame_that_never_ends_holds_no_more_than_came() -> None:
    """A head may promise 64 MB; nothing is taken for it before it is there."""
    unpacker = FrameUnpacker()
    promised = frame(0x02, b"", 60 << 20, length=9 + (60 << 20))
    parts: Iterator[bytes] = unpacker.unpack(promised)
    assert list(parts) == []
    assert len(unpacker._held) == len(promised)
