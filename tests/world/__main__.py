"""`python -m tests.world`: play against a running Sendlens, show progress, compare with the truth."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time

from clickhouse.store import connect
from schemas.settings import load
from tests.world.play import STEPS
from tests.world.world import World


def say(text: str) -> None:
    print(text, flush=True)


async def main(leads: int, check: bool) -> int:
    settings = load()
    started = time.monotonic()
    here = asyncio.current_task()
    assert here is not None
    for number in (signal.SIGTERM, signal.SIGINT):  # in the middle too the mailbox's server must end with us
        asyncio.get_running_loop().add_signal_handler(number, here.cancel)
    async with World(settings, leads) as world:
        play = world.play
        while not await world.platform.ready():
            await asyncio.sleep(0.2)
        page = f"{settings.public_url}/?since=now-1h"
        say(f"ready after {time.monotonic() - started:.0f} s; watch it at {page}")
        showing = asyncio.create_task(_show(world))
        await play.declare()
        with connect(settings) as client:
            for step in STEPS:
                say(f"step {step}: asking for {leads} emails in two variants, some of them twice")
                await play.send_step(step)
                await play.all_arrived()
                if step == STEPS[-1]:
                    say("beside it, a campaign with a bad list: 15 % of its addresses are nobody's")
                    await world.bad.play()
                await play.all_done()
                await world.facts_known(client)
            showing.cancel()
            say(f"everybody has done what they do ({time.monotonic() - started:.0f} s); comparing with the truth")
            wrong = await world.compared(client)
        for line in wrong:
            say(f"DIFFERENT: {line}")
        say(world.verdict(wrong))
        if not check:
            say(f"the page keeps serving at {page} until Ctrl-C")
            await _until_stopped()
        return 1 if wrong else 0


async def _show(world: World) -> None:
    while True:
        await asyncio.sleep(3)
        say(world.play.progress())


async def _until_stopped() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--leads", type=int, default=300)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    try:
        sys.exit(asyncio.run(main(arguments.leads, arguments.check)))
    except asyncio.CancelledError:
        sys.exit("stopped in the middle of the play")
