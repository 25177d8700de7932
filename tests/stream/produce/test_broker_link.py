"""Every request is answered once: by its own response, or by none at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from stream.produce.broker_link import BrokerLink


def frame(correlation: int, body: bytes) -> bytes:
    return (4 + len(body)).to_bytes(4, "big") + correlation.to_bytes(4, "big") + body


@asynccontextmanager
async def linked(said: list[bytes], patience: float = 60.0) -> AsyncIterator[tuple[BrokerLink, asyncio.Event]]:
    """A link to a server that says these pieces, one after the other, once it is asked; and whether it was lost."""
    lost = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        for piece in said:
            writer.write(piece)
            await writer.drain()
        await reader.read()  # until we close
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(lambda: BrokerLink(patience, lambda _: lost.set()), host, port)
    try:
        yield link, lost
    finally:
        link.close()
        await asyncio.wait_for(lost.wait(), 20)
        server.close()


def into(answers: list[tuple[int, bytes | None]], number: int) -> Callable[[bytes | None], None]:
    return lambda answer: answers.append((number, answer))


async def test_responses_are_told_apart_wherever_they_are_cut() -> None:
    whole = frame(1, b"first") + frame(2, b"") + frame(3, b"third")
    async with linked([whole[at : at + 1] for at in range(len(whole))]) as (link, _):
        answers: list[tuple[int, bytes | None]] = []
        last: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        link.ask(1, b"?", into(answers, 1))
        link.ask(2, b"?", into(answers, 2))
        link.ask(3, b"?", last.set_result)
        answers.append((3, await asyncio.wait_for(last, 20)))
    assert [(number, answer and answer[4:]) for number, answer in answers] == [(1, b"first"), (2, b""), (3, b"third")]


@pytest.mark.parametrize(
    "said",
    [
        frame(2, b"not ours") + frame(1, b"late"),
        (2**31 - 1).to_bytes(4, "big") + b"\0\0\0\1",
        b"\xff\xff\xff\xff\0\0\0\1",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frame(1, b"one") + frame(9, b"one that nobody asked for"),
    ],
    ids=["of-another-request", "too-large", "negative", "http", "unasked"],
)
async def test_what_is_no_response_of_kafka_ends_the_connection(said: bytes) -> None:
    async with linked([said]) as (link, lost):
        answers: list[tuple[int, bytes | None]] = []
        link.ask(1, b"?", into(answers, 1))
        await asyncio.wait_for(lost.wait(), 20)
        assert len(answers) == 1
        assert answers[0][1] is None or said.startswith(frame(1, b"one"))
        link.ask(2, b"?", into(answers, 2))
        assert answers[1:] == [(2, None)]


async def test_a_broker_that_is_silent_for_too_long_is_given_up() -> None:
    async with linked([], patience=0.01) as (link, lost):
        answers: list[tuple[int, bytes | None]] = []
        link.ask(1, b"?", into(answers, 1))
        link.ask(2, b"?", into(answers, 2))
        await asyncio.wait_for(lost.wait(), 20)
        assert answers == [(1, None), (2, None)]
