"""The request and response of Produce, version 7 (https://kafka.apache.org/protocol): Kafka 2.1 and later know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct, error

API_KEY, VERSION = 0, 7
_SIZE = Struct(">i")
_HEAD = Struct(">hhih")  # API, version, correlation id, length of the client's id
_FIXED = Struct(">hhiih")  # no transaction, acks, timeout, one topic, the length of its name
_PART = Struct(">ii")  # partition, length of its batch
_NAME = Struct(">iih")  # correlation id, one topic, the length of its name
_PARTITION = Struct(">ihqqq")  # partition, error, base offset, time appended, start of the log
_ALL_IN_SYNC = -1  # acks


def produce_request(
    correlation: int, client: bytes, topic: bytes, timeout_ms: int, batches: Iterable[tuple[int, bytes]]
) -> bytes:
    """The request as it goes over the wire, answered when all replicas in sync have the batches (acks=all).

    `batches`: partition and record batch of each.
    """
    parts = [part for number, batch in batches for part in (_PART.pack(number, len(batch)), batch)]
    body = b"".join(
        (
            _HEAD.pack(API_KEY, VERSION, correlation, len(client)),
            client,
            _FIXED.pack(-1, _ALL_IN_SYNC, timeout_ms, 1, len(topic)),
            topic,
            _SIZE.pack(len(parts) // 2),
            *parts,
        )
    )
    return _SIZE.pack(len(body)) + body


def produce_response(frame: bytes) -> Iterator[tuple[int, int]]:
    """Partition and error code (0: none) of each batch. `frame` is the response after its size.

    Raises ValueError when it is none.
    """
    try:
        _, topics, name = _NAME.unpack_from(frame)
        at = _NAME.size + name
        (count,) = _SIZE.unpack_from(frame, at)
        if topics != 1 or name < 0:
            raise ValueError("not the one topic that was asked for")
        at += _SIZE.size
        for _ in range(count):
            partition, code, _, _, _ = _PARTITION.unpack_from(frame, at)
            at += _PARTITION.size
            yield partition, code
    except error as short:
        raise ValueError(f"a response to Produce ends early: {short}") from None
