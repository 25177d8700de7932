"""Each reply has a time of its own, whatever the ones before it were granted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agents.transport.dialogue import Dialogue, NoReply


@asynccontextmanager
async def a_dialogue(*delays: float | None) -> AsyncIterator[Dialogue]:
    """A server that answers each line after so many seconds, or never."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for delay in delays:
            await reader.readline()
            if delay is None:
                break
            await asyncio.sleep(delay)
            writer.write(b"250 ok\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, "127.0.0.1", port)
    dialogue = Dialogue(transport)
    try:
        yield dialogue
    finally:
        dialogue.close()
        server.close()


async def test_a_reply_may_take_longer_than_the_one_before_was_granted() -> None:
    async with a_dialogue(0.0, 0.6) as dialogue:
        dialogue.say("MAIL")
        assert (await dialogue.reply(0.3)).code == 250
        dialogue.say("DATA")
        assert (await dialogue.reply(30)).code == 250


async def test_a_reply_may_be_granted_less_than_the_one_before() -> None:
    async with a_dialogue(0.0, None) as dialogue:
        dialogue.say("DATA")
        assert (await dialogue.reply(30)).code == 250
        dialogue.say("MAIL")
        async with asyncio.timeout(10):
            with pytest.raises(NoReply, match=r"no reply within 0\.2 s"):
                await dialogue.reply(0.2)


async def test_a_server_that_falls_silent_is_given_up_also_after_many_replies() -> None:
    async with a_dialogue(0.0, 0.2, 0.2, None) as dialogue:
        for _ in range(3):
            dialogue.say("NOOP")
            assert (await dialogue.reply(0.3)).code == 250
        dialogue.say("NOOP")
        async with asyncio.timeout(10):
            with pytest.raises(NoReply, match=r"no reply within 0\.3 s"):
                await dialogue.reply(0.3)
