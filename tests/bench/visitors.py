"""Visitors at a steady pace: `python -m tests.bench.visitors PORT RATE SECONDS FILE`. Every hit is another lead's.

Requests leave when they are due, whatever the earlier ones do, so a server that stalls is asked all the same. FILE gets
two doubles a hit: when it was sent and when it was answered, in epoch seconds; 0 is an answer that was not 200.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from array import array
from itertools import count
from pathlib import Path

from schemas.tokens import Claim, Keyring, Purpose, delivery_id
from tests.bench.material import some_addresses, some_agents

CAMPAIGN = "steady"
_CONNECTIONS = 256
_LAST_ANSWERS = 20.0
_MINTED_AT = 1_790_000_000  # long ago: an email without a delivery says nothing


def lead(number: int) -> str:
    return f"lead-{number}"


class Visitors:
    """One process of them, over connections that are kept open."""

    def __init__(self, port: int, rate: float, seconds: float) -> None:
        luck = random.Random(8058)
        self._agents, self._addresses = some_agents(luck), some_addresses(luck)
        self._keyring = Keyring.parse(os.environ["SENDLENS_TOKEN_KEYS"])
        self._port, self._rate, self.total = port, rate, int(rate * seconds)
        self.times = array("d", bytes(16 * self.total))

    async def visit(self) -> None:
        idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        for _ in range(_CONNECTIONS):
            idle.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))
        under_way: set[asyncio.Task[None]] = set()
        started = time.time()
        for number in count():
            if number == self.total:
                break
            request = self._request(number)
            if (early := started + number / self._rate - time.time()) > 0:
                await asyncio.sleep(early)
            connection = await idle.get()
            task = asyncio.create_task(self._ask(number, request, connection, idle))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way, timeout=_LAST_ANSWERS)

    async def _ask(
        self,
        number: int,
        request: bytes,
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
    ) -> None:
        reader, writer = connection
        self.times[2 * number] = time.time()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        if head.startswith(b"HTTP/1.1 200 "):
            self.times[2 * number + 1] = time.time()
        idle.put_nowait(connection)

    def _request(self, number: int) -> bytes:
        claim = Claim(delivery_id(CAMPAIGN, 1, lead(number)), CAMPAIGN, 1, "A", lead(number), _MINTED_AT)
        agent, address = self._agents[number % len(self._agents)], self._addresses[number % len(self._addresses)]
        return (
            f"GET /o/{self._keyring.sign(Purpose.OPEN, claim)}.gif HTTP/1.1\r\nHost: example.com\r\n"
            f"User-Agent: {agent}\r\nX-Forwarded-For: {address}\r\n\r\n"
        ).encode()


def main() -> None:
    port, rate, seconds, file = sys.argv[1:]
    visitors = Visitors(int(port), float(rate), float(seconds))
    try:
        asyncio.run(visitors.visit())
    finally:
        Path(file).write_bytes(visitors.times.tobytes())


if __name__ == "__main__":
    main()
