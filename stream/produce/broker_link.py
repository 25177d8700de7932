"""One connection to a broker on the event loop: requests go out as they come, responses come back in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import cast

_SIZE = Struct(">i")
_START = Struct(">ii")  # size, correlation id
# A response to Produce has 30 bytes a partition; what claims more than this is no Kafka.
_RESPONSE_BYTES = 16 * 1024 * 1024

# The response after its size, or None: there will be none, and what was asked may have happened.
Answered = Callable[[bytes | None], None]


class BrokerLink(asyncio.Protocol):
    """Answers every request once: with its response, or None when the connection is lost or silent for too long."""

    def __init__(self, patience: float, lost: Callable[[BrokerLink], None]) -> None:
        """`patience`: how long a response may take, in seconds. `lost` is called once, before the last answers."""
        self._patience = patience
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._asked: deque[tuple[int, Answered, asyncio.TimerHandle]] = deque()
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @property
    def connected(self) -> bool:
        """Whether it can be asked."""
        return self._transport is not None

    def ask(self, correlation: int, request: bytes, answered: Answered) -> None:
        """Send a request whose header has this correlation id."""
        if self._transport is None:
            answered(None)
            return
        timer = asyncio.get_running_loop().call_later(self._patience, self.close)
        self._asked.append((correlation, answered, timer))
        self._transport.write(request)

    def close(self) -> None:
        """Close at once. What is not answered is answered with None soon."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while len(received) >= _START.size:
            size, correlation = _START.unpack_from(received)
            if not _SIZE.size <= size <= _RESPONSE_BYTES or not self._asked or self._asked[0][0] != correlation:
                self.close()  # not Kafka, or not the response to our oldest request: no byte after it can be trusted
                return
            end = _SIZE.size + size
            if len(received) < end:
                return
            frame = bytes(received[_SIZE.size : end])
            del received[:end]
            _, answered, timer = self._asked.popleft()
            timer.cancel()
            answered(frame)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._lost(self)
        while self._asked:
            _, answered, timer = self._asked.popleft()
            timer.cancel()
            answered(None)
