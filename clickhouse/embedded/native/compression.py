"""HTTP content codings, a piece at a time: what a request may carry and what a response may be packed in."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Final, Protocol

import lz4.frame
import zstandard

from clickhouse.embedded.errors import CANNOT_DECOMPRESS, NOT_IMPLEMENTED, ServerError

# Best first, in ClickHouse's own order of preference (src/IO/CompressionMethod.cpp), of those we carry.
CODINGS: Final = ("zstd", "lz4", "gzip", "deflate")
# A few bytes may unpack to megabytes: feeding little bounds what one step can yield.
_STEP: Final = 1024
_ZLIB_GZIP: Final = 31
_ZLIB_EITHER: Final = 47


class Packer(Protocol):
    """Compresses a response body piece by piece."""

    def pack(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Zlib:
    def __init__(self, window: int) -> None:
        self._stream = zlib.compressobj(level=1, wbits=window)

    def pack(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Zstd:
    def __init__(self) -> None:
        self._stream = zstandard.ZstdCompressor(level=1).compressobj()

    def pack(self, data: bytes) -> bytes:
        return self._stream.compress(data)

    def finish(self) -> bytes:
        return self._stream.flush()


class _Lz4:
    def __init__(self) -> None:
        self._stream = lz4.frame.LZ4FrameCompressor()
        self._head: bytes = self._stream.begin()

    def pack(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        packed: bytes = self._stream.compress(data)
        return head + packed

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        packed: bytes = self._stream.flush()
        return head + packed


class Uncompressed:
    """Passes a response body through as it is."""

    def pack(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


def choose(accept_encoding: str) -> str | None:
    """The coding to answer in: the best of those the client accepts, or none."""
    offered = {
        part.split(";")[0].strip().lower() for part in accept_encoding.split(",") if ";q=0" not in part.replace(" ", "")
    }
    return next((coding for coding in CODINGS if coding in offered), None)


def packer(coding: str | None) -> Packer:
    """A fresh compressor for `coding` (one of CODINGS), or one that changes nothing."""
    match coding:
        case "zstd":
            return _Zstd()
        case "lz4":
            return _Lz4()
        case "gzip":
            return _Zlib(_ZLIB_GZIP)
        case "deflate":
            return _Zlib(zlib.MAX_WBITS)
        case _:
            return Uncompressed()


class Unpacker:
    """Decompresses a request body piece by piece; a damaged or cut off body is a ServerError, code 271."""

    def __init__(self, coding: str) -> None:
        name = coding.strip().lower()
        self._coding = "" if name == "identity" else name
        if self._coding and self._coding not in CODINGS:
            raise ServerError(
                NOT_IMPLEMENTED,
                f"Unknown compression method {coding[:40]!r}. Only {', '.join(CODINGS)} are supported.",
            )
        self._stream: Any = self._begin()
        self._started = False

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yields what `data` unpacks to, in pieces of bounded size."""
        if not self._coding:
            if data:
                yield data
            return
        for at in range(0, len(data), _STEP):
            yield from self._step(data[at : at + _STEP])

    def finish(self) -> None:
        """Raises unless the last frame was whole."""
        if self._coding and self._started and not self._stream.eof:
            raise ServerError(CANNOT_DECOMPRESS, f"Cannot decompress the {self._coding} body: it ends too early.")

    def _begin(self) -> Any:
        match self._coding:
            case "zstd":
                return zstandard.ZstdDecompressor().decompressobj()
            case "lz4":
                return lz4.frame.LZ4FrameDecompressor()
            case "":
                return None
            case _:
                return zlib.decompressobj(_ZLIB_EITHER)

    def _step(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                if self._stream.eof:
                    # A body may be several frames in a row (RFC 8878 3, RFC 1952 2.2).
                    self._stream = self._begin()
                self._started = True
                piece: bytes = self._stream.decompress(data)
                data = (self._stream.unused_data or b"") if self._stream.eof else b""
                if piece:
                    yield piece
        except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
            raise ServerError(
                CANNOT_DECOMPRESS, f"Cannot decompress the {self._coding} request body: {error}"
            ) from error
