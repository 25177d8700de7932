"""A broker on paper: it answers Produce alone, keeps what it took in lists, and does to one request what a test wants."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kafka.protocol.producer import ProduceRequest, ProduceResponse
from kafka.record.memory_records import MemoryRecords

from stream.produce.broker_links import Address
from tests.support.waiting import idle

TAKEN, TOO_LARGE, ELSEWHERE, OUT_OF_ORDER, DUPLICATE = 0, 10, 6, 45, 46
_Response = ProduceResponse.TopicProduceResponse

# What the broker does with a batch: partition, sequence number and value; the code that it answers with, None for none.
Does = Callable[[int, int, bytes], int | None]


class PaperBroker:
    """As Kafka does it: a batch of the next sequence number is written, the last one's again is answered and not written
    again, and any other is refused. `does`, while a test has set it, is asked instead."""

    def __init__(self) -> None:
        self.log: defaultdict[int, list[bytes]] = defaultdict(list)
        self.largest = 1_000_000
        self.does: Does | None = None
        self.requests: list[dict[int, int]] = []  # by partition the sequence number
        self.connections = 0
        self.open = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> Address:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return host, port

    def close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    def takes(self, partition: int, sequence: int, value: bytes) -> int:
        log = self.log[partition]
        if len(value) > self.largest:
            return TOO_LARGE
        if sequence == len(log):
            log.append(value)
        elif sequence != len(log) - 1:
            return OUT_OF_ORDER
        return TAKEN

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.append(writer)
        try:
            while response := self._answer(await self._request(reader)):
                writer.write(response)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))

    def _answer(self, request: bytes) -> bytes:
        """The response; empty when a batch is to have none: the connection ends then."""
        asked = ProduceRequest.decode(request, version=7, header=True)
        ((topic, parts),) = ((one.name, one.partition_data) for one in asked.topic_data)
        codes: dict[int, int | None] = {}
        self.requests.append({})
        for part in parts:
            (batch,) = MemoryRecords(bytes(part.records))
            ((value, *_),) = ((record.value,) for record in batch)
            sequence = batch.base_sequence
            self.requests[-1][part.index] = sequence
            codes[part.index] = (self.does or self.takes)(part.index, sequence, bytes(value))
        if None in codes.values():
            return b""
        said = [
            _Response.PartitionProduceResponse(
                index=number, error_code=code, base_offset=0, log_append_time_ms=-1, log_start_offset=0
            )
            for number, code in codes.items()
        ]
        response = ProduceResponse(responses=[_Response(name=topic, partition_responses=said)], throttle_time_ms=0)
        body = request[4:8] + bytes(response.encode(version=7))
        return len(body).to_bytes(4, "big") + body


@asynccontextmanager
async def paper_broker() -> AsyncIterator[tuple[PaperBroker, Address]]:
    """A broker that listens, and where."""
    broker = PaperBroker()
    address = await broker.start()
    try:
        yield broker, address
    finally:
        broker.close()
        await idle()  # for those who were served to be gone
