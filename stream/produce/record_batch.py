"""A record batch that holds one record, as Kafka stores it: format 2 (https://kafka.apache.org/documentation/#recordbatch)."""

from __future__ import annotations

from struct import Struct

from crc32c import crc32c

# Base offset, length of what follows, leader's epoch (unknown), format, checksum of what follows.
_HEAD = Struct(">qiibI")
# Attributes, offset of the last record, first and last timestamp, producer's id and epoch, first sequence, records.
_BODY = Struct(">hiqqqhii")
_FORMAT = 2
_UNKNOWN_EPOCH = -1
_COUNTED = _HEAD.size - 12  # the length counts what follows it
# Of a record: no attributes, no later than the batch, the batch's first, no key. At its end: no headers.
_KEYLESS = b"\x00\x00\x00\x01"
_NO_HEADERS = b"\x00"


def record_batch(value: bytes, at_ms: int, producer_id: int, producer_epoch: int, sequence: int) -> bytes:
    """The batch of one record without a key. `at_ms`: its time, milliseconds since 1970."""
    size = _varint(len(value))
    body = b"".join(
        (
            _BODY.pack(0, 0, at_ms, at_ms, producer_id, producer_epoch, sequence, 1),
            _varint(len(_KEYLESS) + len(size) + len(value) + len(_NO_HEADERS)),
            _KEYLESS,
            size,
            value,
            _NO_HEADERS,
        )
    )
    return _HEAD.pack(0, _COUNTED + len(body), _UNKNOWN_EPOCH, _FORMAT, crc32c(body)) + body


def _varint(number: int) -> bytes:
    """A number from 0 on in seven bits a byte, lowest first, doubled as signed numbers are (zigzag)."""
    number *= 2
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
