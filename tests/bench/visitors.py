"""Visitors at a steady pace: `python -m tests.bench.visitors PORT RATE SECONDS FILE`. Every hit is another lead's.

Requests leave when they are due, whatever the earlier ones do, so a server that stalls is asked all the same. FILE gets
two doubles a hit: when it was sent and when it was answered, in epoch seconds; 0 is an answer that was not 200.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from array import array
from pathlib import Path
from typing import cast

import uvloop

from schemas.tokens import Claim, Keyring, Purpose, delivery_id
from tests.bench.material import some_addresses, some_agents

CAMPAIGN = "steady"
_CONNECTIONS = 256
_LAST_ANSWERS = 20.0
_MINTED_AT = 1_790_000_000  # long ago: an email without a delivery says nothing


def lead(number: int) -> str:
    return f"lead-{number}"


class Visitors:
    """One process of them, over connections that are kept open. What they ask is made before the first comes: their core
    is also that of the broker and of ClickHouse, whose time they would take otherwise."""

    def __init__(self, port: int, rate: float, seconds: float) -> None:
        luck = random.Random(8058)
        agents, addresses = some_agents(luck), some_addresses(luck)
        keyring = Keyring.parse(os.environ["SENDLENS_TOKEN_KEYS"])
        self._port, self._rate, self.total = port, rate, int(rate * seconds)
        self._requests = [
            _request(keyring, number, agents[number % len(agents)], addresses[number % len(addresses)])
            for number in range(self.total)
        ]
        self.times = array("d", bytes(16 * self.total))

    async def visit(self) -> None:
        loop = asyncio.get_running_loop()
        idle: asyncio.Queue[_Visitor] = asyncio.Queue()
        for _ in range(_CONNECTIONS):
            _, visitor = await loop.create_connection(lambda: _Visitor(self.times, idle), "127.0.0.1", self._port)
            idle.put_nowait(visitor)
        started = time.time()
        for number, request in enumerate(self._requests):
            if (early := started + number / self._rate - time.time()) > 0:
                await asyncio.sleep(early)
            (await idle.get()).ask(number, request)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_ANSWERS):
                for _ in range(_CONNECTIONS):
                    await idle.get()


class _Visitor(asyncio.Protocol):
    """A connection: one request at a time, and back to the idle ones when it is answered."""

    def __init__(self, times: array[float], idle: asyncio.Queue[_Visitor]) -> None:
        self._times, self._idle = times, idle
        self._number, self._answer = -1, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, number: int, request: bytes) -> None:
        self._number, self._answer = number, b""
        self._times[2 * number] = time.time()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, ended, body = self._answer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if ended and len(body) == int(length):
            if head.startswith(b"HTTP/1.1 200 "):
                self._times[2 * self._number + 1] = time.time()
            self._idle.put_nowait(self)


def _request(keyring: Keyring, number: int, agent: str, address: str) -> bytes:
    claim = Claim(delivery_id(CAMPAIGN, 1, lead(number)), CAMPAIGN, 1, "A", lead(number), _MINTED_AT)
    return (
        f"GET /o/{keyring.sign(Purpose.OPEN, claim)}.gif HTTP/1.1\r\nHost: example.com\r\n"
        f"User-Agent: {agent}\r\nX-Forwarded-For: {address}\r\n\r\n"
    ).encode()


def main() -> None:
    port, rate, seconds, file = sys.argv[1:]
    visitors = Visitors(int(port), float(rate), float(seconds))
    try:
        uvloop.run(visitors.visit())
    finally:
        Path(file).write_bytes(visitors.times.tobytes())


if __name__ == "__main__":
    main()
